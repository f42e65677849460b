"""The same results as tables for a terminal of 80 columns."""

from __future__ import annotations

from typing import Any

from rich.table import Table
from rich.text import Text

from mfsweep.analysis.law import POOLED, Law, Verdict
from mfsweep.analysis.study import Result

STYLES = {Verdict.LAW: "green", Verdict.CANNOT_TELL: "yellow", Verdict.NO_CLAIM: "yellow", Verdict.REFUSED: "red"}


def law_table(law: Law) -> Table:
    """Return the lines of one fit, the pooled one last."""
    table = _table(f"{law.name}: y = prefactor · x^gradient")
    table.add_column("group", overflow="fold")
    for name in ("gradient", "95 % interval", "R²", "n"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", overflow="fold")
    for row in law.as_rows():
        verdict = Text(row["reason"] or row["verdict"], STYLES[Verdict(row["verdict"])])
        if row["gradient"] is None:
            table.add_row(row["group"], "", "", "", str(row["n"]), verdict)
            continue
        numbers = (
            f"{row['gradient']:.2f}",
            f"{row['ci_low']:.2f} to {row['ci_high']:.2f}",
            f"{row['r2']:.3f}",
            str(row["n"]),
        )
        table.add_row(row["group"], *numbers, verdict, style="bold" if row["group"] == POOLED else "")
    return table


def points_table(law: Law) -> Table:
    """Return how many points each group has, their spans, and the cells that gave none."""
    points = law.points
    left_out = {
        "without that stage": points.vanished,
        "not finished": points.unfinished,
        "not positive": points.not_positive,
    }
    table = _table(f"points of {law.name}: {len(points)}")
    table.caption = ", ".join(f"{count} cells {why}" for why, count in left_out.items() if count) or None
    table.add_column("group", overflow="fold")
    for name in ("points", "pre-trainings", "capped", "x from to", "y from to"):
        table.add_column(name, justify="right", no_wrap=True)
    for group, label in points.labels.items():
        members = [point for point in points if point.group == group]
        xs, ys = sorted(point.x for point in members), sorted(point.y for point in members)
        counts = len(members), len({point.x_key for point in members}), sum(not point.converged for point in members)
        table.add_row(label, *map(str, counts), f"{xs[0]:.3g} {xs[-1]:.3g}", f"{ys[0]:.3g} {ys[-1]:.3g}")
    return table


def gain_table(result: Result) -> Table:
    """Return each setting's error beside direct training's, and the change."""
    axes = list(dict.fromkeys(axis for gain in result.gains for axis in gain.values))
    table = _table(f"{result.path} against direct training, {result.path.quantity.unit}")
    if result.offsets_only is not None:
        table.caption = f"energy offsets alone, no model: {result.offsets_only:.3g} {result.path.quantity.unit}"
    table.add_column("setting", overflow="fold")
    for name in ("direct", "error", "change", "95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("resampled", overflow="fold")
    for gain in result.gains:
        setting = ", ".join(f"{axis}={gain.values[axis]}" for axis in axes if axis in gain.values)
        interval = f"{gain.interval.low:+.0%} to {gain.interval.high:+.0%}" if gain.interval else ""
        capped = f", {gain.capped}/{gain.pairs} capped" if gain.capped else ""
        numbers = f"{gain.direct_error:.3g}", f"{gain.error:.3g}", f"{gain.change:+.0%}", interval
        table.add_row(setting, *numbers, gain.resampled + capped)
    return table


def _table(title: str, **options: Any) -> Table:
    return Table(
        title=title,
        title_justify="left",
        caption_justify="left",
        box=None,
        pad_edge=False,
        header_style="dim",
        **options,
    )
