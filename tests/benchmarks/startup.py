"""Row 2: from "a stage is ready" to its first optimiser step, against a TorchTrainer of two cold workers a stage.

Ours: a chain of stages through the queue, each ready when its parent's record is written. The first stage also starts
the actor, with several workers their group too, and imports torch; the second and later ones are the figure.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

STAGES, COLD = 8, 3
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


def chain(workers: int) -> tuple[float, list[float]]:
    from rich.console import Console

    from mfsweep.metrics_file import entries
    from mfsweep.prepare import prepare
    from mfsweep.sweep import running as run

    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "chain.yaml"
        stages = [STAGE.format(index=i, parent=f"s{i - 1}" if i else "null") for i in range(STAGES)]
        tail = f"result: s{STAGES - 1}\nresources: {{workers: 1, gpus_per_worker: 0}}\n"
        spec.write_text(SPEC + "".join(stages) + tail)
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
