"""Where a sweep stands as one HTML page, which a browser reads again by itself while somebody keeps writing it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from mfsweep.analysis.page.blocks import BulletList, LargeNumbers, Paragraph, Section, SortableTable
from mfsweep.analysis.page.render import page
from mfsweep.files import write_text
from mfsweep.sweep.standing import Standing
from mfsweep.sweep.status import StageStatus

HEAD = ("stage", "state", "step", "of", "structures/s", "GPU busy", "validation", "key", "why")
_TEXT = frozenset({0, 1, 6, 7, 8})


def write_status_page(path: Path, standing: Standing, every: float | None, note: str = "") -> None:
    """Write the page.

    Args:
        path: of the file.
        standing: what it shows.
        every: seconds after which a browser reads it again, None: never.
        note: what a reader should know of it first.

    Raises:
        OSError: it cannot be written.
    """
    counts = LargeNumbers([(number, state) for state, number in standing.counts.items()])
    stages = SortableTable("Stages", HEAD, [tuple(row) for row in _rows(standing)], _TEXT)
    noted = [Paragraph(note)] if note else []
    sections = [Section("Now", [*noted, counts, BulletList(list(standing.sentences()))]), Section("Stages", [stages])]
    write_text(path, page(standing.name, "status", sections, refresh=0 if every is None else max(1, round(every))))


def _rows(standing: Standing) -> Iterator[list[str]]:
    for one in standing.stages:
        pace, record = standing.paces.get(one.key), one.record
        error = pace.error if pace else None
        if record:
            error = (record.selected.metric, record.selected.value)
        yield [
            one.title,
            one.state,
            f"{record.steps:,}" if record else f"{pace.step:,}" if pace else "",
            f"{pace.limit:,}" if pace and not record else "",
            f"{pace.structures_per_second:,.0f}" if pace and not record else "",
            _busy(standing, one),
            f"{error[0]} {error[1]:.4g}" if error else "",
            one.key,
            one.note,
        ]


def _busy(standing: Standing, one: StageStatus) -> str:
    """Return the share of the time in which the GPUs of a stage computed: now, or of a trained one on average."""
    used = [part.now for part in standing.usage.get(one.key, ()) if part.now is not None]
    if one.record and one.record.usage and one.record.usage.utilisation is not None:
        used = [one.record.usage.utilisation]
    return f"{sum(used) / len(used):.0%}" if used else ""
