"""A study -> one self-contained HTML page: what was planned, what came out, what may be said, where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from mfsweep.analysis.checkpoints import CHECKPOINTS_HEAD, two_checkpoints
from mfsweep.analysis.checkpoints import TEXT as CHECKPOINT_TEXT
from mfsweep.analysis.drawn import Absent, Drawn, Picture, Sheet
from mfsweep.analysis.gain import Outcome, paired
from mfsweep.analysis.gallery import gallery
from mfsweep.analysis.interval import span
from mfsweep.analysis.law import POOLED, Law
from mfsweep.analysis.page import folded, inline_svg, page, table
from mfsweep.analysis.records import Records
from mfsweep.analysis.search import MARKS, SearchedStudy
from mfsweep.analysis.shares import MIXTURES_HEAD, TEXT, realised
from mfsweep.analysis.study import Analysis, Result, Study, analyse
from mfsweep.analysis.suite import p_text, rests_on, summary
from mfsweep.files import write_text
from mfsweep.masking import masked
from mfsweep.quantities import ABOVE_OFFSETS, beside_offsets, count
from mfsweep.store import Store, SweepFolder

CLAIMS_HEAD = ("stated", "came out", "rests on", "p (adjusted)", "verdict")


def write_report(store: Store | Records, study: Study, folder: SweepFolder) -> Analysis:
    """Analyse a study, write its figures, its claims and its page into a sweep's folder, and return what it says."""
    analysis = analyse(store, study)
    write(folder, study, analysis, gallery(study, analysis))
    return analysis


def write(folder: SweepFolder, study: Study, analysis: Analysis, drawn: Sequence[Drawn]) -> list[Path]:
    """Write the figures, the claims and the page of a study; return the paths, the page's last.

    What an earlier report drew and this one does not goes.
    """
    shown = [one for one in drawn if not isinstance(one, Absent)]
    for stem in {one.stem for one in folder.drawn()} - {one.stem for one in shown}:
        for suffix in (".svg", ".png", ".csv"):
            (folder.figures / f"{stem}{suffix}").unlink(missing_ok=True)
    written = [path for one in shown for path in one.save(folder.figures)]
    folder.write_outcome([one.record() for one in shown], list(analysis.claims))
    write_text(folder.report, html(study, analysis, drawn))
    return [*written, folder.report]


def html(study: Study, analysis: Analysis, drawn: Sequence[Drawn]) -> str:
    """Return the page of a study that is analysed and drawn."""
    sections = [_plan(study, analysis), _claims(analysis), _figures(drawn), _laws(analysis)]
    sections += [*map(_result, analysis.results), _checkpoints(study, analysis), _shares(study, analysis)]
    sections += [_search(study)]
    return page(study.name, "report", [*sections, _provenance(study, analysis)])


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
        "stopped by max_steps": sum(record.stop_reason == "max_steps" for record in trained),
        "stopped with a head still improving": sum(bool(record.improving) for record in trained),
    }
    items = "".join(f"<li><b>{value:,}</b> {name}</li>" for name, value in counts.items())
    text = f'<h2>Plan</h2><ul class="counts">{items}</ul>'
    if not all(record.converged() for record in trained):
        text += (
            "<p>Stages that max_steps stopped, and heads that were still improving at the end of theirs, have not "
            "converged, nor has what starts from them: drawn hollow, and no claim is made.</p>"
        )
    if study.warnings:
        text += f"<ul>{''.join(f'<li>{escape(warning)}</li>' for warning in study.warnings)}</ul>"
    if finished < len(study.cells):
        text += f"<p>{count(len(study.cells) - finished, 'cell')} not finished, left out of what follows.</p>"
    return text


def _claims(analysis: Analysis) -> str:
    if not analysis.claims:
        return ""
    body = [(one.says, one.came_out, rests_on(one), p_text(one), one.verdict) for one in analysis.claims]
    shown = table("What is stated, and what came out here", CLAIMS_HEAD, body, text=set(range(5)))
    shown += f"<p>{escape(summary(analysis.claims))}</p>"
    advice = [(one.recommends, one.says, one.verdict) for one in analysis.claims if one.recommends]
    head = ("recommendation", "rests on", "verdict")
    return f"<h2>Claims</h2>{shown}" + (table("Recommendations", head, advice, text={0, 1, 2}) if advice else "")


def _figures(drawn: Sequence[Drawn]) -> str:
    if not drawn:
        return ""
    pictures = [one for one in drawn if isinstance(one, Picture)]
    made = [_figure(one, f"figure{number}") for number, one in enumerate(pictures)]
    tables = [table(one.caption, one.head, one.rows, text=set(one.text)) for one in drawn if isinstance(one, Sheet)]
    absent = [f"<p>{escape(one.stem)}: {escape(one.reason)}.</p>" for one in drawn if isinstance(one, Absent)]
    figures = f'<div class="figures">{"".join(made)}</div>' if made else ""
    return "<h2>Figures</h2>" + figures + "".join([*tables, *absent])


def _figure(picture: Picture, name: str) -> str:
    wide = ' class="wide"' if picture.wide else ""
    inline = inline_svg(picture.svg, name, picture.caption)
    return f"<figure{wide}>{inline}<figcaption>{escape(picture.caption)}</figcaption></figure>"


