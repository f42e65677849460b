"""The rules of fairness that a spec alone can break (README rules 2, 4, 8), and names that must exist.

What needs the data file to be known (sizes of `rest`, elements, units) is data/check.py's.
"""

from __future__ import annotations

from collections.abc import Iterable

from mfsweep.errors import SpecError, nearest
from mfsweep.plan.expand import Cell, LiveStage
from mfsweep.quantities import Quantity
from mfsweep.spec.data import TEST_SUBSET, SubsetName
from mfsweep.spec.load import Place, Spec
from mfsweep.spec.stage import Evaluation


def resolved_needs(spec: Spec, cells: list[Cell]) -> dict[SubsetName, tuple[str, ...]]:
    """Return each subset's label methods: as declared, else all that any cell trains on it or scores on it."""
    used: dict[str, set[str]] = {}
    evaluated = {id(cell.evaluations): cell.evaluations for cell in cells}
    stages = {id(live.stage): live for cell in cells for live in cell.stages.values()}
    pairs = [(labelled.labels, labelled.subset) for live in stages.values() for labelled in live.sets]
    scores = [*evaluated.values(), *(live.stage.evaluate for live in stages.values())]
    pairs += [(evaluation.labels, evaluation.subset) for group in scores for evaluation in group]
    for method, subset in pairs:
        used.setdefault(subset, set()).add(method)
    declared = spec.experiment.data.splits.subsets()
    for name, subset in declared.items():
        for index, method in enumerate(subset.needs or ()):
            _known_method(spec, method, ("data", "splits", name, "needs", index))
    return {
        name: tuple(sorted(set(subset.needs) if subset.needs is not None else used.get(name, set())))
        for name, subset in declared.items()
    }


def test_subsets(cells: list[Cell]) -> frozenset[str]:
    """Return `t` and the subsets that any evaluation of any cell calls a test."""
    groups = {id(cell.evaluations): cell.evaluations for cell in cells}
    groups |= {id(live.stage): live.stage.evaluate for cell in cells for live in cell.stages.values()}
    named = {evaluation.subset for group in groups.values() for evaluation in group if evaluation.part == "test"}
    return frozenset({TEST_SUBSET, *named})


def check_heads(spec: Spec, live: LiveStage, methods: Iterable[str], parent: Iterable[str]) -> None:
    """Refuse a child whose readout heads its parent's do not determine (README rule 9).

    Raises:
        SpecError: at the child's `start_from`.
    """
    parent = tuple(parent)
    for method in methods:
        if method not in parent and len(parent) > 1:
            expected = f"a parent with a head for {method}, or with one head only: it has {', '.join(parent)}"
            raise _error(spec, ("stages", live.name, "start_from"), live.parent, expected)


def check_stage(spec: Spec, live: LiveStage, tests: frozenset[str]) -> None:
    """Refuse a stage that names what is not there, or touches what it must not.

    Raises:
        SpecError: with the place in the spec.
    """
    place: Place = ("stages", live.name)
    data = spec.experiment.data
    declared = data.splits.subsets()
    for labelled in live.sets:
        index = next(
            i for i, s in enumerate(live.stage.train) if (s.labels, s.subset) == (labelled.labels, labelled.subset)
        )
        here = (*place, "train", index)
        _known_method(spec, labelled.labels, (*here, "labels"))
        _known_subset(spec, labelled.subset, (*here, "subset"))
        subset = declared[labelled.subset]
        if isinstance(labelled.size, int) and isinstance(subset.size, int) and labelled.size > subset.size:
            expected = f"at most the {subset.size} training structures that data.splits.{labelled.subset}.size gives"
            raise _error(spec, (*here, "size"), labelled.size, expected)
        if labelled.subset in tests and labelled.labels not in data.allow_auxiliary_on_test:
            expected = (
                f"training labels that are not on the test subset {labelled.subset!r}; "
                f"auxiliary labels there need data.allow_auxiliary_on_test: [{labelled.labels}]"
            )
            raise _error(spec, here, labelled.labels, expected)
        if subset.validation == 0:
            where = ("data", "splits", labelled.subset, "validation")
            raise _error(spec, where, 0, f"a validation set, since stage {live.name!r} trains on this subset")
    _check_workers(spec, live, place)
    _check_loss(spec, live, place)
    _check_select_on(spec, live, place)


def check_methods(spec: Spec, live: LiveStage, evaluation: Evaluation) -> None:
    """Refuse an evaluation that names what the data do not declare.

    Raises:
        SpecError: with the place in the spec.
    """
    place = _place_of(live, evaluation)
    _known_subset(spec, evaluation.subset, place)
    for method in (evaluation.labels, evaluation.offsets or evaluation.labels):
        _known_method(spec, method, place)


