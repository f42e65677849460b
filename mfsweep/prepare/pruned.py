"""Points of a search that its pruner gave up, as the store knows them, and the stages that nobody needs because of it.

A stage that was given up bears a mark in its folder (`StageFolder.prune`), beside the checkpoint from which it goes on
as soon as anything needs it: another search, a grid, or this search with its pruner off.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from mfsweep.plan.graph import PlannedCell
from mfsweep.prepare.plan import Plan
from mfsweep.prepare.points import SearchPoint, study_name, without_seeds
from mfsweep.records import Pruning


def pruned_points(plan: Plan) -> list[SearchPoint]:
    """Return the points that their own study has given up; none where the spec's search has no pruner."""
    search = plan.spec.experiment.search
    if search is None or not search.is_pruned:
        return []
    return [point for point in plan.points if pruning(plan, point, cells_of(plan, point)) is not None]


def pruning(plan: Plan, point: SearchPoint, cells: Iterable[PlannedCell]) -> Pruning | None:
    """Return why a point was given up by its own study, by the mark of one of its results; None where it was not."""
    name = study_name(plan.spec, point)
    for planned in cells:
        folder = plan.store.stage(planned.keys[planned.cell.result])
        found = folder.pruning()
        if found is not None and found.study == name and folder.record() is None:
            return found
    return None


def spared(plan: Plan, pruned: Iterable[SearchPoint]) -> frozenset[str]:
    """Return the keys of the stages that only cells of pruned points need."""
    given_up = list(pruned)
    if not given_up:
        return frozenset()
    apart: tuple[set[str], set[str]] = set(), set()
    for planned in plan.graph.cells:
        apart[without_seeds(planned.cell.values) in given_up].update(planned.keys.values())
    needed, of_pruned = apart
    return frozenset(of_pruned - needed)


def cells_of(plan: Plan, point: SearchPoint) -> list[PlannedCell]:
    """Return the cells of a point, one for each seed."""
    return list(_cells(plan, point))


def _cells(plan: Plan, point: SearchPoint) -> Iterator[PlannedCell]:
    return (planned for planned in plan.graph.cells if without_seeds(planned.cell.values) == point)
