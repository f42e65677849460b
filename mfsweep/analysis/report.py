"""A study -> one self-contained HTML page: what was planned, what came out, what may be said, where it comes from."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from mfsweep.analysis.gain import Outcome, paired
from mfsweep.analysis.gallery import Picture, pictures
from mfsweep.analysis.law import POOLED, Law, count
from mfsweep.analysis.page import PAGE
from mfsweep.analysis.records import Records
from mfsweep.analysis.study import Analysis, Result, Study, analyse
from mfsweep.store import Store, write_text

OPEN_ROWS = 40
"""A longer table is folded away."""


def write_report(store: Store | Records, study: Study, path: Path) -> Analysis:
    """Analyse a study, write its page, and return what it says."""
    analysis = analyse(store, study)
    drawn = pictures(analysis.results, analysis.laws, study.residuals)
    write_text(path, html(study, analysis, drawn))
    return analysis


def html(study: Study, analysis: Analysis, drawn: Sequence[Picture]) -> str:
    """Return the page of a study that is analysed and drawn."""
    made = datetime.fromtimestamp(time.time(), UTC).strftime("%d %B %Y, %H:%M UTC")
    sections = [_plan(study, analysis), _figures(drawn), _laws(analysis), *map(_result, analysis.results)]
    return PAGE.substitute(
        title=escape(study.name), made=made, body="\n".join([*sections, _provenance(study, analysis)])
    )


def _plan(study: Study, analysis: Analysis) -> str:
    keys = {key for cell in study.cells for key in cell.stages.values()}
    trained = [stage.record for key in sorted(keys) if (stage := analysis.records.stage(key))]
    finished = sum(all(analysis.records.stage(key) for key in cell.stages.values()) for cell in study.cells)
    without_sharing = study.plan.get("stages_without_sharing", sum(len(cell.stages) for cell in study.cells))
    counts = {
        "cells": len(study.cells),
        "cells finished": finished,
        "stages": len(keys),
        "stages without sharing": without_sharing,
        "stages trained": len(trained),
        "stopped by max_steps": sum(not record.converged for record in trained),
    }
    items = "".join(f"<li><b>{value:,}</b> {name}</li>" for name, value in counts.items())
    text = f'<h2>Plan</h2><ul class="counts">{items}</ul>'
    if counts["stopped by max_steps"]:
        text += "<p>Stages that max_steps stopped are not converged: drawn hollow, and no claim is made from them.</p>"
    if finished < len(study.cells):
        text += f"<p>{count(len(study.cells) - finished, 'cell')} not finished, left out of what follows.</p>"
    return text


def _figures(drawn: Sequence[Picture]) -> str:
    made = [_figure(picture.svg, f"figure{number}", picture.caption) for number, picture in enumerate(drawn)]
    return f'<h2>Figures</h2><div class="figures">{"".join(made)}</div>' if made else ""


def _figure(picture: str, name: str, caption: str) -> str:
    return f"<figure>{inline_svg(picture, name, caption)}<figcaption>{escape(caption)}</figcaption></figure>"


def inline_svg(picture: str, name: str, label: str) -> str:
    """Return a matplotlib SVG for a page: no metadata or namespaces, ids of its own, a text for screen readers."""
    picture = picture[picture.index("<svg") :]
    picture = re.sub(r"<metadata>.*?</metadata>", "", picture, flags=re.DOTALL)
    picture = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", picture).replace("xlink:href", "href")
    picture = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", picture)
    return picture.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def _laws(analysis: Analysis) -> str:
    return "<h2>Transfer laws</h2>" + "".join(map(_law, analysis.laws)) if analysis.laws else ""


def _law(law: Law) -> str:
    head = [
        "group",
        "gradient",
        "95 % interval",
        "with errors in x",
        "prefactor",
        "R²",
        "points",
        "pre-trainings",
        "capped",
        "verdict",
    ]
    body = []
    for row in law.as_rows():
        if row["gradient"] is None:
            body.append((row["group"], "", "", "", "", "", str(row["n"]), "", "", row["reason"]))
            continue
        interval = f"{row['ci_low']:.2f} to {row['ci_high']:.2f}"
        eiv = f"{row['gradient_eiv']:.2f} ({row['ci_low_eiv']:.2f} to {row['ci_high_eiv']:.2f})"
        numbers = [f"{row['gradient']:.2f}", interval, eiv, f"{row['prefactor']:.3g}", f"{row['r2']:.3f}"]
        body.append((row["group"], *numbers, *(str(row[name]) for name in ("n", "clusters", "capped")), row["verdict"]))
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in law.sentences())
    caption = f"y = {law.points.y} against x = {law.points.x}"
    return f"<h3>{escape(law.name)}</h3><ul>{said}</ul>" + _table(
        caption, head, body, text={0, len(head) - 1}, bold=POOLED
    )


def _result(result: Result) -> str:
    unit = result.path.quantity.unit
    text = f"<h2>Results: {escape(str(result.path))}</h2>"
    if result.offsets_only is not None:
        text += f"<p>Energy offsets alone, without any model, give {result.offsets_only:.3g} {unit}.</p>"
    axes = _axes([gain.values for gain in result.gains])
    if result.gains:
        head = [*axes, f"direct, {unit}", f"error, {unit}", "change, 95 % interval"]
        body = [
            (*_values(gain.values, axes), f"{gain.direct_error:.3g}", f"{gain.error:.3g}", gain.sentence)
            for gain in result.gains
        ]
        text += _table(
            "Against direct training of the same seeds (geometric means)",
            head,
            body,
            text={*range(len(axes)), len(head) - 1},
        )
    return text + _cells(result)


def _cells(result: Result) -> str:
    unit = result.path.quantity.unit
    direct = {id(one): other.error for one, other in paired(result.outcomes)}
    axes = _axes([one.cell.values for one in result.outcomes])
    head = [
        *axes,
        f"error, {unit}",
        "within formula, meV/atom",
        f"offsets only, {unit}",
        "change",
        "converged",
        "result stage",
    ]

    def row(one: Outcome) -> tuple[str, ...]:
        beside = direct.get(id(one))
        change = "direct" if one.direct else f"{one.error / beside - 1:+.0%}" if beside else ""
        measured = [f"{one.error:.3g}", _optional(one.within_formula), _optional(one.offsets_only), change]
        return (*_values(one.cell.values, axes), *measured, "yes" if one.converged else "no, capped", one.key)

    rows = [row(one) for one in result.outcomes]
    return _folded(
        "Every cell",
        _table(f"{len(rows)} finished cells", head, rows, text={*range(len(axes)), len(head) - 2, len(head) - 1}),
        len(rows),
    )


def _provenance(study: Study, analysis: Analysis) -> str:
    names: dict[str, str] = {key: name for cell in study.cells for name, key in cell.stages.items()}
    head = [
        "stage",
        "key",
        "parent",
        "steps",
        "seconds",
        "stopped by",
        "selected on",
        "at step",
        "parameters",
        "workers",
        "host",
    ]
    body, versions = [], dict[str, set[str]]()
    for key, name in sorted(names.items(), key=lambda item: (item[1], item[0])):
        stage = analysis.records.stage(key)
        if stage is None:
            body.append((name, key, *[""] * 3, "not trained", *[""] * 5))
            continue
        record = stage.record
        for package, version in record.versions.items():
            versions.setdefault(package, set()).add(version)
        ended = "schedule (converged)" if record.converged else "max_steps"
        counts = [
            f"{record.steps:,}",
            f"{record.seconds:,.1f}",
            ended,
            f"{record.selected.metric} = {record.selected.value:.4g}",
        ]
        where = [f"{record.selected.step:,}", f"{record.parameters:,}", str(record.workers), record.host]
        body.append((name, key, record.parent or "", *counts, *where))
    total = sum(stage.record.seconds for key in names if (stage := analysis.records.stage(key)))
    packages = ", ".join(f"{package} {' and '.join(sorted(found))}" for package, found in sorted(versions.items()))
    parts = ["<h2>Provenance</h2>", f"<p>{total:,.0f} s of training in all. {escape(packages)}</p>"]
    parts.append(_folded("Every stage", _table(f"{len(body)} stages", head, body, text={0, 1, 2, 5, 6, 10}), len(body)))
    if study.commands:
        parts.append(f"<h3>To make this again</h3><pre><code>{escape(chr(10).join(study.commands))}</code></pre>")
    parts.append(f"<h3>The spec</h3><pre><code>{escape(study.spec_text)}</code></pre>")
    return "".join(parts)


def _table(
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


def _folded(summary: str, table: str, rows: int) -> str:
    return f"<details{' open' if rows <= OPEN_ROWS else ''}><summary>{escape(summary)}</summary>{table}</details>"


def _axes(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(axis for one in values for axis in one))


def _values(values: Any, axes: Sequence[str]) -> list[str]:
    return [str(values.get(axis, "")) for axis in axes]


def _optional(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
