from __future__ import annotations

import multiprocessing
import runpy
import socket
from pathlib import Path

import pytest

import mfsweep
from mfsweep.data.view import DataView, open_view
from mfsweep.models.mace import Mace
from mfsweep.spec.batching import Batching
from mfsweep.spec.data import LabelKeys, ResolvedData, Splits, Subset
from mfsweep.spec.execution import Execution
from mfsweep.spec.stage import LabelledSet, LossWeights, Recipe, Schedule, Training
from mfsweep.train import TrainingOutcome, World, train

SOURCE = Path(mfsweep.__file__).parent / "data" / "bundled" / "mini-ccx.h5"
LABELS = {
    "cc": LabelKeys(energy="ccsd(t)_631gd.energy"),
    "dft": LabelKeys(energy="wb97x_631gd.energy", forces="wb97x_631gd.forces"),
}
NEEDS = ("cc", "dft")
DATA = ResolvedData(
    digest="mini-ccx",
    labels=LABELS,
    splits=Splits(
        a=Subset(size=60, validation=12, needs=NEEDS),
        b=Subset(size="rest", validation=15, needs=NEEDS),
        t=Subset(size=40, needs=NEEDS),
    ),
)
MODEL = Mace(channels=4, max_L=0, max_ell=1, correlation=1, radial_hidden=(8,), readout_hidden=4)
SETS = {
    "cc": (LabelledSet(labels="cc", subset="a", size=30, probability=1.0),),
    "dft": (LabelledSet(labels="dft", subset="b", size=40, probability=1.0),),
    "both": (
        LabelledSet(labels="cc", subset="a", size=30, probability=0.4),
        LabelledSet(labels="dft", subset="b", size=40, probability=0.6),
    ),
}


@pytest.fixture(scope="session")
def view() -> DataView:
    return open_view({"": SOURCE}, DATA)


@pytest.fixture(scope="session")
def tiny():
    """Make a training of the `SETS` of that name, or of some sets; other keywords are fields of it or of its recipe."""

    def make(sets: str | tuple[LabelledSet, ...] = "both", *, batch=None, **fields) -> Training:
        recipe = {
            "max_steps": 6,
            "validate_every": 3,
            "learning_rate": 1e-2,
            "batch": Batching(**({"max_atoms": 40, "batches_per_step": 3} | (batch or {}))),
            "loss": {"cc": LossWeights(energy=100.0, forces=0.0), "dft": LossWeights()},
            "schedule": Schedule(patience_steps=50, stop_steps=100),
        }
        own = {name: fields.pop(name) for name in set(fields) & set(Training.model_fields)}
        defaults = {
            "data": DATA,
            "model": MODEL,
            "precision": "float32",
            "seed": 0,
            "sets": SETS[sets] if isinstance(sets, str) else sets,
            "recipe": Recipe(**(recipe | fields)),
        }
        return Training(**(defaults | own))

    return make


@pytest.fixture
def run(view, tmp_path):
    """Train in `tmp_path / name`, alone, and return the outcome."""

    def go(
        training: Training, name: str = "stage", *, parent=None, report=lambda _: True, on=None
    ) -> TrainingOutcome | None:
        folder = tmp_path / name
        return train(
            training,
            on or view,
            checkpoints=folder / "checkpoints",
            metrics=folder / "metrics.jsonl",
            parent=parent,
            world=World.alone(),
            report=report,
        )

    return go


@pytest.fixture(scope="session")
def ranks():
    """Run a training by one or more processes; return their exit codes.

    The processes are forked from a server that has imported torch and mace once, and has run no autograd.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["mfsweep.train", "mfsweep.models.mace.network"])

    def go(
        training: Training,
        folder: Path,
        *,
        size: int = 1,
        parent: Path | None = None,
        kill_at: int | None = None,
        device: str = "cpu",
        execution: Execution | None = None,
        leave_at: int | None = None,
    ) -> list[int | None]:
        folder.mkdir(parents=True, exist_ok=True)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        common = {"training_json": training.model_dump_json(), "source": str(SOURCE), "folder": str(folder)}
        common |= {"parent": str(parent) if parent else None, "device": device, "leave_at": leave_at}
        common |= {"execution": (execution or Execution(backend="eager")).model_dump_json()}
        script = str(Path(__file__).with_name("rank.py"))
        processes = []
        for rank in range(size):
            own = common | {"rank": rank, "size": size, "port": port, "kill_at": kill_at}
            processes.append(context.Process(target=runpy.run_path, args=(script, own)))
        for process in processes:
            process.start()
        for process in processes:
            process.join(timeout=120)
            if process.is_alive():
                process.kill()
                process.join()
        return [process.exitcode for process in processes]

    return go
