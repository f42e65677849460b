"""Row 2: from "a stage is ready" to its first optimiser step, against a TorchTrainer of two cold workers a stage.

Ours: a chain of stages through the queue, each ready when its parent's record is written. The first stage also starts
the actor, with several workers their group too, and imports torch; the second and later ones are the figure.

Then from the command `mfsweep run`, its own cluster and a fresh store, to its line that says that the first stage has
begun, to its first optimiser step, and to its end.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES, COLD, COMMANDS = 8, 3, 4
SPEC = """\
name: chain
data:
  source: bundled:mini-ccx
  labels: {xtb: {energy: "gfn2_xtb.energy"}}
  splits:
    a: {size: 400, validation: 20}
model: {architecture: mace, channels: 16, max_L: 0, max_ell: 2, correlation: 2, radial_hidden: [32, 32]}
stages:
"""
STAGE = """\
  s{index}:
    start_from: {parent}
    train: [{{labels: xtb, subset: a, size: 60}}]
    max_steps: 2
    validate_every: 2
    batch: {{max_atoms: 64, batches_per_step: 2}}
"""


def main() -> None:
    ours, group, cold = chain(workers=1), chain(workers=2), two_cold_workers()
    print("| | first stage | second and later, median (range) |\n| --- | --- | --- |")
    for name, (first, later) in {
        "mfsweep, one worker, reused actor": ours,
        "mfsweep, two workers, a group that stays": group,
        "TorchTrainer, two workers, cold": cold,
    }.items():
        print(f"| {name} | {first:.2f} s | {statistics.median(later):.2f} s ({min(later):.2f} to {max(later):.2f}) |")
    print("\n| from `mfsweep run` | median | lowest to highest | goal |\n| --- | --- | --- | --- |")
    goals = {"to its first stage": "8 s", "to its first optimiser step": "", "to its end": ""}
    turns = zip(*(command() for _ in range(COMMANDS)), strict=True)
    for (what, goal), seconds in zip(goals.items(), map(sorted, turns), strict=True):
        print(f"| {what} | {statistics.median(seconds):.1f} s | {seconds[0]:.1f} to {seconds[-1]:.1f} s | {goal} |")


def chain(workers: int) -> tuple[float, list[float]]:
    from rich.console import Console

    from mfsweep.metrics_file import entries
    from mfsweep.prepare import prepare
    from mfsweep.sweep import running as run

    with tempfile.TemporaryDirectory() as folder:
        spec = write(Path(folder), STAGES)
        begin = time.time()
        plan = prepare(spec, Path(folder) / "store", {"workers": workers})
        run.run(plan, Console(quiet=True), None)
        starts = []
        for key in plan.graph.nodes:
            stage = plan.store.stage(key)
            first = next(entries(stage.metrics)).time
            starts.append(first - begin)
            begin = stage.record_path.stat().st_mtime
    return starts[0], starts[1:]


def write(folder: Path, length: int) -> Path:
    """Write the spec of a chain of stages, and return its path."""
    spec = folder / "chain.yaml"
    stages = [STAGE.format(index=i, parent=f"s{i - 1}" if i else "null") for i in range(length)]
    tail = f"result: s{length - 1}\nresources: {{workers: 1, gpus_per_worker: 0}}\n"
    spec.write_text(SPEC + "".join(stages) + tail)
    return spec


def command() -> tuple[float, float, float]:
    """Return when `mfsweep run` of one stage says that it begins, takes its first step, and ends, in seconds."""
    from mfsweep.metrics_file import entries
    from mfsweep.store import StoreFolder

    with tempfile.TemporaryDirectory() as folder:
        words = ["run", str(write(Path(folder), 1)), "--store", f"{folder}/store"]
        begin = time.time()
        with subprocess.Popen(
            [str(Path(sys.executable).with_name("mfsweep")), *words], stdout=subprocess.PIPE, text=True
        ) as running:
            assert running.stdout
            begun = next(time.time() - begin for line in running.stdout if " start  " in line)
            running.stdout.read()
        ended = time.time() - begin
        assert running.returncode == 0, running.returncode
        (stage,) = StoreFolder(Path(folder) / "store").stages()
        return begun, next(entries(stage.metrics)).time - begin, ended


def two_cold_workers() -> tuple[float, list[float]]:
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    def loop(config: dict[str, str]) -> None:
        import torch

        torch.ones(1).sum()
        Path(config["mark"]).touch()

    starts = []
    with tempfile.TemporaryDirectory() as folder:
        ray.init(num_cpus=3, log_to_driver=False, include_dashboard=True)
        for index in range(COLD):
            mark = Path(folder) / str(index)
            begin = time.time()
            TorchTrainer(
                loop,
                train_loop_config={"mark": str(mark)},
                scaling_config=ScalingConfig(num_workers=2),
                run_config=RunConfig(name=str(index), storage_path=folder),
            ).fit()
            starts.append(mark.stat().st_mtime - begin)
        ray.shutdown()
    return starts[0], starts[1:]


if __name__ == "__main__":
    main()
