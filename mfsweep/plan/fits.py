"""Every fit names what the sweep will measure: found before anything runs, not after everything is trained."""

from __future__ import annotations

from collections.abc import Mapping

from mfsweep.errors import nearest
from mfsweep.plan.graph import StageGraph
from mfsweep.plan.metrics import check_path, measured_by
from mfsweep.quantities import RESULT, Quantity
from mfsweep.spec.gathered import Gathered, gathering
from mfsweep.spec.load import FieldPath, Spec


def check_fits(spec: Spec, graph: StageGraph, found: Gathered | None = None) -> None:
    """Refuse a fit of a metric that no stage will have, or that a path leaves open, or by an axis that does not exist.

    Args:
        spec: the spec.
        graph: of all its cells.
        found: takes the errors. Default: they are raised.

    Raises:
        SpecError: with the places in the spec.
    """
    if not spec.experiment.fits:
        return
    measured = measured_by(spec, graph)
    axes = dict.fromkeys(axis for planned in graph.cells for axis in planned.cell.values)
    with gathering(found) as own:
        for name, fit in spec.experiment.fits.items():
            for field, text in (("x", fit.x), ("y", fit.y)):
                with own.errors():
                    check_path(spec, graph, measured, ("fits", name, field), text)
            for index, axis in enumerate(fit.group_by):
                if axis not in axes:
                    expected = f"an axis: {', '.join(axes)}.{nearest(axis, axes)}"
                    own.add(spec.document.error(("fits", name, "group_by", index), axis, expected))


def check_search(spec: Spec, graph: StageGraph) -> None:
    """Refuse a search by what no result measures, by test labels (docs/fairness.md#rule-4), or that no sampler can do.

    Raises:
        SpecError: at what is wrong of the search.
    """
    search = spec.experiment.search
    if search is None:
        return
    if search.sampler == "cmaes" and len(spec.searched) == 1:
        expected = "tpe, gp or random: CMA-ES adapts a covariance, and the spec searches one axis alone"
        raise spec.document.error(("search", "sampler"), search.sampler, expected)
    measured = measured_by(spec, graph)
    for index, objective in enumerate(search.objectives):
        place = ("search", "objective", index) if len(search.objectives) > 1 else ("search", "objective")
        _check_objective(spec, graph, measured, place, objective)


def _check_objective(
    spec: Spec, graph: StageGraph, measured: Mapping[str, tuple[str, ...]], place: FieldPath, objective: str
) -> None:
    if objective.startswith("test."):
        expected = "a metric of `validation`: test labels touch nothing but the last number"
        raise spec.document.error(place, objective, expected)
    if not objective.startswith("validation."):
        raise spec.document.error(place, objective, "validation.<method>.<quantity>")
    if objective.endswith(f".{Quantity.LOSS}"):
        expected = "an error, as validation.<method>.energy_mae: a loss is weighted by what may be searched (alpha)"
        raise spec.document.error(place, objective, expected)
    check_path(spec, graph, measured, place, f"{RESULT}.{objective}")
