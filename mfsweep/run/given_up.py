"""The points that a search has given up, and the stages that nothing but them needs."""

from __future__ import annotations

from collections.abc import Callable

from mfsweep.prepare import Plan
from mfsweep.prepare.points import SearchPoint
from mfsweep.prepare.pruned import cells_of, spared
from mfsweep.records import Pruning


class GivenUp:
    """Keeps them, and marks stages so that their trainings end.

    Args:
        say: is told of a stage that cannot be marked.
    """

    def __init__(self, say: Callable[[str], object]) -> None:
        self._say = say
        self.points: list[SearchPoint] = []
        self._why: dict[str, Pruning] = {}
        """Key of a stage whose point was given up -> why."""
        self._spared: tuple[int, int, frozenset[str]] = (0, 0, frozenset())
        """What `spared` was of so many cells and points."""

    def __contains__(self, point: SearchPoint) -> bool:
        return point in self.points

    def add(self, plan: Plan, point: SearchPoint, why: Pruning) -> None:
        """Count a point among them."""
        self.points.append(point)
        for cell in cells_of(plan, point):
            self._why |= dict.fromkeys(cell.keys.values(), why)

    def spares(self, plan: Plan, key: str) -> bool:
        """Return whether only these points need a stage."""
        size = len(plan.graph.cells), len(self.points)
        if self._spared[:2] != size:
            self._spared = (*size, spared(plan, self.points))
        return key in self._spared[2]

    def would_spare(self, plan: Plan, key: str, point: SearchPoint) -> bool:
        """Return whether only these points and one more need a stage."""
        return key in spared(plan, [*self.points, point])

    def why(self, key: str) -> str:
        """Return why the point of a stage was given up."""
        why = self._why.get(key)
        return why.reason if why else "given up, with a stage before it"

    def mark(self, plan: Plan, key: str) -> None:
        """Mark a stage that was begun: its training ends at its next validation."""
        try:
            plan.store.stage(key).prune(self._why[key])
        except OSError as error:
            self._say(f"the stage {key} is not given up, though its point was: {error.strerror or error}")
