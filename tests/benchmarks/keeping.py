"""What a finished stage leaves on disk and in MLflow, at the size of the study: 2.99 million parameters, 300,000 steps.

Checkpoints are those of a real training of one step. The metrics file is made up: the keys of that training's own
lines, losses that fall and scatter, a validation every 1,000 steps. MLflow's rows are counted by reading that file as
the sink does, and weighed by writing a part of it into sqlite. Predictions of 100,000 test structures are made up, of the
sizes of ANI-1x's, and written as an evaluation writes them. At the end a stage of one step is performed in a store, as a
run does it, and `mfsweep store du` says what it holds.

    OMP_NUM_THREADS=1 python tests/benchmarks/keeping.py
"""

from __future__ import annotations

import random
import tempfile
import time
from pathlib import Path
from typing import Literal

import numpy as np
from click.testing import CliRunner

from mfsweep.cli.main import cli
from mfsweep.data.source import digest, resolve
from mfsweep.data.view import open_view
from mfsweep.metrics_file import append, entries, line, pack, packed
from mfsweep.models.mace import Mace
from mfsweep.run.job import Job
from mfsweep.run.perform import perform, save_predictions
from mfsweep.run.tail import Tail
from mfsweep.run.tracking import TrackedStage, Tracker
from mfsweep.spec.batching import Batching
from mfsweep.spec.data import LabelKeys, ResolvedData, Splits, Subset
from mfsweep.spec.experiment import Tracking
from mfsweep.spec.resources import Resources
from mfsweep.spec.stage import Evaluation, LabelledSet, LossWeights, Recipe, Training
from mfsweep.store import StoreFolder
from mfsweep.train import TrainingOutcome, World, train
from mfsweep.train.evaluate import Predictions

STAGES = 1083
TESTED = 100_000
"""Structures that a stage of the study is tested on."""
STEPS = 300_000
VALIDATE_EVERY = 1000
STEPS_A_PASS = 2000
WEIGHED_STEPS = 20_000
NEEDS = ("cc", "dft")
DATA = ResolvedData(
    digest="mini-ccx",
    labels={
        "cc": LabelKeys(energy="ccsd(t)_631gd.energy"),
        "dft": LabelKeys(energy="wb97x_631gd.energy", forces="wb97x_631gd.forces"),
    },
    splits=Splits(
        a=Subset(size=60, validation=6, needs=NEEDS),
        b=Subset(size="rest", validation=6, needs=NEEDS),
        t=Subset(size=40, needs=NEEDS),
    ),
)
CC = LabelledSet(labels="cc", subset="a", size=30, probability=1.0)
DFT = LabelledSet(labels="dft", subset="b", size=30, probability=0.5)
STAGES_OF = {"one head": (CC,), "two heads": (CC.but(probability=0.5), DFT)}


