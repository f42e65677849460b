"""One target metric: what training beforehand changed, and every finished cell."""

from __future__ import annotations

from mfsweep.analysis.gain import FinishedCell, paired
from mfsweep.analysis.page.blocks import PageBlock, Paragraph, SortableTable
from mfsweep.analysis.report.rows import axes_of, fields, marked, names, optional
from mfsweep.analysis.study import Result
from mfsweep.quantities import ABOVE_OFFSETS


def blocks(result: Result) -> list[PageBlock]:
    """Return the section of one metric."""
    unit = result.path.quantity.unit
    found: list[PageBlock] = []
    if result.offsets_only is not None:
        said = f"Energy offsets alone, without any model, give {result.offsets_only:.3g} {unit}."
        found.append(Paragraph(said))
        if any(one.offsets_only is not None and one.error > one.offsets_only for one in result.outcomes):
            found.append(Paragraph(f"{ABOVE_OFFSETS}."))
    if result.gains:
        found.append(_gains(result))
    return [*found, _cells(result)]


def _gains(result: Result) -> SortableTable:
    unit = result.path.quantity.unit
    axes = axes_of(gain.values for gain in result.gains)
    head = [*names(axes), f"direct, {unit}", f"error, {unit}", "change, 95 % interval"]
    rows = [
        (
            *fields(gain.values, axes),
            *marked(result.offsets_only, gain.direct_error, gain.error),
            gain.sentence,
        )
        for gain in result.gains
    ]
    caption = "Against direct training of the same seeds (geometric means)"
    return SortableTable(caption, head, rows, _left(result, axes) | {len(head) - 1})


def _cells(result: Result) -> SortableTable:
    unit = result.path.quantity.unit
    direct = {id(one): other.error for one, other in paired(result.outcomes)}
    axes = axes_of(one.cell.values for one in result.outcomes)
    measured = [f"error, {unit}", "within formula, meV/atom", f"offsets only, {unit}", "change"]
    head = [*names(axes), *measured, "converged", "result stage"]

    def row(one: FinishedCell) -> tuple[str, ...]:
        beside = direct.get(id(one))
        change = "direct" if one.direct else f"{one.error / beside - 1:+.0%}" if beside else ""
        numbers = [
            *marked(one.offsets_only, one.error),
            optional(one.within_formula),
            optional(one.offsets_only),
            change,
        ]
        return (*fields(one.cell.values, axes), *numbers, "yes" if one.converged else "no, capped", one.key)

    rows = [row(one) for one in result.outcomes]
    text = _left(result, axes) | {len(head) - 2, len(head) - 1}
    return SortableTable(f"{len(rows)} finished cells", head, rows, text, fold="Every cell")


def _left(result: Result, axes: list[str]) -> frozenset[int]:
    """Return the columns of axes whose values are not all numbers."""
    values = [one.cell.values for one in result.outcomes]
    return frozenset(
        place
        for place, axis in enumerate(axes)
        if any(isinstance(own.get(axis, 0), bool) or not isinstance(own.get(axis, 0), int | float) for own in values)
    )
