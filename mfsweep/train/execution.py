"""Which backend trains a stage: what its spec asks for, if that passes the gate on some of the stage's structures."""

from __future__ import annotations

import functools
import logging
import traceback
from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch

from mfsweep.data.batch import Batch, assemble
from mfsweep.data.padding import padded
from mfsweep.data.view import DataView
from mfsweep.models.base import Potential
from mfsweep.spec.execution import Execution
from mfsweep.spec.stage import Training
from mfsweep.train.graphed import Graphed
from mfsweep.train.loss import learns_forces
from mfsweep.train.parity import TF32_TOLERANCE, TOLERANCES, difference, in_full_precision
from mfsweep.train.state import TrainingState
from mfsweep.train.step import Backend, BatchResult, Task, find, fixed_shapes, moving
from mfsweep.train.tensors import Labelled, Sender
from mfsweep.train.world import World

_LOG = logging.getLogger(__name__)
_STRUCTURES = 4
"""Structures of each label method on which a backend is compared with eager PyTorch."""


class Ran(NamedTuple):
    """How the steps of a stage were computed."""

    backend: str = "eager"
    tf32: bool = False
    cuda_graphs: bool = False
    pad: str = "dynamic"
    fallback: str | None = None
    """Why it was not what the spec asks for."""


class Chosen(NamedTuple):
    """What trains a stage."""

    backend: Backend | None
    """None: eager PyTorch, without any of what a backend needs."""
    ran: Ran

    def fit(self, batch: Batch, cutoff: float) -> Batch:
        """Return a batch as the backend wants it, filled up where it wants few sizes."""
        return padded(batch, cutoff) if self.ran.pad == "bucketed" else batch


def _eager(model: Potential, _: Execution) -> Backend:
    parameters = list(moving(model).values())

    def compute(batch: Labelled, task: Task) -> BatchResult:
        with fixed_shapes(model):
            return find(model, parameters, batch, task)

    return compute


def _compiled(model: Potential, execution: Execution) -> Backend:
    from mfsweep.train.compiled import Compiled  # torch's compiler takes longer to import than a small stage

    # In CUDA graphs each size is recorded, which takes a second; compiled, it would take minutes.
    return Compiled(model, dynamic=execution.graphs or execution.padding == "dynamic")


def _by_kernels(model: Potential, _: Execution, library: str) -> Backend:
    forward, parameters = model.by_kernels(library), list(moving(model).values())
    return lambda batch, task: find(forward, parameters, batch, task)


BACKENDS: dict[str, Callable[[Potential, Execution], Backend]] = {
    "eager": _eager,
    "compile": _compiled,
    "cueq": functools.partial(_by_kernels, library="cueq"),
    "oeq": functools.partial(_by_kernels, library="oeq"),
}
"""`execution.backend` of a spec -> what makes it for a model."""


def choose(execution: Execution, state: TrainingState, view: DataView, world: World) -> Chosen:
    """Return the backend of a spec if it passes the gate, else eager PyTorch with a word in the log; on every rank.

    Args:
        execution: what the spec asks for.
        state: the training before its next step.
        view: its data.
        world: this rank among its group; a backend that fails on one rank trains on none.
    """
    on_gpu = world.device.type == "cuda"
    if on_gpu:  # of a CPU "high" means something else
        torch.set_float32_matmul_precision("high" if execution.tf32 else "highest")
    words: list[str] = []
    for ran in _candidates(execution, state.model, on_gpu=on_gpu):
        if ran.backend == "eager" and not ran.cuda_graphs:
            break
        chosen, fault = None, None
        try:
            backend = BACKENDS[ran.backend](state.model, execution)
            chosen = Chosen(Graphed(backend) if ran.cuda_graphs else backend, ran)
            fault = _fault(chosen, state, view, world.device)
        except Exception as error:  # noqa: BLE001 (whatever a compiler or a foreign kernel raises, eager PyTorch can train)
            fault = f"{type(error).__name__}: {_first_line(error)}"
            _LOG.debug("the whole error", exc_info=True)
        failed = torch.tensor([float(fault is not None)], device=world.device)
        world.sum_(failed)
        if chosen is not None and not failed.item():
            return chosen._replace(ran=ran._replace(fallback="; ".join(words) or None))
        what = f"{ran.backend}{' in CUDA graphs' if ran.cuda_graphs else ''}"
        words.append(f"{what} does not train this stage: {fault or 'it failed on another worker'}")
        _LOG.warning(words[-1])
    return Chosen(None, Ran(tf32=execution.tf32 and on_gpu, fallback="; ".join(words) or None))


def _candidates(execution: Execution, model: Potential, *, on_gpu: bool) -> list[Ran]:
    """Return what is tried one after another before eager PyTorch, batch by batch."""
    names = [execution.backend]
    if execution.backend == "auto":
        names = [*(name for name in ("cueq", "oeq") if on_gpu and model.has_kernels(name)), "eager"]
    graphs = execution.graphs and on_gpu
    return [
        Ran(name, execution.tf32 and on_gpu, graphs, execution.padding if name != "eager" or graphs else "dynamic")
        for name in names
    ]


def _fault(chosen: Chosen, state: TrainingState, view: DataView, device: torch.device) -> str | None:
    """Return where a backend differs from eager PyTorch on structures of the stage, or None."""
    assert chosen.backend is not None
    model, training = state.model, state.training
    names, parameters = list(moving(model)), list(moving(model).values())
    sender = Sender(model.shape.elements, parameters[0].dtype, device)
    tolerance = TF32_TOLERANCE if chosen.ran.tf32 else TOLERANCES[training.precision]
    for method, arrays in samples(state, view):
        task = task_of(training, method)
        batch = sender.labelled(arrays)
        reference = in_full_precision(lambda batch=batch, task=task: find(model, parameters, batch, task))
        own = chosen.backend(sender.labelled(chosen.fit(arrays, model.cutoff)), task)
        if differs := difference(reference, own, names, tolerance):
            return f"of the head {task.head}, {differs}"
    return None


def task_of(training: Training, method: str) -> Task:
    """Return what a training asks of the batches of a label method."""
    return Task(training.head_of(method), learns_forces(training, method), training.recipe.loss[method])


def samples(state: TrainingState, view: DataView) -> Iterator[tuple[str, Batch]]:
    """Yield a small batch of each label method of a training."""
    training = state.training
    for method in training.methods:
        labelled = next(own for own in training.sets if own.labels == method)
        indices = view.training(labelled)[:_STRUCTURES]
        forces = learns_forces(training, method)
        yield method, assemble(view, indices, method, state.offsets[method], state.model.cutoff, forces)


def _first_line(error: Exception) -> str:
    place = traceback.extract_tb(error.__traceback__)[-1]
    nameless = f"without a word, at line {place.lineno} of {place.filename}"
    return next((line.strip() for line in str(error).splitlines() if line.strip()), nameless)
