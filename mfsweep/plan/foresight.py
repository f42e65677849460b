"""What a spec asks for and cannot get as it stands, told before anything is trained. Pure functions.

None of it is an error: the sweep runs, and ends in a refused law or in claims that cannot be told.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mfsweep.plan.graph import PlannedCell, StageGraph
from mfsweep.quantities import MINIMUM_PRETRAININGS, MINIMUM_X, RESULT, MetricPath, count
from mfsweep.spec.figures import Cells
from mfsweep.spec.load import FieldPath, Spec, dotted


def foreseen(spec: Spec, graph: StageGraph) -> list[str]:
    """Return a sentence, with the line of the spec, for each law and claim that cannot come out.

    Args:
        spec: a grid; the points of a search are not known before it asks.
        graph: of all its cells.
    """
    if spec.searched:
        return []
    return [*_laws(spec, graph), *_claims(spec, graph)]


def _laws(spec: Spec, graph: StageGraph) -> Iterator[str]:
    for name, fit in spec.experiment.fits.items():
        stage = MetricPath.parse(fit.x).stage
        groups: dict[tuple[str, ...], set[object]] = {}
        trained: dict[tuple[str, ...], set[str]] = {}
        for planned in graph.cells:
            values = planned.cell.values
            group = tuple(f"{axis}={values[axis]}" for axis in fit.group_by if axis in values)
            found = groups.setdefault(group, set())
            key = planned.keys.get(planned.cell.result if stage == RESULT else stage)
            if key is not None:
                found.add(graph.setting(key))
                trained.setdefault(group, set()).add(key)
        few = [group for group, keys in trained.items() if len(keys) < MINIMUM_PRETRAININGS]
        if few and all(len(groups[group]) >= MINIMUM_X for group in few):
            least = count(min(len(trained[group]) for group in few), "pre-training")
            yield (
                f"{_at(spec, ('fits', name))}: {least} in {len(few)} of {count(len(groups), 'group')}, and a line "
                f"needs {MINIMUM_PRETRAININGS}: its points are drawn, and no law comes out. Add values to "
                "the axis of x, or to `split_seed` or `seed`"
            )
        short = {group: len(found) for group, found in groups.items() if len(found) < MINIMUM_X}
        if not short:
            continue
        which = f" in {len(short)} of {len(groups)} groups ({', '.join(next(iter(short)))}, ...)" if any(short) else ""
        which = which if len(groups) > 1 else ""
        yield (
            f"{_at(spec, ('fits', name))}: {count(min(short.values()), 'distinct value')} of x{which}, and a line "
            f"needs {MINIMUM_X} (replicates not counted): no law will come out there. Add values to the axis of x"
        )


def _claims(spec: Spec, graph: StageGraph) -> Iterator[str]:
    of_metrics = {name: claim for name, claim in spec.experiment.claims.items() if claim.y is not None}
    alone = [
        name
        for name, claim in of_metrics.items()
        if len(_replicates(graph.cells, claim.where, claim.this)) < 2
        or len(_replicates(graph.cells, claim.where, claim.against or {})) < 2
    ]
    if alone:
        shown = ", ".join(alone[:3]) + (", ..." if len(alone) > 3 else "")
        yield (
            f"{_at(spec, ('claims', alone[0]))}: one replicate (one seed and one split seed) behind "
            f"{len(alone)} of {count(len(of_metrics), 'claim')} ({shown}): there is no interval, and the verdict can "
            "only be `cannot tell`. Add values to an axis `seed`, `split_seed` or `fold`"
        )


def _replicates(cells: Sequence[PlannedCell], *sides: Cells) -> set[tuple[int, int, int | None]]:
    """Return the seeds, split seeds and folds of the cells that are meant."""
    return {
        (planned.cell.seed, planned.cell.split_seed, planned.cell.fold)
        for planned in cells
        if all(
            planned.cell.values.get(axis) in (wanted if isinstance(wanted, tuple) else (wanted,))
            for side in sides
            for axis, wanted in side.items()
        )
    }


def _at(spec: Spec, place: FieldPath) -> str:
    return f"{spec.document.path}:{spec.document.line(place)}: {dotted(place)}"
