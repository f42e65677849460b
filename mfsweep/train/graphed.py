"""Steps recorded as CUDA graphs: what is launched for a batch of one size is launched again for the next, at once.

A step of a small batch is hundreds of kernels that take less time than their launch from Python does.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from mfsweep.train.step import Backend, BatchResult, Task
from mfsweep.train.tensors import Labelled

LIMIT = 64
"""Graphs that are kept; each keeps its intermediate results' place in the GPU's memory, which all share."""
_WARMUP = 3
"""Runs before the recording, in which libraries choose their kernels."""


class _Recorded(NamedTuple):
    graph: torch.cuda.CUDAGraph
    inputs: dict[str, Tensor]
    found: BatchResult


class Graphed:
    """A backend that records another one, for each task and size of batch that comes."""

    def __init__(self, inner: Backend) -> None:
        self._inner = inner
        self._recorded: dict[Any, _Recorded] = {}
        self._pool: Any = None

    def __call__(self, batch: Labelled, task: Task) -> BatchResult:
        """Compute a batch; what is returned stands until the next call, but for the energies."""
        tensors = batch.tensors()
        key = (task, tuple((name, tensor.shape) for name, tensor in tensors.items()))
        if key not in self._recorded:
            if len(self._recorded) == LIMIT:
                return self._inner(batch, task)
            self._recorded[key] = self._record(tensors, task)
        own = self._recorded[key]
        for name, tensor in own.inputs.items():
            tensor.copy_(tensors[name])
        own.graph.replay()
        return own.found._replace(energy=own.found.energy.clone())

    def _record(self, tensors: dict[str, Tensor], task: Task) -> _Recorded:
        inputs = {name: tensor.clone() for name, tensor in tensors.items()}
        batch = Labelled.of(inputs)
        aside = torch.cuda.Stream()
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(_WARMUP):
                self._inner(batch, task)
        torch.cuda.current_stream().wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Beside it a thread prepares the next batch: its calls are no part of the recording.
        with torch.cuda.graph(graph, pool=self._pool, capture_error_mode="thread_local"):
            found = self._inner(batch, task)
        self._pool = graph.pool()
        return _Recorded(graph, inputs, found)
