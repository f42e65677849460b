"""The rules of fairness that a spec alone can break, and names that must exist.

The rules are docs/fairness.md#rule-2, docs/fairness.md#rule-4 and docs/fairness.md#rule-8.

What needs the data file to be known (sizes of `rest`, elements, units) is data/check.py's.
"""

from __future__ import annotations

from collections.abc import Collection

from mfsweep.errors import SpecError, nearest
from mfsweep.plan.expand import Cell, LiveStage
from mfsweep.plan.names import has_forces, known_method, known_subset
from mfsweep.plan.recipe import loss_weights
from mfsweep.quantities import Quantity
from mfsweep.spec.axes import references
from mfsweep.spec.data import TEST_SUBSET, Difference, SubsetName, parts
from mfsweep.spec.gathered import Gathered
from mfsweep.spec.load import FieldPath, Spec, shown
from mfsweep.spec.stage import Evaluation, LabelledSet, Rates

_FORCES = (Quantity.FORCE_MAE, Quantity.FORCE_RMSE)


def resolved_needs(spec: Spec, cells: list[Cell], found: Gathered) -> dict[SubsetName, tuple[str, ...]]:
    """Return each subset's label methods: as declared, else all that any cell trains on it or scores on it.

    A set of those that are labelled asks nothing of the others.

    What is declared and not known goes to `found`.
    """
    used: dict[str, set[str]] = {}
    evaluated = {id(cell.evaluations): cell.evaluations for cell in cells}
    stages = {id(live.stage): live for cell in cells for live in cell.stages.values()}
    derived = {name: made for live in stages.values() for name, made in live.mixture.derived.items()}
    sets = [labelled for live in stages.values() for labelled in live.mixture.sets]
    pairs = [(labelled.labels, labelled.subset) for labelled in sets if labelled.size != "labelled"]
    scores = [*evaluated.values(), *(live.stage.evaluate for live in stages.values())]
    pairs += [(evaluation.labels, evaluation.subset) for group in scores for evaluation in group]
    pairs += [(evaluation.base, evaluation.subset) for group in scores for evaluation in group if evaluation.base]
    for method, subset in pairs:
        used.setdefault(subset, set()).update(parts(method, derived))
    for difference in (made for made in derived.values() if isinstance(made, Difference)):
        # A prediction of its target needs the other method's values there.
        for group in scores:
            for evaluation in (one for one in group if one.labels == difference.target):
                used.setdefault(evaluation.subset, set()).add(difference.minus)
    declared = spec.experiment.data.splits.subsets()
    for name, subset in declared.items():
        for index, method in enumerate(subset.needs or ()):
            with found.errors():
                known_method(spec, method, ("data", "splits", name, "needs", index))
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


def tested_methods(cells: list[Cell]) -> frozenset[str]:
    """Return the label methods that any evaluation of any cell compares with on test structures, in their parts."""
    asked = {id(own): (own, live) for cell in cells for live in cell.stages.values() for own in live.stage.evaluate}
    asked |= {id(own): (own, cell.stages[cell.result]) for cell in cells for own in cell.evaluations}
    tests = ((own, live) for own, live in asked.values() if own.part == "test")
    return frozenset(part for own, live in tests for part in live.mixture.parts(own.labels))


def check_stage(
    spec: Spec, live: LiveStage, tests: frozenset[str], derived: Collection[str], targets: Collection[str]
) -> None:
    """Refuse a stage that names what is not there, or touches what it must not.

    Args:
        spec: for errors.
        live: the stage.
        tests: subsets that are called tests.
        derived: label methods that any stage of any cell makes of others.
        targets: label methods that predictions of test structures are compared with.

    Raises:
        SpecError: all that is wrong, with the places in the spec.
    """
    place: FieldPath = ("stages", live.name)
    found = Gathered()
    places = {(own.method, own.subset): (*place, "train", index) for index, own in enumerate(live.stage.train)}
    for labelled in live.mixture.sets:
        here = places[labelled.labels, labelled.subset]
        with found.errors():
            for method in live.mixture.parts(labelled.labels):
                known_method(spec, method, (*here, "labels"), labelled.subset)
        with found.errors():
            known_subset(spec, labelled.subset, (*here, "subset"))
            _check_test_labels(spec, live, labelled, tests, targets, here)
            _check_set(spec, live, labelled, here)
    with found.errors():
        _check_workers(spec, live, place)
    found.tell()  # the rest takes names that are known
    for check in (_check_derived, _check_select_on, _check_trainable):
        with found.errors():
            check(spec, live, place)
    with found.errors():
        _check_loss(spec, live, derived, place)
    found.tell()


