"""What a checkpoint between validations costs: the pause of the steps, and the thread that writes beside them.

One process on one thread; a model of the tests' size and one of 1.8 million parameters, on mini-ccx. The pause is the
copy of the state in memory. A save is what a validation does: all of it, before the next step. Steps are timed without a
checkpoint, and with one after every step, which is some thousand times more often than `checkpoint_every_minutes: 10`.

    OMP_NUM_THREADS=1 python tests/benchmarks/checkpoints.py
"""

from __future__ import annotations

import statistics
import tempfile
import time
import warnings
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch

import mfsweep
from mfsweep.data.view import DataView, open_view
from mfsweep.metrics_file import entries
from mfsweep.models.mace import Mace
from mfsweep.spec.batching import Batching
from mfsweep.spec.data import LabelKeys, ResolvedData, Splits, Subset
from mfsweep.spec.execution import Execution
from mfsweep.spec.stage import LabelledSet, LossWeights, Recipe, Training
from mfsweep.train import World, loop, train
from mfsweep.train.checkpoint import copied, save

SOURCE = Path(mfsweep.__file__).parent / "data" / "bundled" / "mini-ccx.h5"
DATA = ResolvedData(
    digest="mini-ccx",
    labels={"dft": LabelKeys(energy="wb97x_631gd.energy", forces="wb97x_631gd.forces")},
    splits=Splits(
        a=Subset(size=60, validation=12, needs=("dft",)),
        b=Subset(size="rest", validation=15, needs=("dft",)),
        t=Subset(size=40, needs=("dft",)),
    ),
)
MODELS = {
    "tiny": (Mace(channels=4, max_L=0, max_ell=1, correlation=1, radial_hidden=(8,), readout_hidden=4), 60),
    "1.8 M": (Mace(channels=192, max_L=1), 12),
}
ROUNDS = 5


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    view = open_view({"": SOURCE}, DATA)
    print("| model | parameters | last.pt | pause (copy) | save, whole | step alone | step, one checkpoint a step |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for name, (model, steps) in MODELS.items():
        training = Training(
            data=DATA, model=model, precision="float32", seed=0,
            sets=(LabelledSet(labels="dft", subset="b", size=40, probability=1.0),),
            recipe=Recipe(
                max_steps=steps, validate_every=steps, learning_rate=1e-4, batch=Batching(max_atoms=40, batches_per_step=1),
                loss={"dft": LossWeights()},
            ),
        )  # fmt: skip
        alone, beside, content, parameters = [], [], {}, 0
        for _ in range(ROUNDS):
            seconds, content, parameters = measured(training, view, 0)
            alone.append(seconds)
            beside.append(measured(training, view, 1e-9)[0])
        with tempfile.TemporaryDirectory() as folder:
            pause = median(partial(copied, content))
            whole = median(partial(save, Path(folder) / "last.pt", content))
            size = (Path(folder) / "last.pt").stat().st_size
        print(
            f"| {name} | {parameters:,} | {size / 2**20:.1f} MiB | {1000 * pause:.1f} ms | {1000 * whole:.0f} ms | "
            f"{1000 * statistics.median(alone):.0f} ms | {1000 * statistics.median(beside):.0f} ms |",
            flush=True,
        )


def measured(training: Training, view: DataView, minutes: float) -> tuple[float, dict, int]:
    """Return the seconds of a step, the state at the end, and the parameters."""
    with tempfile.TemporaryDirectory() as folder:
        seen: list[loop.Progress] = []
        outcome = train(
            training,
            view,
            checkpoints=Path(folder) / "checkpoints",
            metrics=Path(folder) / "metrics.jsonl",
            parent=None,
            world=World.alone(),
            report=lambda progress: seen.append(progress) or True,
            execution=Execution(backend="eager", checkpoint_every_minutes=minutes),
        )
        assert outcome is not None
        content = torch.load(Path(folder) / "checkpoints" / "last.pt", weights_only=True)
        times = times_of(Path(folder) / "metrics.jsonl")
    return statistics.median(b - a for a, b in pairwise(times)), content, outcome.parameters


def times_of(path: Path) -> list[float]:
    """Return when each step ended."""
    return [entry.time for entry in entries(path) if "train.loss" in entry.metrics]


def median(act) -> float:
    seconds = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        act()
        seconds.append(time.perf_counter() - began)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
