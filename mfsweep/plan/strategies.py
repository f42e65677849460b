"""What a cell does with the cheaper labels, told from its stages: its strategy, in the field's words.

    direct                                one training on the target's labels alone, from fresh weights
    pre-training on dft                   stages on other labels first, of several `pre-training on xtb, dft`
    multi-head with dft                   a head for each method in one training, of several heads `with dft, xtb`
    one head with dft                     the same through one head
    delta-learning on dft                 the difference to another method is learned
    ..., then fine-tuning                 after a training that had the target's labels already
    ..., frozen backbone | LoRA           what of the result's model is trained
    ..., fresh head                       its head does not start from the parent's

Names of axes and stages play no role.
"""

from __future__ import annotations

from collections.abc import Sequence

from mfsweep.plan.graph import Node, PlannedCell, StageGraph
from mfsweep.spec.data import Difference, parts
from mfsweep.spec.stage import FRESH, Rates, Training

DIRECT = "direct"


def strategy(graph: StageGraph, planned: PlannedCell) -> str:
    """Return the strategy of one cell of a graph.

    The target is the method that the result is scored on, of several the first that it has learned.
    """
    *before, result = graph.lineage(planned.keys[planned.cell.result])
    target = _target(planned, result.training)
    said = _before(before, target, from_file=(before or [result])[0].training.file is not None)
    own = _alone(result.training, target)
    if own is not None:
        said.append(own)
    elif before and any(target in _parts(node.training) for node in before):
        said.append("then fine-tuning")
    return ", ".join([*(said or [DIRECT]), *_kept(result.training, target)])


def minus(graph: StageGraph, planned: PlannedCell) -> tuple[str, ...]:
    """Return the methods that a prediction of a cell's result needs to be computed too: what differences are to."""
    training = graph.nodes[planned.keys[planned.cell.result]].training
    return tuple(one.minus for one in _differences(training))


def _target(planned: PlannedCell, training: Training) -> str:
    scored = [evaluation.labels for evaluation in planned.cell.evaluations]
    learned = _parts(training)
    return next((method for method in scored if method in learned), next(iter(scored), training.methods[0]))


def _parts(training: Training) -> set[str]:
    derived = training.data.derived or {}
    return {part for method in training.methods for part in parts(method, derived)}


def _before(before: Sequence[Node], target: str, *, from_file: bool) -> list[str]:
    """Return what comes before the result; pre-trainings that follow each other in one text."""
    said = ["from a model file"] if from_file else []
    methods: list[str] = []
    for node in before:
        alone = _alone(node.training, target)
        if target in _parts(node.training) and alone is not None:
            said += [f"pre-training on {', '.join(methods)}"] if methods else []
            methods = []
            said.append(alone)
        else:
            methods += node.training.methods
    return [*said, f"pre-training on {', '.join(methods)}"] if methods else said


def _alone(training: Training, target: str) -> str | None:
    """Return what one training with the target's labels does beside learning these; None where it does no more."""
    if differences := _differences(training):
        return f"delta-learning on {', '.join(one.minus for one in differences)}"
    others = [method for method in training.methods if method != target]
    if not others:
        return None
    if target not in training.methods:
        return f"training on {', '.join(others)} alone"
    heads = "multi-head" if len(training.head_names) > 1 else "one head"
    return f"{heads} with {', '.join(others)}"


def _differences(training: Training) -> list[Difference]:
    derived = training.data.derived or {}
    return [one for method in training.methods if isinstance(one := derived.get(method), Difference)]


def _kept(training: Training, target: str) -> list[str]:
    said: list[str] = []
    recipe, rates = training.recipe, training.recipe.learning_rate
    if recipe.trainable == "readouts" or (isinstance(rates, Rates) and rates.backbone == 0):
        said.append("frozen backbone")
    if recipe.trainable == "lora":
        said.append("LoRA")
    if training.parent is not None or training.file is not None:
        derived = training.data.derived or {}
        names = {training.head_of(method) for method in training.methods if target in (method, *parts(method, derived))}
        heads = [head for name, head in (training.heads or {}).items() if name in names]
        if any(head.source == FRESH for head in heads):
            said.append("fresh head of another width" if any(head.hidden for head in heads) else "fresh head")
    return said
