"""The frame of the report: one HTML page whose style is in it. `$name` fields are filled in by report.py."""

from __future__ import annotations

from string import Template

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
:root {
  color-scheme: light dark;
  --ink: #1a1a1a; --muted: #5c5c5c; --paper: #ffffff; --line: #d5d5d5; --soft: #f4f5f6; --mark: #0072b2;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ink: #e8e8e8; --muted: #a8a8a8; --paper: #16181a; --line: #3b3f43; --soft: #202327; --mark: #6cb8e6;
  }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1 { font-size: 1.7rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.2rem; margin: 2.4rem 0 .6rem; border-bottom: 1px solid var(--line); padding-bottom: .25rem; }
h3 { font-size: 1rem; margin: 1.4rem 0 .4rem; }
p, li { max-width: 46rem; }
.muted { color: var(--muted); font-size: .9rem; }
.counts { display: flex; flex-wrap: wrap; gap: .4rem 2rem; padding: 0; margin: 1rem 0; list-style: none; }
.counts b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .86rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; color: var(--muted); padding-bottom: .35rem; }
th, td { padding: .25rem .7rem .25rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line); }
thead th { border-bottom: 2px solid var(--line); white-space: nowrap; }
.number { text-align: right; white-space: nowrap; }
tr.pooled { font-weight: 600; }
.figures { display: flex; flex-wrap: wrap; gap: 1.25rem; }
figure { margin: 0; flex: 1 1 22rem; max-width: 30rem; }
figure svg {
  display: block; width: 100%; height: auto; padding: .4rem;
  background: #ffffff; border: 1px solid var(--line); border-radius: 4px;
}
figcaption { color: var(--muted); font-size: .85rem; margin-top: .35rem; }
pre {
  background: var(--soft); padding: .8rem 1rem; overflow-x: auto;
  font-size: .82rem; line-height: 1.45; border-radius: 4px;
}
code { font-size: .88em; }
summary { cursor: pointer; color: var(--mark); }
:focus-visible { outline: 2px solid var(--mark); outline-offset: 2px; }
@media print {
  :root { color-scheme: light; --ink: #000000; --muted: #444444; --paper: #ffffff; --line: #bbbbbb; --soft: #ffffff; }
  body { font-size: 10pt; } main { max-width: none; padding: 0; }
  figure, tr { break-inside: avoid; } h2, h3 { break-after: avoid; }
  .scroll, pre { overflow: visible; } pre { white-space: pre-wrap; }
  details::details-content { content-visibility: visible; block-size: auto; }
}
</style>
</head>
<body>
<main>
<h1>$title</h1>
<p class="muted">mfsweep report, $made</p>
$body
</main>
</body>
</html>
""")
