"""Roughly how many bytes stages take, by a stage of the source study's size that was measured (tests/benchmarks).

Of a stage stay its weights, a file of them for each criterion, its compressed metrics, and what MLflow shows of them.
While it is trained there are its whole state, the one before, and its plain metrics instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from mfsweep.plan.cost import STOPS
from mfsweep.plan.graph import Node
from mfsweep.plan.heads import widths

ELEMENTS = 4
"""The study's H, C, N and O; the data need not be there when they are planned."""
WEIGHTS, STATE = 5.2, 16.0
"""Bytes a parameter: of a file of weights, of the whole state of a training."""
LINE, PACKED_LINE = 126.0, 21.0
"""Bytes a step of the metrics file, plain and compressed."""
ROW, ROWS = 260.0, 1000.0
"""Bytes of a row of MLflow's sqlite, and rows for each power of ten of steps."""


class Space(NamedTuple):
    """Bytes of some stages."""

    kept: float
    """When all are done."""
    largest: float
    """What the largest of them takes beside that while it is trained."""

    def needed(self, at_a_time: int) -> float:
        """Return the bytes for all of them with so many at a time."""
        return self.kept + at_a_time * self.largest


def space(nodes: Iterable[Node], known: Mapping[str, int]) -> Space:
    """Return what stages take.

    Args:
        nodes: the stages.
        known: key of a model -> trainable parameters, of models that were trained before.
    """
    kept = largest = 0.0
    for node in nodes:
        training, recipe = node.training, node.training.recipe
        model, own = training.model, widths(training.head_names, training.heads)
        hidden = [own[head] or (model.readout_hidden,) for head in training.head_names]
        parameters = known.get(model.key) or model.parameters(ELEMENTS, hidden)
        steps = recipe.max_steps or STOPS * recipe.schedule.stop_steps
        heads = len(training.head_names)
        files = 1 if heads == 1 else heads + 1
        rows = min(steps, ROWS * math.log10(steps + 1))
        kept += files * WEIGHTS * parameters + PACKED_LINE * steps + ROW * rows
        largest = max(largest, 2 * STATE * parameters + LINE * steps)  # last.pt, and the one before
    return Space(kept, largest)
