"""The same results as tables for a terminal of 80 columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.table import Table
from rich.text import Text

from mfsweep.analysis.interval import span
from mfsweep.analysis.law import POOLED, Law, Verdict
from mfsweep.analysis.study import Result
from mfsweep.analysis.suite import rests_on, summary
from mfsweep.quantities import ABOVE_OFFSETS, beside_offsets, count
from mfsweep.report_records import ClaimRecord

STYLES = {
    Verdict.LAW: "green",
    Verdict.CANNOT_TELL: "yellow",
    Verdict.NO_CLAIM: "yellow",
    Verdict.REFUSED: "red",
}


def law_table(law: Law) -> Table:
    """Return the lines of one fit, the pooled one last; why a group is refused is in `Law.sentences`."""
    axes, title = _axes([dict(zip(law.points.group_by, group, strict=True)) for group in law.points.labels])
    table = _table(f"{law.name}: y = prefactor · x^gradient{title}", axes or ["group"])
    for name in ("gradient", "95 % interval", "prefactor", "R²", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict")
    for row in law.as_rows():
        names = [_text(row["values"][axis]) for axis in axes] if row["values"] and axes else [row["group"]]
        names += [""] * (max(len(axes), 1) - len(names))
        verdict = Text(row["verdict"], STYLES[Verdict(row["verdict"])])
        if row["gradient"] is None:
            table.add_row(*names, *[""] * 4, str(row["n"]), verdict)
            continue
        fitted = f"{row['gradient']:.2f}", span(row["ci_low"], row["ci_high"]), f"{row['prefactor']:.3g}"
        style = "bold" if row["group"] == POOLED else ""
        table.add_row(*names, *fitted, f"{row['r2']:.3f}", str(row["n"]), verdict, style=style)
    return table


def points_table(law: Law) -> Table:
    """Return how many points each group has, their spans, and the cells that gave none."""
    points = law.points
    axes, title = _axes([dict(zip(points.group_by, group, strict=True)) for group in points.labels])
    table = _table(f"{law.name}: {count(len(points), 'point')}{title}", axes or ["group"])
    left_out = {
        "without that stage": points.vanished,
        "not finished": points.unfinished,
        "without a logarithm": points.not_positive,
    }
    table.caption = ", ".join(f"{count(number, 'cell')} {why}" for why, number in left_out.items() if number) or None
    for name in ("points", "pre-trainings", "capped", "x", "y"):
        table.add_column(name, justify="right", no_wrap=True)
    for group, label in points.labels.items():
        members = [point for point in points if point.group == group]
        values = dict(zip(points.group_by, group, strict=True))
        xs, ys = sorted(point.x for point in members), sorted(point.y for point in members)
        counts = len(members), len({point.x_key for point in members}), sum(not point.converged for point in members)
        spans = f"{xs[0]:.3g} to {xs[-1]:.3g}", f"{ys[0]:.3g} to {ys[-1]:.3g}"
        table.add_row(*([_text(values[axis]) for axis in axes] or [label]), *map(str, counts), *spans)
    return table


def gain_table(result: Result) -> Table:
    """Return each setting's error beside direct training's of the same seeds, and the change."""
    unit = result.path.quantity.unit
    axes, title = _axes([gain.values for gain in result.gains])
    table = _table(f"{result.path} ({unit}) against direct training{title}", axes or ["setting"])
    notes = [f"energy offsets alone, no model: {result.offsets_only:.3g} {unit}"] if result.offsets_only else []
    if any(gain.capped for gain in result.gains):
        notes.append("no claim where training was capped: max_steps, or a head still improving")
    null = result.offsets_only
    if any(null is not None and max(gain.error, gain.direct_error) > null for gain in result.gains):
        notes.append(ABOVE_OFFSETS)
    table.caption = "; ".join([*dict.fromkeys(gain.over for gain in result.gains), *notes]) or None
    for name in ("direct", "error", "change", "95 % interval", "capped"):
        table.add_column(name, justify="right", no_wrap=True)
    for gain in result.gains:
        interval = f"{gain.interval.low:+.0%} to {gain.interval.high:+.0%}" if gain.interval else "no interval"
        errors = [beside_offsets(f"{own:.3g}", own, null) for own in (gain.direct_error, gain.error)]
        numbers = *errors, f"{gain.change:+.0%}", interval
        names = [_text(gain.values.get(axis)) for axis in axes] or ["all"]
        table.add_row(*names, *numbers, f"{gain.capped} of {gain.pairs}")
    return table


def claim_table(claims: Sequence[ClaimRecord]) -> Table:
    """Return what came out for each statement of a spec."""
    table = _table("Claims", ("stated", "came out", "verdict"))
    table.caption = summary(claims)
    colours = {"agree": "green", "disagree": "red"}
    for claim in claims:
        verdict = Text(claim.verdict, colours.get(claim.verdict, "yellow"))
        table.add_row(claim.says, f"{claim.came_out} ({rests_on(claim)})", verdict)
    return table


def _axes(settings: Sequence[Mapping[str, Any]]) -> tuple[list[str], str]:
    """Return the axes whose values differ, and a text of those that are the same everywhere."""
    found = dict.fromkeys(axis for values in settings for axis in values)
    telling = [axis for axis in found if len({_text(values.get(axis)) for values in settings}) > 1]
    constant = [f"{axis} {_text(settings[0][axis])}" for axis in found if axis not in telling]
    return telling, f" ({', '.join(constant)})" if constant else ""


def _text(value: Any) -> str:
    return "-" if value is None else str(value)


def _table(title: str, names: Sequence[str]) -> Table:
    table = Table(
        title=title, title_justify="left", caption_justify="left", box=None, pad_edge=False, header_style="dim"
    )
    for name in names:
        table.add_column(name.replace("_", " "), overflow="fold")
    return table
