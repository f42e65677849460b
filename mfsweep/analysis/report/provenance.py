"""Where the numbers come from: every stage with its axis values, the software, the commands and the spec."""

from __future__ import annotations

from mfsweep.analysis.page.blocks import BulletList, Code, Heading, PageBlock, Paragraph, SortableTable
from mfsweep.analysis.report.rows import axes_of, fields, names, stage_values
from mfsweep.analysis.spent import ALL, SPENT_HEAD, spent_by_cell, spent_by_law, spent_in_all
from mfsweep.analysis.study import Analysis, ReportStudy
from mfsweep.masking import masked
from mfsweep.records import Record

NUMBERS = (
    "parent",
    "steps",
    "seconds",
    "stopped by",
    "selected on",
    "at step",
    "parameters",
    "workers",
    "host",
)


def blocks(study: ReportStudy, analysis: Analysis) -> list[PageBlock]:
    """Return the section."""
    named = {key: name for cell in study.cells for name, key in cell.stages.items()}
    records = {key: stage.record for key in named if (stage := analysis.records.stage(key))}
    total = sum(record.seconds for record in records.values())
    found: list[PageBlock] = [Paragraph(f"{total:,.0f} s of training in all. {_packages(list(records.values()))}")]
    if analysis.mixed:
        found.append(Paragraph("Not all stages ran alike: numbers may differ by this too."))
        found.append(BulletList([f"{one.sentence}." for one in analysis.mixed]))
    found += [_costs(study, analysis), _stages(study, named, records)]
    if study.commands:
        found += [Heading("To make this again"), Code("\n".join(study.commands))]
    return [*found, Heading("The spec"), Code(masked(study.spec_text))]


def _costs(study: ReportStudy, analysis: Analysis) -> SortableTable:
    """Return what everything, each law and each cell has cost."""
    axes = axes_of(cell.values for cell in study.cells)
    nothing = [""] * len(axes)
    rows = [(ALL, *nothing, *spent_in_all(analysis.records, study.cells, study.rates).fields())]
    for name, own in spent_by_law(analysis.records, analysis.laws, study.rates).items():
        rows.append((f"law {name}", *nothing, *own.fields()))
    for cell, own in spent_by_cell(analysis.records, study.cells, study.rates):
        if own.stages:
            rows.append(("cell", *fields(cell.values, axes), *own.fields()))
    text = frozenset(range(len(axes) + 1))
    return SortableTable("What it has cost", ["", *names(axes), *SPENT_HEAD], rows, text, fold="Hours and energy")


def _packages(records: list[Record]) -> str:
    versions: dict[str, set[str]] = {}
    for record in records:
        for package, version in record.versions.items():
            versions.setdefault(package, set()).add(version)
    return ", ".join(f"{package} {' and '.join(sorted(own))}" for package, own in sorted(versions.items()))


def _stages(study: ReportStudy, named: dict[str, str], records: dict[str, Record]) -> SortableTable:
    values = stage_values(study.cells)
    axes = axes_of(values[key] for key in named)
    head = ["stage", *names(axes), "key", *NUMBERS]
    rows: list[tuple[str, ...]] = []
    for key, name in sorted(named.items(), key=lambda item: (item[1], item[0])):
        own = [name, *fields(values[key], axes), key]
        record = records.get(key)
        rows.append((*own, *(_fields(record) if record else ["", "", "", "not trained", *[""] * 5])))
    first = len(axes) + 2
    text = frozenset({*range(first + 1), first + 3, first + 4, first + 8})
    return SortableTable(f"{len(rows)} stages", head, rows, text, fold="Every stage")


def _fields(record: Record) -> list[str]:
    ended = "max_steps" if record.stop_reason == "max_steps" else "schedule (converged)"
    ended = f"schedule ({', '.join(record.improving)} still improving)" if record.improving else ended
    return [
        record.parent or "",
        f"{record.steps:,}",
        f"{record.seconds:,.1f}",
        ended,
        f"{record.selected.metric} = {record.selected.value:.4g}",
        f"{record.selected.step:,}",
        f"{record.parameters:,}",
        str(record.workers),
        record.host,
    ]