def _check_set(spec: Spec, live: LiveStage, labelled: LabelledSet, place: FieldPath) -> None:
    subset = spec.experiment.data.splits.subsets()[labelled.subset]
    if labelled.end is not None and isinstance(subset.size, int) and labelled.end > subset.size:
        expected = f"at most the {subset.size} training structures that data.splits.{labelled.subset}.size gives"
        field = "size" if labelled.range is None else "range"
        raise _error(spec, (*place, field), labelled.extent, expected)
    if subset.validation == 0:
        where = ("data", "splits", labelled.subset, "validation")
        raise _error(spec, where, 0, f"a validation set, since stage {live.name!r} trains on this subset")


def _check_test_labels(
    spec: Spec,
    live: LiveStage,
    labelled: LabelledSet,
    tests: frozenset[str],
    targets: Collection[str],
    place: FieldPath,
) -> None:
    allowed = spec.experiment.data.allow_auxiliary_on_test
    for method in live.mixture.parts(labelled.labels):
        if labelled.subset in tests and method not in allowed:
            expected = f"training labels that are not on the test subset {labelled.subset!r}"
            if method in targets:
                expected += f": predictions are compared with the {method} labels of these structures"
            else:
                expected += f"; auxiliary labels there need data.allow_auxiliary_on_test: [{method}]"
            raise _error(spec, place, labelled.labels, expected)


def _check_derived(spec: Spec, live: LiveStage, place: FieldPath) -> None:
    """Refuse a difference or shuffle that means nothing, or whose name is another method's."""
    for index, own in enumerate(live.stage.train):
        if isinstance(own.labels, str) or own.method not in live.mixture.derived:
            continue
        here = (*place, "train", index, "labels")
        if len(set(own.labels.methods)) < len(own.labels.methods):
            raise _error(spec, here, own.method, "the difference of two label methods")
        if own.method in spec.experiment.data.labels:
            expected = f"another name of that method in data.labels: {own.method!r} is that of the derived labels here"
            raise _error(spec, ("data", "labels", own.method), own.method, expected)


def _check_trainable(spec: Spec, live: LiveStage, place: FieldPath) -> None:
    trainable, rate = live.stage.trainable, live.stage.learning_rate
    here = (*place, "continued") if "continued" in spec.experiment.stages[live.name] else place
    frozen = isinstance(rate, Rates) and not rate.backbone
    if live.parent is None and live.file is None and (trainable in ("readouts", "lora") or frozen):
        field, got = ("trainable", trainable) if trainable not in (None, "all") else ("learning_rate", "backbone: 0")
        expected = (
            "a backbone that trains in a stage without a parent: it would stay random. Write it under `continued:`"
        )
        raise _error(spec, (*place, field), got, expected)
    if trainable == "lora" and frozen:
        raise _error(spec, (*here, "learning_rate"), "backbone: 0", "a rate above 0, at which the adapters train")
    if trainable == "readouts" and isinstance(rate, Rates) and not rate.readouts:
        expected = "a learning rate above 0 for the readouts: with the backbone frozen nothing is left to train"
        raise _error(spec, (*here, "learning_rate"), rate.identity(), expected)
    if live.stage.lora is not None and trainable != "lora":
        raise _error(spec, (*here, "lora"), live.stage.lora.identity(), "`trainable: lora` beside it")


def check_evaluation(
    spec: Spec, live: LiveStage, evaluation: Evaluation, place: FieldPath, tests: frozenset[str]
) -> None:
    """Refuse an evaluation of what the stage cannot predict, or of labels that must not be known.

    Args:
        spec: for errors.
        live: the stage.
        evaluation: with everything filled in.
        place: where it stands.
        tests: subsets that are called tests.

    Raises:
        SpecError: with the place in the spec.
    """
    heads = sorted(set(live.mixture.heads.values()))
    if evaluation.head not in heads:
        expected = f"a head of stage {live.name!r} ({', '.join(heads)}); name one with `head:`"
        raise _error(spec, place, evaluation.head, expected)
    if evaluation.subset in tests:
        for method in live.mixture.parts(evaluation.labels):
            if method in spec.experiment.data.allow_auxiliary_on_test:
                expected = "no target method here: its labels of the test structures must not be trained on"
                raise _error(spec, ("data", "allow_auxiliary_on_test"), method, expected)


