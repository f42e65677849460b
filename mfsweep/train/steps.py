"""The optimiser steps between two validations.

No DistributedDataParallel: it averages gradients over ranks and wants the same graph on each. Here a step's batches
are fixed before they are shared out (rank r of W takes every W-th), they differ in head and in whether forces are
computed, and some ranks may have none; so each rank adds up the gradients of sum-of-loss / global count over its
batches, zeros where it has none, and one all-reduce sums them. The result does not depend on W, but for rounding.

Nothing here waits for the device: losses stay on it until the next validation.
"""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mfsweep.data.batch import assemble
from mfsweep.data.dataset import Dataset
from mfsweep.data.sampler import Drawn, Pass
from mfsweep.errors import TrainingError
from mfsweep.train.loss import learns_forces, summed_loss
from mfsweep.train.state import State
from mfsweep.train.tally import PassId
from mfsweep.train.tensors import Sender
from mfsweep.train.world import World


class Period(NamedTuple):
    """What the steps between two validations gave. M label methods, K steps."""

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

    @property
    def mean_loss(self) -> float:
        """Return the mean loss of all structures of the period."""
        return float(self.losses.sum() / self.counts.sum())


class _Predicted(NamedTuple):
    """The energies of one batch, kept on the device so that an error can name the structure."""

    row: int
    method: str
    indices: np.ndarray
    """(S,) structures."""
    energy: Tensor
    """(S,) as predicted."""


def optimise(state: State, dataset: Dataset, until: int, world: World) -> Period:
    """Run optimiser steps up to and with step `until`, on every rank together.

    Raises:
        TrainingError: a loss that is not finite (the text names step, method and structures), or a pass that did not
            train on each structure once.
    """
    training, model, methods = state.training, state.model, state.training.methods
    heads = {method: training.head_of(method) for method in methods}
    forces = {method: learns_forces(training, method) for method in methods}
    sender = Sender(model.shape.elements, state.flat.values.dtype, world.device)
    first, number = state.step, until - state.step
    losses = torch.zeros((number, len(methods)), dtype=torch.float64, device=world.device)
    counts = np.zeros((number, len(methods)), dtype=np.int64)
    history: list[list[Drawn]] = []
    predicted: list[_Predicted] = []
    passes: list[list[Pass]] = []
    times: list[float] = []
    began = time.monotonic()
    for row in range(number):
        step = state.sampler.step()
        for drawn in step:
            counts[row, methods.index(drawn.method)] += len(drawn.indices)
        count = int(counts[row].sum())
        state.flat.gradients.zero_()
        for drawn in step[world.rank :: world.size]:
            method = drawn.method
            arrays = assemble(dataset, drawn.indices, method, state.offsets[method], model.cutoff, forces[method])
            batch = sender.labelled(arrays)
            prediction = model(batch.graph, heads[method], forces=forces[method])
            loss = summed_loss(prediction, batch, training.recipe.loss[method])
            (loss / count).backward()
            losses[row, methods.index(method)] += loss.detach()
            predicted.append(_Predicted(row, method, arrays.index, prediction.energy.detach()))
            state.tally.add(PassId(drawn.set, drawn.number), arrays.index)
        world.sum_(state.flat.gradients)
        state.optimizer.step()
        state.step += 1
        history.append(step)
        passes.append(state.sampler.passes())
        times.append(time.time())
    world.sum_(losses)
    state.tally.gather({PassId(drawn.set, drawn.number) for step in history for drawn in step}, world)
    finished = [PassId(done.set, done.number) for step in passes for done in step]
    trained = {done: state.tally.close(done) for done in finished}
    period = Period(first, times, losses.cpu().numpy(), counts, passes, trained, time.monotonic() - began)
    _require_finite(period, history, predicted, state, dataset, world)
    return period


def _require_finite(
    period: Period,
    history: list[list[Drawn]],
    predicted: list[_Predicted],
    state: State,
    dataset: Dataset,
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
    names = "; ".join(dataset.structures.describe(int(index)) for index in indices[:3])
    raise TrainingError(
        f"{dataset.place}: the {method} loss is not finite at step {period.first + row + 1}, on {names}"
        + (f" and {len(indices) - 3} more" if len(indices) > 3 else "")
        + ". Expected a finite loss: look at the geometries (two atoms at one place?) and labels of these structures, "
        "or lower the stage's learning_rate"
    )
