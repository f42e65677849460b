"""The optimiser steps between two validations, or up to a checkpoint between them.

No DistributedDataParallel: it averages gradients over ranks and wants the same graph on each. Here a step's batches
are fixed before they are shared out (rank r of W takes every W-th), they differ in head and in whether forces are
computed, and some ranks may have none; so each rank adds up the gradients of sum-of-loss / global count over its
batches, zeros where it has none, and one all-reduce sums them. The result does not depend on W, but for rounding.

Nothing here waits for the device: losses stay on it until the next validation.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mfsweep.data.batch import Batch, assemble
from mfsweep.data.sampler import DrawnBatch, Pass
from mfsweep.data.view import DataView
from mfsweep.errors import TrainingError
from mfsweep.train.between import Unvalidated
from mfsweep.train.execution import Chosen, Ran, task_of
from mfsweep.train.loss import summed_loss
from mfsweep.train.state import TrainingState
from mfsweep.train.step import Task, moving
from mfsweep.train.tally import PassId
from mfsweep.train.tensors import Labelled, Sender
from mfsweep.train.world import World


class Period(NamedTuple):
    """What some steps between two validations gave. M label methods, K steps."""

    first: int
    """The step before them."""
    times: list[float]
    """(K,) unix time at the end of each step."""
    losses: np.ndarray
    """(K, M) sums over structures of the loss, over all ranks."""
    counts: np.ndarray
    """(K, M) structures, over all ranks."""
    passes: list[list[Pass]]
    """(K,) the passes over labelled sets that each step finished."""
    trained: dict[PassId, int]
    """Structures that all ranks together trained on in each of these passes."""
    seconds: float

    def after(self, earlier: Unvalidated | None) -> Unvalidated:
        """Return what these steps and those before them gave."""
        if earlier is None:
            return Unvalidated(self.losses, self.counts, self.seconds)
        losses = np.concatenate([earlier.losses, self.losses])
        counts = np.concatenate([earlier.counts, self.counts])
        return Unvalidated(losses, counts, earlier.seconds + self.seconds)


class _Predicted(NamedTuple):
    """The energies of one batch, kept on the device so that an error can name the structure."""

    row: int
    method: str
    indices: np.ndarray
    """(S,) structures."""
    energy: Tensor
    """(S,) as predicted."""


class _Ready(NamedTuple):
    """One batch of this rank, on its device."""

    drawn: DrawnBatch
    arrays: Batch
    batch: Labelled


class _Step(NamedTuple):
    """One step, before it is computed."""

    drawn: list[DrawnBatch]
    """Its batches on all ranks."""
    passes: list[Pass]
    """Those that it finishes."""
    own: list[_Ready]


EAGER = Chosen(None, Ran())
"""Eager PyTorch, batch by batch."""


def optimise(
    state: TrainingState,
    view: DataView,
    until: int,
    world: World,
    chosen: Chosen = EAGER,
    pauses: Callable[[], bool] = lambda: False,
) -> Period:
    """Run optimiser steps up to and with step `until`, or fewer, on every rank together.

    Args:
        state: the training; it moves on.
        view: its data.
        until: the step to stop after.
        world: this rank among its group.
        chosen: what computes the batches.
        pauses: whether the steps end after the next one, which is asked before each; the same on every rank.

    Raises:
        TrainingError: a loss that is not finite (the text names step, method and structures), or a pass that did not
            train on each structure once.
    """
    training, model, methods = state.training, state.model, state.training.methods
    tasks = {method: task_of(training, method) for method in methods}
    sender = Sender(model.shape.elements, state.flat.values.dtype, world.device)
    first, number = state.step, until - state.step
    losses = torch.zeros((number, len(methods)), dtype=torch.float64, device=world.device)
    counts = np.zeros((number, len(methods)), dtype=np.int64)
    history: list[list[DrawnBatch]] = []
    predicted: list[_Predicted] = []
    passes: list[list[Pass]] = []
    times: list[float] = []
    compute = _computation(state, chosen)

    def ready(drawn: DrawnBatch) -> _Ready:
        method = drawn.method
        arrays = assemble(view, drawn.indices, method, state.offsets[method], model.cutoff, tasks[method].forces)
        arrays = chosen.fit(arrays, model.cutoff)
        return _Ready(drawn, arrays, sender.labelled(arrays))

    def prepare() -> _Step:
        step = state.sampler.step()
        return _Step(step, state.sampler.passes(), [ready(drawn) for drawn in step[world.rank :: world.size]])

    began = time.monotonic()
    for row, step in enumerate(_ahead(prepare, number, world, pauses)):
        for drawn in step.drawn:
            counts[row, methods.index(drawn.method)] += len(drawn.indices)
        count = int(counts[row].sum())
        state.flat.gradients.zero_()
        for drawn, arrays, batch in step.own:
            loss, energy = compute(batch, tasks[drawn.method], count)
            losses[row, methods.index(drawn.method)] += loss
            predicted.append(_Predicted(row, drawn.method, arrays.index, energy[: len(arrays.index)]))
            state.tally.add(PassId(drawn.set, drawn.number), arrays.index)
        world.sum_(state.flat.gradients)
        state.optimizer.step()
        state.step += 1
        history.append(step.drawn)
        passes.append(step.passes)
        times.append(time.time())
    losses, counts = losses[: len(times)], counts[: len(times)]
    world.sum_(losses)
    state.tally.gather({PassId(drawn.set, drawn.number) for step in history for drawn in step}, world)
    finished = [PassId(done.set, done.number) for step in passes for done in step]
    trained = {done: state.tally.close(done) for done in finished}
    period = Period(first, times, losses.cpu().numpy(), counts, passes, trained, time.monotonic() - began)
    _require_finite(period, history, predicted, state, view, world)
    return period


def _ahead(prepare: Callable[[], _Step], number: int, world: World, pauses: Callable[[], bool]) -> Iterator[_Step]:
    """Yield so many steps, or fewer; beside a GPU that computes one, a thread prepares the next."""
    # A step that was prepared is computed: the sampler stands behind it.
    if world.device.type != "cuda":
        for row in range(number):
            step = prepare()
            last = row + 1 < number and pauses()
            yield step
            if last:
                return
        return
    with ThreadPoolExecutor(1) as thread:
        coming = thread.submit(prepare)
        for row in range(number):
            step = coming.result()
            last = row + 1 == number or pauses()
            if not last:
                coming = thread.submit(prepare)
            yield step
            if last:
                return


def _computation(state: TrainingState, chosen: Chosen) -> Callable[[Labelled, Task, int], tuple[Tensor, Tensor]]:
    """Return what adds the gradients of a batch's loss / count to the others', and gives its loss and energies."""
    backend = chosen.backend
    if backend is None:

        def eager(batch: Labelled, task: Task, count: int) -> tuple[Tensor, Tensor]:
            prediction = state.model(batch.graph, task.head, forces=task.forces)
            loss = summed_loss(prediction, batch, task.weights)
            (loss / count).backward()
            return loss.detach(), prediction.energy.detach()

        return eager
    views = [parameter.grad for parameter in moving(state.model).values() if parameter.grad is not None]

    def compute(batch: Labelled, task: Task, count: int) -> tuple[Tensor, Tensor]:
        found = backend(batch, task)
        torch._foreach_add_(views, list(found.gradients), alpha=1 / count)
        return found.loss, found.energy

    return compute


def _require_finite(
    period: Period,
    history: list[list[DrawnBatch]],
    predicted: list[_Predicted],
    state: TrainingState,
    view: DataView,
    world: World,
) -> None:
    bad = np.argwhere(~np.isfinite(period.losses))
    if not len(bad):
        return
    row, column = (int(index) for index in bad[0])
    method = state.training.methods[column]
    indices = np.concatenate([drawn.indices for drawn in history[row] if drawn.method == method])
    # The losses are those of all ranks: every rank comes here, and each knows its own batches.
    flags = torch.zeros(len(indices), device=world.device)
    for own in predicted:
        if (own.row, own.method) == (row, method):
            flags[torch.from_numpy(np.isin(indices, own.indices[(~torch.isfinite(own.energy)).cpu().numpy()]))] = 1
    world.sum_(flags)
    wrong = flags.cpu().numpy() > 0
    indices = np.unique(indices[wrong] if wrong.any() else indices)
    names = "; ".join(view.structures.describe(int(index)) for index in indices[:3])
    raise TrainingError(
        f"{view.place}: the {method} loss is not finite at step {period.first + row + 1}, on {names}"
        + (f" and {len(indices) - 3} more" if len(indices) > 3 else "")
        + ". Expected a finite loss: look at the geometries (two atoms at one place?) and labels of these structures, "
        "or lower the stage's learning_rate"
    )