def _check_workers(spec: Spec, live: LiveStage, place: FieldPath) -> None:
    workers, batches = live.resources.workers, live.stage.batch.batches_per_step
    if batches % workers:
        expected = f"a multiple of resources.workers ({workers}), which share the batches of a step"
        raise _error(spec, (*place, "batch", "batches_per_step"), batches, expected)


def check_same_resources(spec: Spec, first: tuple[LiveStage, Cell], other: tuple[LiveStage, Cell]) -> None:
    """Refuse one stage for which two places of the spec, or two cells, ask for different resources.

    Args:
        spec: for errors.
        first: as it was met first, and in which cell.
        other: as it was met again.

    Raises:
        SpecError: with both places.
    """
    (was, before), (live, cell) = first, other
    if was.resources == live.resources:
        return
    where = f"stages.{was.name} (line {spec.document.line(('stages', was.name, 'resources'))}) has"
    if was.name == live.name:
        names = sorted(references(spec.experiment.stages[live.name]["resources"]))
        there, here = ({axis: one.values[axis] for axis in names if axis in one.values} for one in (before, cell))
        where = f"the cell with {there} has, in that with {here} too"
    got, wanted = live.resources.unlike(was.resources), was.resources.unlike(live.resources)
    expected = f"{shown(wanted)}, as {where}: it is one stage, trained once"
    raise _error(spec, ("stages", live.name, "resources"), got, expected)


def _check_loss(spec: Spec, live: LiveStage, derived: Collection[str], place: FieldPath) -> None:
    for method, weights in live.stage.loss.items():
        here = (*place, "loss", method)
        if method not in derived:
            known_method(spec, method, here)
        elif method not in live.mixture.derived:
            continue  # of another cell
        if weights.forces and not has_forces(spec, live, method):
            expected = f"0, or a key of forces in data.labels.{method}: the method is energy-only"
            raise _error(spec, (*here, "forces"), weights.forces, expected)
        if not (weights.energy or weights.forces):
            raise _error(spec, here, 0, "a weight above 0: nothing would be trained")
    for index, own in enumerate(live.stage.train):
        if own.use is None or own.method not in live.mixture.uses:
            continue
        here = (*place, "train", index, "use")
        if "forces" in own.use and not has_forces(spec, live, own.method):
            expected = f"[energy]: {own.method} has no forces (data.labels)"
            raise _error(spec, here, list(own.use), expected)
        left = loss_weights(spec, live, own.method)
        if not (left.energy or left.forces):
            expected = f"labels with a weight above 0 in the stage's loss of {own.method}: nothing would be trained"
            raise _error(spec, here, list(own.use), expected)


def _check_select_on(spec: Spec, live: LiveStage, place: FieldPath) -> None:
    asked = live.stage.select_on
    if isinstance(asked, dict):
        for path in asked:
            _check_selected(spec, live, path, (*place, "select_on", path))
    elif asked is not None:
        _check_selected(spec, live, asked, (*place, "select_on"))


def _check_selected(spec: Spec, live: LiveStage, select_on: str, here: FieldPath) -> None:
    methods = list(live.mixture.methods)
    part, *rest = select_on.split(".")
    if part == "test":
        raise _error(spec, here, select_on, "a metric of `validation`: test labels touch nothing but the last number")
    quantities = [quantity.value for quantity in Quantity]
    with_forces = {method: loss_weights(spec, live, method).forces > 0 for method in methods}
    asked = rest[0] if len(rest) == 2 and rest[0] in methods else methods[0]
    meant = [name for name in quantities if with_forces[asked] or name not in _FORCES]
    if part != "validation" or len(rest) not in (1, 2):
        raise _error(spec, here, select_on, "validation.<method>.<quantity>, or validation.loss")
    if rest[-1] not in quantities:
        raise _error(
            spec,
            here,
            select_on,
            f"a quantity ({', '.join(meant)}) in place of {rest[-1]!r}.{nearest(rest[-1], meant)}",
        )
    if len(rest) == 2 and rest[0] not in methods:
        raise _error(
            spec,
            here,
            select_on,
            f"a method this stage trains on ({', '.join(methods)}) in place of {rest[0]!r}.{nearest(rest[0], methods)}",
        )
    if len(rest) == 1 and rest[0] != Quantity.LOSS and len(methods) > 1:
        raise _error(spec, here, select_on, f"one with its method, as validation.{methods[0]}.{rest[0]}")
    if rest[-1] in _FORCES and not with_forces[asked]:
        raise _error(spec, here, select_on, f"an energy's metric: {asked} is trained without forces here")


def _error(spec: Spec, place: FieldPath, got: object, expected: str) -> SpecError:
    return spec.document.error(place, got, expected)