def check_evaluation(
    spec: Spec, live: LiveStage, evaluation: Evaluation, others: Iterable[Evaluation], tests: frozenset[str]
) -> None:
    """Refuse an evaluation of what the stage cannot predict, or under a name that another one has.

    Raises:
        SpecError: with the place in the spec.
    """
    place = _place_of(live, evaluation)
    heads = sorted({labelled.labels for labelled in live.sets})
    head = evaluation.head or evaluation.labels
    if head not in heads:
        expected = f"a head of stage {live.name!r} ({', '.join(heads)}); name one with `head:`"
        raise _error(spec, place, head, expected)
    if evaluation.labels in spec.experiment.data.allow_auxiliary_on_test and evaluation.subset in tests:
        expected = "no target method here: its labels of the test structures must not be trained on"
        raise _error(spec, ("data", "allow_auxiliary_on_test"), evaluation.labels, expected)
    for other in others:
        if other.name == evaluation.name:
            expected = f"one evaluation named {evaluation.name}: stage {live.name!r} is also scored on {other.subset}"
            raise _error(spec, place, f"{evaluation.labels} on {evaluation.subset}", expected)


def _place_of(live: LiveStage, evaluation: Evaluation) -> Place:
    return ("stages", live.name, "evaluate") if evaluation in live.stage.evaluate else ("evaluate",)


def _check_workers(spec: Spec, live: LiveStage, place: Place) -> None:
    workers, batches = spec.experiment.resources.workers, live.stage.batch.batches_per_step
    if batches % workers:
        expected = f"a multiple of resources.workers ({workers}), which share the batches of a step"
        raise _error(spec, (*place, "batch", "batches_per_step"), batches, expected)


def _check_loss(spec: Spec, live: LiveStage, place: Place) -> None:
    for method, weights in live.stage.loss.items():
        here = (*place, "loss", method)
        _known_method(spec, method, here)
        if weights.forces and spec.experiment.data.labels[method].forces is None:
            expected = f"0, or a key of forces in data.labels.{method}: the method is energy-only"
            raise _error(spec, (*here, "forces"), weights.forces, expected)
        if not (weights.energy or weights.forces):
            raise _error(spec, here, 0, "a weight above 0: nothing would be trained")


def _check_select_on(spec: Spec, live: LiveStage, place: Place) -> None:
    select_on = live.stage.select_on
    if select_on is None:
        return
    here = (*place, "select_on")
    methods = sorted({labelled.labels for labelled in live.sets})
    part, *rest = select_on.split(".")
    if part == "test":
        raise _error(spec, here, select_on, "a metric of `validation`: test labels touch nothing but the last number")
    quantities = [quantity.value for quantity in Quantity]
    if part != "validation" or len(rest) not in (1, 2):
        raise _error(spec, here, select_on, "validation.<method>.<quantity>, or validation.loss")
    if rest[-1] not in quantities:
        raise _error(spec, here, select_on, f"a quantity: {', '.join(quantities)}.{nearest(rest[-1], quantities)}")
    if len(rest) == 2 and rest[0] not in methods:
        raise _error(
            spec, here, select_on, f"a method this stage trains on: {', '.join(methods)}.{nearest(rest[0], methods)}"
        )
    if len(rest) == 1 and rest[0] != Quantity.LOSS and len(methods) > 1:
        raise _error(spec, here, select_on, f"one with its method, as validation.{methods[0]}.{rest[0]}")
    method = rest[0] if len(rest) == 2 else methods[0]
    if rest[-1] in (Quantity.FORCE_MAE, Quantity.FORCE_RMSE) and not _trains_forces(spec, live, method):
        raise _error(spec, here, select_on, f"an energy's metric: {method} is trained without forces here")


def _trains_forces(spec: Spec, live: LiveStage, method: str) -> bool:
    weights = live.stage.loss.get(method)
    return spec.experiment.data.labels[method].forces is not None and (weights is None or weights.forces > 0)


def _known_method(spec: Spec, method: str, place: Place) -> None:
    labels = spec.experiment.data.labels
    if method not in labels:
        raise _error(
            spec, place, method, f"a label method of data.labels: {', '.join(labels)}.{nearest(method, labels)}"
        )


def _known_subset(spec: Spec, subset: str, place: Place) -> None:
    declared = spec.experiment.data.splits.subsets()
    if subset not in declared:
        raise _error(spec, place, subset, f"a subset of data.splits: {', '.join(declared)}")


def _error(spec: Spec, place: Place, got: object, expected: str) -> SpecError:
    return spec.document.error(place, got, expected)
