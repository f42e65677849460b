"""What the stages of a plan will measure, and whether a path names some of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from mfsweep.errors import nearest
from mfsweep.plan.graph import Node, StageGraph
from mfsweep.quantities import BEST, RESULT, MetricPath, Quantity, best_path, metric_path, misspelt, told_apart
from mfsweep.spec.data import TEST_SUBSET
from mfsweep.spec.load import FieldPath, Spec

_FORCES = (Quantity.FORCE_MAE, Quantity.FORCE_RMSE)


def measured_by(spec: Spec, graph: StageGraph) -> dict[str, tuple[str, ...]]:
    """Return stage key -> the names of the metrics that the stage will have (quantities.py)."""
    measured: dict[str, tuple[str, ...]] = {}
    made: dict[tuple[int, ...], tuple[str, ...]] = {}
    for key, node in graph.nodes.items():
        # The stages of a large grid share their recipes, whose `loss` names the methods: each kind is looked at once.
        kind = (id(node.training.recipe), *map(id, node.evaluations))
        measured[key] = made[kind] = made.get(kind) or _measured(spec, node)
    return measured


def check_path(
    spec: Spec, graph: StageGraph, measured: Mapping[str, tuple[str, ...]], place: FieldPath, text: str
) -> None:
    """Refuse a path of a metric that no stage will have, or that leaves open which of several it means.

    Args:
        spec: for the error's place.
        graph: the stages, and the cells that the path is looked for in.
        measured: of `measured_by`.
        place: where the path stands in the spec.
        text: the path.

    Raises:
        SpecError: with the place.
    """
    if misspelt(text):
        expected = misspelt(text, _quantities(graph, measured, text))
        assert expected is not None
        raise spec.document.error(place, text, expected)
    path = MetricPath.parse(text)
    if path.stage not in (*spec.experiment.stages, RESULT):
        trained = {name for planned in graph.cells for name in planned.keys}
        known = (*(name for name in spec.experiment.stages if name in trained or not graph.cells), RESULT)
        expected = f"a stage ({', '.join(known)}) in place of {path.stage!r}.{nearest(path.stage, known)}"
        raise spec.document.error(place, text, expected)
    keys = (planned.keys.get(planned.cell.result if path.stage == RESULT else path.stage) for planned in graph.cells)
    stages = list(dict.fromkeys(measured[key] for key in keys if key is not None))
    if not stages:
        expected = f"a stage that some cell trains: {path.stage} is empty in each, or no result starts from it"
        raise spec.document.error(place, text, expected)
    meant = [path.among(metrics) for metrics in stages]
    if not any(meant):
        have = dict.fromkeys(key for metrics in stages for key in metrics)
        known = dict.fromkeys([*spec.experiment.data.labels, *_methods(measured)])
        raise spec.document.error(place, text, _instead(path, have, known))
    for several in (keys for keys in meant if len(keys) > 1):
        apart = " and ".join(told_apart(several))
        expected = f"one of them by its name, as in {path.stage}.{several[0]}: the stage has {apart} there"
        raise spec.document.error(place, text, expected)


def _quantities(graph: StageGraph, measured: Mapping[str, tuple[str, ...]], text: str) -> list[str]:
    """Return the quantities that the stage of a path measures, of its method if it names one; else all."""
    stage, *rest = text.split(".")
    method = rest[1] if len(rest) == 3 else None
    metrics = [
        metric
        for planned in graph.cells
        for name, key in planned.keys.items()
        if name == (planned.cell.result if stage == RESULT else stage)
        for metric in measured[key]
    ]
    own = [metric for metric in metrics if method in metric.split(".")]
    found = {metric.rpartition(".")[2] for metric in own or metrics}
    return [name for name in Quantity if name in found or not found]


def _methods(measured: Mapping[str, Iterable[str]]) -> Iterator[str]:
    """Yield the label methods of what stages measure, those that the plan derives among them."""
    for key in (key for metrics in dict.fromkeys(map(tuple, measured.values())) for key in metrics):
        _, *method, _ = key.split(".")
        yield from (name.partition("@")[0] for name in method)


def _instead(path: MetricPath, have: Iterable[str], known: Collection[str]) -> str:
    """Return what is expected in place of a path that names none of the metrics that a stage has.

    Args:
        path: the path.
        have: the metrics of the stages that it means.
        known: all label methods of the sweep.
    """
    metrics = [_Name.of(key) for key in have]
    parts = list(dict.fromkeys(one.part for one in metrics))
    of_part = [one for one in metrics if one.part == path.part]
    subsets = list(dict.fromkeys(one.subset for one in of_part if one.subset))
    there = [one for one in of_part if path.subset in (None, one.subset)]
    methods = list(dict.fromkeys(one.method for one in there if one.method))
    if path.method is not None and path.method.partition("@")[0] not in known:
        return f"a label method ({', '.join(known)}) in place of {path.method!r}.{nearest(path.method, known)}"
    where = "the spec's `evaluate:`" if path.stage == RESULT else f"`evaluate:` of stage {path.stage}"
    if path.part not in parts:
        return f"a part on which the stage is scored ({', '.join(parts)}); {where} adds one"
    if not there:
        return f"a subset of which its {path.part} part is scored ({', '.join(subsets) or 'none'}); {where} adds one"
    if path.method is not None and path.method not in methods:
        shown = [method for method in methods if not method.endswith(f"@{BEST}")]
        near = nearest(path.method, shown)
        hint = f"; `checkpoint: {BEST}` in {where} adds it" if path.best else f".{near}"
        return f"a method of the stage's {path.part} errors ({', '.join(shown)}) in place of {path.method!r}{hint}"
    quantities = dict.fromkeys(one.quantity for one in there if path.method in (None, one.method))
    return f"a quantity that is measured there ({', '.join(quantities)}) in place of {path.quantity.value!r}"


class _Name(NamedTuple):
    """The pieces of a metric's name."""

    part: str
    subset: str
    """Empty of the stage's own validation."""
    method: str | None
    """With head and checkpoint; None: of all methods together."""
    quantity: str

    @classmethod
    def of(cls, metric: str) -> _Name:
        place, *method, quantity = metric.split(".")
        part, _, subset = place.partition("@")
        subset = subset or (TEST_SUBSET if part == "test" else "")
        return cls(part, subset, method[0] if method else None, quantity)


def _measured(spec: Spec, node: Node) -> tuple[str, ...]:
    """Return the names of the metrics that a stage will have, each once."""
    training, labels = node.training, spec.experiment.data.labels
    found = [f"validation.{Quantity.LOSS}"]
    for method in training.methods:
        absent = () if training.recipe.loss[method].forces else _FORCES
        own = [metric_path("validation", method, quantity) for quantity in Quantity if quantity not in absent]
        found += [*own, *map(best_path, own)]
    for evaluation in node.evaluations:
        derived = (training.data.derived or {}).get(evaluation.labels)
        behind = [
            *(derived.methods if derived else [evaluation.labels]),
            *([evaluation.base] if evaluation.base else []),
        ]
        forces = all(labels[part].forces for part in behind)
        absent = (Quantity.LOSS, *(() if forces else _FORCES))
        found += [f"{evaluation.name}.{quantity}" for quantity in Quantity if quantity not in absent]
    assert len(set(found)) == len(found), "check_name has seen every evaluation"
    return tuple(found)
