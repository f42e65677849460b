"""Which checkpoints are kept: the selected one, and the best of every readout head.

`select_on` names the one metric of schedule, stop and selected checkpoint (README rule 8). A head of the method that
`select_on` names is judged by it, and so is an only head; any other by its own `validation.<head>.loss`. So an error of
a method is always scored by the checkpoint that was best on *that* method's validation set.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from mfsweep.errors import TrainingError, nearest
from mfsweep.quantities import Quantity, metric_path

TOTAL_LOSS = "validation.loss"
"""Mean of the methods' validation losses, weighted by the probabilities of their labelled sets."""


class Best(NamedTuple):
    """The weights at the step where a metric was lowest so far."""

    metric: str
    step: int
    value: float
    metrics: dict[str, float]
    """All validation metrics of that step."""
    parameters: Tensor
    """The flat parameters."""


class Selection(NamedTuple):
    """What is kept so far; `None` before the first validation."""

    metrics: dict[str, str]
    """Head -> the metric that judges it."""
    select_on: str
    selected: Best | None = None
    heads: dict[str, Best] = {}  # noqa: RUF012 (never written to: `updated` makes a new one)

    def updated(self, step: int, metrics: Mapping[str, float], parameters: Tensor) -> Selection:
        """Return the selection after a validation.

        Args:
            step: of the validation.
            metrics: its metrics, by full path.
            parameters: the flat parameters, a copy that nobody writes to.
        """

        def better(best: Best | None, metric: str) -> Best:
            if best is not None and metrics[metric] >= best.value:
                return best
            return Best(metric, step, metrics[metric], dict(metrics), parameters)

        heads = {head: better(self.heads.get(head), metric) for head, metric in self.metrics.items()}
        return self._replace(selected=better(self.selected, self.select_on), heads=heads)

    def state(self) -> dict[str, Any]:
        """Return plain data and tensors."""
        assert self.selected is not None, "saved after a validation"
        return {
            "selected": self.selected._asdict(),
            "heads": {head: best._asdict() for head, best in self.heads.items()},
        }

    def restored(self, state: Mapping[str, Any]) -> Selection:
        """Return the selection whose `state` this is."""
        heads = {head: Best(**best) for head, best in state["heads"].items()}
        return self._replace(selected=Best(**state["selected"]), heads=heads)


def selection(select_on: str | None, heads: Sequence[str], quantities: Mapping[str, Sequence[Quantity]]) -> Selection:
    """Return the empty selection of a training.

    Args:
        select_on: the recipe's; None: `validation.loss`.
        heads: readout heads.
        quantities: head -> what its validation measures.

    Raises:
        TrainingError: `select_on` is no metric of this training.
    """
    known = [TOTAL_LOSS] + [metric_path("validation", head, name) for head in heads for name in quantities[head]]
    select_on = select_on or TOTAL_LOSS
    if select_on not in known:
        raise TrainingError(
            f"select_on: {select_on!r} is no metric of this training; expected one of {', '.join(known)}."
            + nearest(select_on, known)
        )
    metrics = {
        head: select_on
        if len(heads) == 1 or select_on.startswith(f"validation.{head}.")
        else metric_path("validation", head, Quantity.LOSS)
        for head in heads
    }
    return Selection(metrics, select_on)
