"""Which labels a cell uses: what somebody has to pay for."""

from __future__ import annotations

from collections.abc import Sequence

from mfsweep.errors import FitError
from mfsweep.records import CellRecord


def labels_used(cell: CellRecord) -> dict[str, int]:
    """Return label method -> distinct structures whose label any stage of a cell trains on.

    Raises:
        FitError: a cell of an older version, which does not say it.
    """
    if not cell.sets:
        raise FitError("the cells do not say which labels they use: run the sweep again")
    ranges: dict[tuple[str, str], list[tuple[int, int]]] = {}
    for name in cell.stages:
        for labelled in cell.sets.get(name, ()):
            for method in labelled.methods:
                ranges.setdefault((method, labelled.subset), []).append((labelled.start, labelled.end))
    numbers: dict[str, int] = {}
    for (method, _), found in ranges.items():
        numbers[method] = numbers.get(method, 0) + _covered(found)
    return numbers


def _covered(ranges: Sequence[tuple[int, int]]) -> int:
    """Return how many structures the ranges [start, end) cover together."""
    covered = reached = 0
    for start, end in sorted(ranges):
        covered += max(0, end - max(start, reached))
        reached = max(reached, end)
    return covered
