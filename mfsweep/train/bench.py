"""Seconds of one batch on this machine: forward, loss and backward of a model, as in training.

The batch is made up: molecules as large as ANI-1ccx's are on average. `python -m mfsweep.train.bench` measures in a
process of its own, for an architecture that needs another environment than this one.
"""

from __future__ import annotations

import json
import platform
import statistics
import sys
import time
from typing import NamedTuple

import numpy as np
import torch
from pydantic import TypeAdapter

from mfsweep.data.batch import Batch
from mfsweep.models.architecture import Architecture, Shape
from mfsweep.models.registry import Model, build
from mfsweep.spec.stage import Lora, LossWeights, Recipe
from mfsweep.train.checkpoint import DTYPES
from mfsweep.train.loss import summed_loss
from mfsweep.train.parameters import Flat, trained
from mfsweep.train.tensors import Sender

MOLECULE = 14
"""Atoms of a molecule (13.8 is the mean of ANI-1ccx)."""
SPACING = 1.3
"""Spacing of the grid on which atoms stand, angstrom: 14 of them lie within the cutoff of each other, but for a few
pairs."""
ELEMENTS: tuple[int, ...] = (1, 6, 7, 8)


class Settings(NamedTuple):
    """How to measure."""

    device: str
    precision: str = "float32"
    warmup: int = 2
    steps: int = 5
    threads: int = 1
    """CPU threads of torch."""


def seconds_per_batch(
    model: Architecture, max_atoms: int, *, forces: bool, trainable: str, settings: Settings
) -> float:
    """Return the median seconds of a batch.

    Args:
        model: architecture and size.
        max_atoms: atoms in the batch, filled with whole molecules (at least one).
        forces: whether forces are computed and learned.
        trainable: `all`, `readouts` or `lora`, as a recipe says it.
        settings: on what, and how often.
    """
    torch.set_num_threads(settings.threads)
    device, dtype = torch.device(settings.device), DTYPES[settings.precision]
    arrays = molecules(max(1, max_atoms // MOLECULE), model.r_max, forces=forces)
    neighbours = arrays.edge_index.shape[1] / len(arrays.species)
    offsets = {"bench": dict.fromkeys(ELEMENTS, 0.0)}
    potential = build(model, Shape(("bench",), ELEMENTS, neighbours), offsets, seed=0, dtype=dtype).to(device)
    flat = Flat([group.parameters for group in trained(potential, _recipe(trainable))])
    potential.train()
    batch = Sender(ELEMENTS, dtype, device).labelled(arrays)
    weights = LossWeights(energy=1, forces=1 if forces else 0)
    # On one thread the process's own time: what else runs on the machine does not count.
    clock = time.process_time if device.type == "cpu" and settings.threads == 1 else time.perf_counter
    seconds = []
    for _ in range(settings.warmup + settings.steps):
        began = clock()
        flat.gradients.zero_()
        summed_loss(potential(batch.graph, "bench", forces=forces), batch, weights).backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        seconds.append(clock() - began)
    return statistics.median(seconds[settings.warmup :])


def molecules(number: int, cutoff: float, *, forces: bool) -> Batch:
    """Return a batch of made-up molecules of MOLECULE atoms, with random labels."""
    rng = np.random.default_rng(0)
    grid = np.stack(np.meshgrid(*[np.arange(3)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)[:MOLECULE]
    shape = (number, MOLECULE, 3)
    positions = SPACING * grid + rng.uniform(-0.1, 0.1, shape)
    distances = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1)
    close = (distances < cutoff) & ~np.tri(MOLECULE, dtype=np.bool_)
    structure, first, second = np.nonzero(close)
    pairs = np.stack([first, second]) + MOLECULE * structure
    atoms = number * MOLECULE
    return Batch(
        method="bench",
        species=rng.choice(np.array(ELEMENTS, np.uint8), atoms),
        positions=positions.reshape(-1, 3),
        structure=np.repeat(np.arange(number), MOLECULE),
        ptr=np.arange(number + 1) * MOLECULE,
        edge_index=np.concatenate([pairs, pairs[::-1]], axis=1),
        shifts=None,
        energy=rng.normal(size=number),
        forces=rng.normal(size=(atoms, 3)).astype(np.float32) if forces else None,
        atoms=np.full(number, MOLECULE),
        index=np.arange(number),
    )


def here() -> str:
    """Return the kind of device that this machine has to train on."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def device_name(settings: Settings) -> str:
    """Return what a cost table calls the device."""
    if settings.device.startswith("cuda"):
        return torch.cuda.get_device_name(settings.device)
    return f"CPU ({platform.machine()}), {settings.threads} thread{'s' if settings.threads > 1 else ''}"


def torch_version() -> str:
    """Return the version of torch that was measured."""
    return torch.__version__


def _recipe(trainable: str) -> Recipe:
    if trainable == "all":
        return Recipe()
    return Recipe.model_validate({"trainable": trainable, "lora": Lora() if trainable == "lora" else None})


def main() -> None:
    """Read one measurement as JSON from standard input, write its seconds to standard output."""
    asked = json.load(sys.stdin)
    model: Architecture = TypeAdapter(Model).validate_python(asked["model"])
    settings = Settings(**asked["settings"])
    seconds = seconds_per_batch(
        model, asked["max_atoms"], forces=asked["forces"], trainable=asked["trainable"], settings=settings
    )
    json.dump(seconds, sys.stdout)


if __name__ == "__main__":
    main()
