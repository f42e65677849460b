"""Which checkpoints are kept: the selected one, and the best of every readout head.

`select_on` is the one criterion of schedule, stop and selected checkpoint (docs/fairness.md#rule-8): a metric, or a
weighted mean of several. All errors of a training are those of its selected checkpoint.

Beside it the best of every head is kept, for scores that ask for it, and so that it can be told whether the head was
still improving when the training ended. A head is judged by `select_on` where that names no method of another head, and
so is an only head; any other by the `validation.<method>.loss` of what it learns.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from torch import Tensor

from mfsweep.errors import TrainingError, nearest
from mfsweep.quantities import Quantity, metric_path

TOTAL_LOSS = "validation.loss"
"""Mean of the methods' validation losses, weighted by the probabilities of their labelled sets."""


class Criterion(NamedTuple):
    """A weighted mean of validation metrics, by which checkpoints are compared; lower is better."""

    weights: dict[str, float]
    """Metric -> its weight; they sum to 1."""

    @classmethod
    def of(cls, metrics: str | Mapping[str, float]) -> Criterion:
        """Return the criterion of one metric, or of several with weights that need not sum to 1."""
        if isinstance(metrics, str):
            return cls({metrics: 1.0})
        total = sum(metrics.values())
        return cls({metric: weight / total for metric, weight in metrics.items()})

    @property
    def name(self) -> str:
        """Return the metric, or for example `0.75 validation.cc.loss + 0.25 validation.dft.loss`."""
        if len(self.weights) == 1:
            return next(iter(self.weights))
        return " + ".join(f"{weight:.3g} {metric}" for metric, weight in self.weights.items())

    def value(self, metrics: Mapping[str, float]) -> float:
        """Return the mean, from validation metrics by full path."""
        return sum(weight * metrics[metric] for metric, weight in self.weights.items())


class BestWeights(NamedTuple):
    """The weights at the step where a criterion was lowest so far."""

    metric: str
    """The criterion's name."""
    step: int
    value: float
    metrics: dict[str, float]
    """All validation metrics of that step."""
    parameters: Tensor
    """The flat parameters."""


class Selection(NamedTuple):
    """What is kept so far; `None` before the first validation."""

    judges: dict[str, Criterion]
    """Head -> what judges it."""
    select_on: Criterion
    selected: BestWeights | None = None
    heads: dict[str, BestWeights] = {}  # noqa: RUF012 (never written to: `updated` makes a new one)

    def updated(self, step: int, metrics: Mapping[str, float], parameters: Tensor) -> Selection:
        """Return the selection after a validation.

        Args:
            step: of the validation.
            metrics: its metrics, by full path.
            parameters: the flat parameters, a copy that nobody writes to.
        """

        def better(best: BestWeights | None, criterion: Criterion) -> BestWeights:
            value = criterion.value(metrics)
            if best is not None and value >= best.value:
                return best
            return BestWeights(criterion.name, step, value, dict(metrics), parameters)

        heads = {head: better(self.heads.get(head), judge) for head, judge in self.judges.items()}
        return self._replace(selected=better(self.selected, self.select_on), heads=heads)

    def state(self) -> dict[str, Any]:
        """Return plain data and tensors."""
        return {
            "selected": self.selected._asdict() if self.selected else None,
            "heads": {head: best._asdict() for head, best in self.heads.items()},
        }

    def restored(self, state: Mapping[str, Any]) -> Selection:
        """Return the selection whose `state` this is."""
        heads = {head: BestWeights(**best) for head, best in state["heads"].items()}
        selected = BestWeights(**state["selected"]) if state["selected"] else None
        return self._replace(selected=selected, heads=heads)


def selection(
    select_on: str | Mapping[str, float] | None,
    heads: Mapping[str, Mapping[str, float]],
    quantities: Mapping[str, Iterable[Quantity]],
) -> Selection:
    """Return the empty selection of a training.

    Args:
        select_on: the recipe's; None: `validation.loss`.
        heads: readout head -> the methods that it learns -> probability of a batch of theirs.
        quantities: method -> what its validation measures.

    Raises:
        TrainingError: `select_on` names what is no metric of this training.
    """
    known = [TOTAL_LOSS] + [
        metric_path("validation", method, name) for method in quantities for name in quantities[method]
    ]
    wanted = Criterion.of(select_on or TOTAL_LOSS)
    for metric in wanted.weights:
        if metric not in known:
            raise TrainingError(
                f"select_on: {metric!r} is no metric of this training; expected one of {', '.join(known)}."
                + nearest(metric, known)
            )
    return Selection({head: _judge(wanted, methods, len(heads)) for head, methods in heads.items()}, wanted)


def _judge(wanted: Criterion, methods: Mapping[str, float], heads: int) -> Criterion:
    own = [metric_path("validation", method, "") for method in methods]
    if heads == 1 or all(metric.startswith(tuple(own)) for metric in wanted.weights):
        return wanted
    return Criterion.of({metric_path("validation", method, Quantity.LOSS): share for method, share in methods.items()})