def main() -> None:
    """Print a table for each kind of stage."""
    for kind, sets in STAGES_OF.items():
        with tempfile.TemporaryDirectory() as folder:
            _measure(Path(folder), kind, sets)
    print(f"\n| predictions of {TESTED:,} structures | a stage | {STAGES:,} stages |\n| --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, forces in (("energies", False), ("energies and forces", True)):
            size = _predictions(Path(folder) / "predictions.npz", forces=forces)
            print(f"| {name} | {size / 1e6:.1f} MB | {size * STAGES / 1e9:.1f} GB |")
        print("\n$ mfsweep store du")
        print(_in_a_store(Path(folder) / "store"))


def _measure(folder: Path, kind: str, sets: tuple[LabelledSet, ...]) -> None:
    outcome = _trained(folder, sets)
    last = (folder / "checkpoints" / "last.pt").stat().st_size
    selected = (folder / outcome.selected.file).stat().st_size
    judges = {outcome.selected.metric, *(kept.metric for kept in outcome.heads.values())}
    print(f"\n{kind}: {outcome.parameters:,} parameters; checkpoints are chosen by {' and by '.join(sorted(judges))}")

    metrics = folder / "long.jsonl"
    _write(metrics, STEPS, folder / "metrics.jsonl")
    plain = metrics.stat().st_size
    rows = {name: _rows(metrics, name) for name in ("all", _default())}
    began = time.perf_counter()
    pack(metrics)
    seconds = time.perf_counter() - began
    small = packed(metrics).stat().st_size
    began = time.perf_counter()
    count = sum(1 for _ in entries(metrics))
    read = time.perf_counter() - began
    print(f"metrics: {count:,} lines, compressed {plain / small:.2f} x in {seconds:.1f} s, read in {read:.1f} s")
    weight = _bytes_a_row(folder, folder / "metrics.jsonl")

    table = {
        "last.pt": (last, 0),
        "selected.pt and best.*.pt, of one step": (len(judges) * selected, selected),
        f"... of {len(judges)} steps": (len(judges) * selected, len(judges) * selected),
        "metrics": (plain, small),
        f"MLflow's sqlite, at {weight:.0f} bytes a row": (rows["all"] * weight, rows[_default()] * weight),
    }
    print(f"\n| | a stage, before | a stage, now | {STAGES:,} stages, before | now |\n| --- | --- | --- | --- | --- |")
    for name, (before, now) in table.items():
        sizes = (before / 1e6, now / 1e6, before * STAGES / 1e9, now * STAGES / 1e9)
        print("| {} | {:.1f} MB | {:.1f} MB | {:.1f} GB | {:.1f} GB |".format(name, *sizes))
    numbers = (rows["all"], rows[_default()], rows["all"] * STAGES / 1e6, rows[_default()] * STAGES / 1e6)
    print("| MLflow's rows | {:,} | {:,} | {:,.0f} M | {:,.1f} M |".format(*numbers))


def _predictions(path: Path, *, forces: bool) -> int:
    """Write predictions of made-up structures; return the bytes of the file."""
    draw = np.random.default_rng(0)
    atoms = np.clip(np.rint(draw.normal(13.8, 4.5, TESTED)), 2, None).astype(np.int64)
    energy = draw.normal(-1000.0, 300.0, TESTED)
    force = draw.normal(0.0, 1.0, (atoms.sum(), 3)).astype(np.float32) if forces else None
    predictions = Predictions(
        index=np.arange(TESTED),
        formula=draw.integers(0, 1000, TESTED),
        atoms=atoms,
        energy_reference=energy,
        energy_predicted=energy + draw.normal(0.0, 0.05, TESTED),
        forces_reference=force,
        forces_predicted=None if force is None else force + draw.normal(0.0, 0.1, force.shape).astype(np.float32),
    )
    save_predictions(path, predictions)
    return path.stat().st_size


def _in_a_store(root: Path) -> str:
    """Perform a stage of one step and an evaluation as a run does; return what `mfsweep store du` prints of the store."""
    store = StoreFolder(root)
    store.prepare()
    source = resolve("bundled:mini-ccx", root)
    data = DATA.but(digest=digest(source))
    job = Job(
        name="stage",
        training=_training((CC,)).but(data=data),
        data=data,
        sources={"": str(source)},
        store=str(root),
        evaluations=(Evaluation(labels="cc", subset="t", head="cc", offsets="cc"),),
        resources=Resources(workers=1, gpus_per_worker=0),
    )
    assert perform(job, World.alone(), lambda _: True)
    return CliRunner().invoke(cli, ["store", "du", "--store", str(root)]).output


def _trained(folder: Path, sets: tuple[LabelledSet, ...]) -> TrainingOutcome:
    """Train the study's model for a step on the bundled labels."""
    outcome = train(
        _training(sets),
        open_view({"": resolve("bundled:mini-ccx", folder)}, DATA),
        checkpoints=folder / "checkpoints",
        metrics=folder / "metrics.jsonl",
        parent=None,
        world=World.alone(),
        report=lambda _: True,
    )
    assert outcome is not None
    return outcome


def _training(sets: tuple[LabelledSet, ...]) -> Training:
    methods = {labelled.labels for labelled in sets}
    losses = {"cc": LossWeights(energy=100.0, forces=0.0), "dft": LossWeights()}
    return Training(
        data=DATA,
        model=Mace(channels=256),
        precision="float32",
        seed=0,
        sets=sets,
        recipe=Recipe(
            max_steps=1,
            batch=Batching(max_atoms=30, batches_per_step=2),
            loss={method: loss for method, loss in losses.items() if method in methods},
        ),
    )


def _write(path: Path, steps: int, like: Path) -> None:
    """Write a metrics file with the metrics of another one."""
    draw = random.Random(0)
    of_step, of_validation = (entry.metrics for entry in entries(like))
    losses = [name for name in of_step if name.startswith("train.")]
    passes = _passes(of_validation)
    lines, now = [], time.time()

    def scattered(value: float, step: int) -> float:
        return value * (1 + step) ** -0.4 * draw.lognormvariate(0, 0.3)

    for step in range(1, steps + 1):
        now += draw.gauss(0.3, 0.02)
        # A training of one head writes its loss twice.
        total = scattered(1.0, step)
        found = {name: total if len(losses) == 2 or name == "train.loss" else scattered(1.0, step) for name in losses}
        if step % STEPS_A_PASS == 0:
            found |= dict.fromkeys(passes, 10_000.0)
        lines.append(line(step, found, now))
        if step % VALIDATE_EVERY == 0:
            lines.append(line(step, {name: scattered(100.0, step) for name in of_validation}, now))
            append(path, lines)
            lines = []
    append(path, lines)


def _passes(of_validation: dict[str, float]) -> list[str]:
    """Return the metrics of a pass over each labelled set whose shares a validation gives."""
    sets = {name.removeprefix("share.").rpartition(".")[0] for name in of_validation if name.startswith("share.")}
    return [f"pass.{own}.{name}" for own in sorted(sets) for name in ("structures", "expected", "fill")]


def _default() -> int | Literal["all"]:
    return Tracking().steps_per_decade


def _rows(path: Path, per_decade: int | Literal["all"]) -> int:
    tail, rows = Tail(path, {}, per_decade), 0
    while points := tail.peek(1000):
        rows += len(points)
        tail.take()
    return rows


def _bytes_a_row(folder: Path, like: Path) -> float:
    """Return what a row takes in sqlite, indices included."""
    database = folder / "mlflow.db"
    part = folder / "part.jsonl"
    _write(part, WEIGHED_STEPS, like)
    sizes = []
    for name in ("empty", "full"):
        tracker = Tracker.open(
            f"sqlite:///{database}", name, sweep=name, artifacts=folder / "artifacts", guard=folder / "guard"
        )
        if name == "full":
            tracker.add(TrackedStage(name, "stage", part))
            tracker.finish(name, "FINISHED")
        lost = tracker.close("FINISHED")
        assert not lost, lost
        sizes.append(database.stat().st_size)
    return (sizes[1] - sizes[0]) / _rows(part, "all")


if __name__ == "__main__":
    main()