def _checkpoints(study: Study, analysis: Analysis) -> str:
    rows = [one.row() for one in two_checkpoints(analysis.records, study.cells)]
    if not rows:
        return ""
    said = "Validation energy MAE at the selected checkpoint, of which all numbers here are, and at the head's own best"
    shown = table(said, CHECKPOINTS_HEAD, rows, text=set(CHECKPOINT_TEXT))
    return "<h2>Checkpoints</h2>" + folded("Heads that were best at another step, or still improving", shown, len(rows))


def _shares(study: Study, analysis: Analysis) -> str:
    rows = [one.row() for one in realised(analysis.records, study.cells)]
    if not rows:
        return ""
    said = "Shares of each training's batches, structures and atoms, least to greatest over the trainings"
    shown = table(said, MIXTURES_HEAD, rows, text=set(TEXT))
    return "<h2>Mixtures</h2>" + folded("Labelled sets of trainings that mix several", shown, len(rows))


def _search(study: Study) -> str:
    if not study.search:
        return ""
    return "<h2>Search</h2>" + "".join(map(_searched, study.search))


def _searched(found: SearchedStudy) -> str:
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in found.sentences())
    caption, head, body = found.table()
    shown = table(caption, head, body, text={place for place, name in enumerate(head) if name in MARKS})
    heading = f"<h3>{escape(found.name)}</h3>" if found.name else ""
    return f"{heading}<ul>{said}</ul>" + folded("Every point", shown, len(body))


def _laws(analysis: Analysis) -> str:
    return "<h2>Transfer laws</h2>" + "".join(map(_law, analysis.laws)) if analysis.laws else ""


def _law(law: Law) -> str:
    head = [
        "group",
        "gradient",
        "95 % interval",
        "least squares",
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
        interval = span(row["ci_low"], row["ci_high"])
        plain = f"{row['least_squares']:.2f} ({span(row['least_squares_low'], row['least_squares_high'])})"
        numbers = [f"{row['gradient']:.2f}", interval, plain, f"{row['prefactor']:.3g}", f"{row['r2']:.3f}"]
        body.append((row["group"], *numbers, *(str(row[name]) for name in ("n", "clusters", "capped")), row["verdict"]))
    said = "".join(f"<li>{escape(sentence)}</li>" for sentence in law.sentences())
    caption = f"y = {law.points.y} against x = {law.points.x}"
    return f"<h3>{escape(law.name)}</h3><ul>{said}</ul>" + table(
        caption, head, body, text={0, len(head) - 1}, bold=POOLED
    )


def _result(result: Result) -> str:
    unit = result.path.quantity.unit
    text = f"<h2>Results: {escape(str(result.path))}</h2>"
    if result.offsets_only is not None:
        text += f"<p>Energy offsets alone, without any model, give {result.offsets_only:.3g} {unit}.</p>"
        if any(one.offsets_only is not None and one.error > one.offsets_only for one in result.outcomes):
            text += f"<p>{escape(ABOVE_OFFSETS)}.</p>"
    axes = _axes([gain.values for gain in result.gains])
    if result.gains:
        head = [*axes, f"direct, {unit}", f"error, {unit}", "change, 95 % interval"]
        body = [
            (*_values(gain.values, axes), *_marked(result.offsets_only, gain.direct_error, gain.error), gain.sentence)
            for gain in result.gains
        ]
        text += table(
            "Against direct training of the same seeds (geometric means)",
            head,
            body,
            text={*range(len(axes)), len(head) - 1},
        )
    return text + _cells(result)


def _marked(offsets_only: float | None, *errors: float) -> list[str]:
    return [beside_offsets(f"{error:.3g}", error, offsets_only) for error in errors]


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
        measured = [
            *_marked(one.offsets_only, one.error),
            _optional(one.within_formula),
            _optional(one.offsets_only),
            change,
        ]
        return (*_values(one.cell.values, axes), *measured, "yes" if one.converged else "no, capped", one.key)

    rows = [row(one) for one in result.outcomes]
    return folded(
        "Every cell",
        table(f"{len(rows)} finished cells", head, rows, text={*range(len(axes)), len(head) - 2, len(head) - 1}),
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
        ended = "max_steps" if record.stop_reason == "max_steps" else "schedule (converged)"
        ended = f"schedule ({', '.join(record.improving)} still improving)" if record.improving else ended
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
    if analysis.mixed:
        items = "".join(f"<li>{escape(one.sentence)}.</li>" for one in analysis.mixed)
        parts.append(f"<p>Not all stages ran alike: numbers may differ by this too.</p><ul>{items}</ul>")
    parts.append(folded("Every stage", table(f"{len(body)} stages", head, body, text={0, 1, 2, 5, 6, 10}), len(body)))
    if study.commands:
        parts.append(f"<h3>To make this again</h3><pre><code>{escape(chr(10).join(study.commands))}</code></pre>")
    parts.append(f"<h3>The spec</h3><pre><code>{escape(masked(study.spec_text))}</code></pre>")
    return "".join(parts)


def _axes(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(axis for one in values for axis in one))


def _values(values: Any, axes: Sequence[str]) -> list[str]:
    return [str(values.get(axis, "")) for axis in axes]


def _optional(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"
