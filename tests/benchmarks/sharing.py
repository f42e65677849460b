"""Row 1: the optimiser steps of a grid by mfsweep, against Ray Tune as documented: one trial a cell, a chain each.

Both train the same cells with the same training code. The bound is (k + 1) / (k / s + 1), k the cost of a pre-training
over a fine-tuning, s the cells that share one. The checkpoints of all cells must agree bit for bit.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import torch

PRETRAIN_STEPS, FINETUNE_STEPS, CELLS = 80, 20, 6
SPEC = f"""\
name: sharing
data:
  source: bundled:mini-ccx
  labels:
    cc: {{energy: "ccsd(t)_631gd.energy"}}
    dft: {{energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}}
  splits:
    a: {{size: 120, validation: 20, needs: [cc, dft]}}
    b: {{size: rest, validation: 20, needs: [dft]}}
model: {{architecture: mace, channels: 8, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8]}}
axes:
  finetune_size: {[20 * (i + 1) for i in range(CELLS)]}
stages:
  pretrain:
    train: [{{labels: dft, subset: b, size: 100}}]
    max_steps: {PRETRAIN_STEPS}
    validate_every: {PRETRAIN_STEPS}
    batch: {{max_atoms: 64, batches_per_step: 1}}
  finetune:
    start_from: pretrain
    train: [{{labels: cc, subset: a, size: "${{finetune_size}}"}}]
    max_steps: {FINETUNE_STEPS}
    validate_every: {FINETUNE_STEPS}
    batch: {{max_atoms: 64, batches_per_step: 1}}
result: finetune
resources: {{workers: 1, gpus_per_worker: 0}}
"""


def main() -> None:
    import ray
    from rich.console import Console

    from mfsweep.prepare import prepare
    from mfsweep.sweep import running as run

    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "sharing.yaml"
        spec.write_text(SPEC)
        plan = prepare(spec, Path(folder) / "store")
        begin = time.perf_counter()
        run.run(plan, Console(quiet=True), None)
        shared_wall = time.perf_counter() - begin
        shared_steps = sum(stage.record().steps for stage in plan.store.stages())  # type: ignore[union-attr]
        leaves = [planned.keys["finetune"] for planned in plan.graph.cells]
        shared = [torch.load(plan.store.stage(key).selected, weights_only=True)["state"] for key in leaves]

        begin = time.perf_counter()
        ray.init(log_to_driver=False, include_dashboard=False)
        plain_steps, plain = one_trial_a_cell(plan, Path(folder) / "plain")
        ray.shutdown()
        plain_wall = time.perf_counter() - begin
    equal = all(torch.equal(a[name], b[name]) for a, b in zip(shared, plain, strict=True) for name in a)
    k, s = PRETRAIN_STEPS / FINETUNE_STEPS, CELLS
    print("| | optimiser steps | wall |\n| --- | --- | --- |")
    print(f"| mfsweep | {shared_steps} | {shared_wall:.0f} s |")
    print(f"| one trial a cell | {plain_steps} | {plain_wall:.0f} s |")
    print(f"ratio of steps {plain_steps / shared_steps:.2f}, bound {(k + 1) / (k / s + 1):.2f}")
    print(f"checkpoints of all {CELLS} cells bitwise equal: {equal}")


def one_trial_a_cell(plan: Any, folder: Path) -> tuple[int, list[dict[str, torch.Tensor]]]:
    from ray import tune

    from mfsweep.data.view import open_view

    chains = [[node.training for node in plan.graph.lineage(p.keys["finetune"])] for p in plan.graph.cells]
    sources, data = plan.sources, plan.data(next(iter(plan.graph.nodes.values())))

    def cell(config: dict[str, int]) -> None:
        from mfsweep.train.loop import train
        from mfsweep.train.world import World

        torch.set_num_threads(1)
        view, parent, steps = open_view(sources, data), None, 0
        for depth, training in enumerate(chains[config["cell"]]):
            place = folder / str(config["cell"]) / str(depth)
            outcome = train(
                training, view, checkpoints=place / "checkpoints", metrics=place / "metrics.jsonl",
                parent=parent, world=World.alone(), report=lambda _: True,
            )  # fmt: skip
            assert outcome is not None
            parent, steps = place / "checkpoints" / "selected.pt", steps + outcome.steps
        tune.report({"steps": steps})

    results = tune.Tuner(
        cell,
        param_space={"cell": tune.grid_search(list(range(len(chains))))},
        run_config=tune.RunConfig(storage_path=str(folder), name="tune", verbose=0),
    ).fit()
    steps = sum(result.metrics["steps"] for result in results)
    states = [
        torch.load(folder / str(i) / "1" / "checkpoints" / "selected.pt", weights_only=True)["state"]
        for i in range(len(chains))
    ]
    return steps, states


if __name__ == "__main__":
    main()
