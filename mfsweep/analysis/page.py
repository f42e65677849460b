"""The frame of the pages, one HTML file each with its style in it, and the tables and pictures that stand on them."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from string import Template

OPEN_ROWS = 40
"""A longer table is folded away."""

_PAGE = Template("""<!DOCTYPE html>
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
figure.wide { flex-basis: 100%; max-width: none; }
figure svg {
  display: block; width: 100%; height: auto; padding: .4rem;
  background: #ffffff; border: 1px solid var(--line); border-radius: 4px;
}
figcaption { color: var(--muted); font-size: .85rem; margin-top: .35rem; }
.thumbnails { display: flex; flex-wrap: wrap; gap: .8rem; }
.thumbnails img {
  display: block; width: 15rem; height: auto; background: #ffffff; border: 1px solid var(--line); border-radius: 4px;
}
a { color: var(--mark); }
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
<p class="muted">mfsweep $what, $made</p>
$body
</main>
</body>
</html>
""")


def page(title: str, what: str, body: Iterable[str]) -> str:
    """Return a whole page.

    Args:
        title: its heading.
        what: the word for it, `report`.
        body: its sections, HTML.
    """
    made = datetime.fromtimestamp(time.time(), UTC).strftime("%d %B %Y, %H:%M UTC")
    return _PAGE.substitute(title=escape(title), what=what, made=made, body="\n".join(body))


def inline_svg(picture: str, name: str, label: str) -> str:
    """Return a matplotlib SVG for a page: no metadata or namespaces, ids of its own, a text for screen readers."""
    picture = picture[picture.index("<svg") :]
    picture = re.sub(r"<metadata>.*?</metadata>", "", picture, flags=re.DOTALL)
    picture = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", picture).replace("xlink:href", "href")
    picture = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", picture)
    return picture.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def table(
    caption: str, head: Sequence[str], body: Iterable[Sequence[str]], text: set[int], bold: str | None = None
) -> str:
    """Return a table; columns outside `text` are numbers and stand right. Rows whose first field is `bold` are so."""
    kinds = ["" if index in text else ' class="number"' for index in range(len(head))]
    heads = "".join(f'<th scope="col"{kind}>{escape(name)}</th>' for name, kind in zip(head, kinds, strict=True))
    rows = []
    for fields in body:
        marked = ' class="pooled"' if bold is not None and fields[0] == bold else ""
        cells = "".join(f"<td{kind}>{escape(field)}</td>" for field, kind in zip(fields, kinds, strict=True))
        rows.append(f"<tr{marked}>{cells}</tr>")
    region = f'<div class="scroll" role="region" tabindex="0" aria-label="{escape(caption)}">'
    table = f"<table><caption>{escape(caption)}</caption><thead><tr>{heads}</tr></thead>"
    return f"{region}{table}<tbody>{''.join(rows)}</tbody></table></div>"


def folded(summary: str, table: str, rows: int) -> str:
    """Return a table that opens by its summary, open from the start where it has few rows."""
    return f"<details{' open' if rows <= OPEN_ROWS else ''}><summary>{escape(summary)}</summary>{table}</details>"
