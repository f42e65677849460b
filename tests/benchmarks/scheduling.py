"""Row 9: stages that only sleep, through the product's own queue, over the ideal; and what each costs the driver.

Half of the stages start from another one. A trial claims its stage, sleeps and writes a record, in place of a training:
what a real stage takes before its first step is startup.py's. Everything else is what `mfsweep run` does: the queue on
Ray Tune, the display as plain lines, the mirror in MLflow.

    OMP_NUM_THREADS=1 python tests/benchmarks/scheduling.py [STAGES [SECONDS [SLOTS]]]
"""

from __future__ import annotations

import io
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_GIVEN = [*sys.argv[1:], *("1000", "1", "8")[len(sys.argv) - 1 :]]
STAGES, SECONDS, SLOTS = int(_GIVEN[0]), float(_GIVEN[1]), int(_GIVEN[2])
SPEC = """\
name: scheduling
data:
  source: bundled:mini-ccx
  labels:
    xtb: {{energy: "gfn2_xtb.energy"}}
  splits:
    a: {{size: 400, validation: 20}}
model: {{architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8]}}
axes:
  seed: {seeds}
stages:
  first: {{train: [{{labels: xtb, subset: a, size: 20}}], max_steps: 100}}
  second: {{start_from: first, train: [{{labels: xtb, subset: a, size: 40}}], max_steps: 100}}
result: second
resources: {{workers: 1, gpus_per_worker: 0, groups: {slots}}}
"""


def main() -> None:
    from rich.console import Console

    from mfsweep.plan.kinds import kinds
    from mfsweep.prepare import prepare
    from mfsweep.run import cluster, sweep
    from mfsweep.run.cpus import usable
    from mfsweep.run.progress import SweepDisplay
    from mfsweep.run.room import Room
    from mfsweep.run.store_tracking import open_tracker

    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "scheduling.yaml"
        spec.write_text(SPEC.format(seeds=list(range(STAGES // 2)), slots=SLOTS))
        # Sleeping takes no CPU: all slots fit on whatever there is.
        plan = prepare(spec, Path(folder) / "store", {"cpus_per_worker": usable().number / SLOTS})
        plan.store.prepare()
        sweep._trial = _trial
        with cluster.connected(dashboard=False):
            tracker = open_tracker(plan.store, plan.name, print, sweep=plan.name, steps_per_decade=100)
            screen = Console(file=io.StringIO(), width=120)
            before, main_thread, everything = _memory(), time.thread_time(), time.process_time()
            with SweepDisplay(screen, plan.graph, plan.done) as display:
                summary = sweep.run(plan, Room(kinds(plan.graph.nodes.values())), display, tracker)
            main_thread, everything = time.thread_time() - main_thread, time.process_time() - everything
            after = _memory()
            closing = time.perf_counter()
            lost = tracker.close("FINISHED")
            closing = time.perf_counter() - closing
        assert summary.run == STAGES, summary
        assert not lost, lost
        records = [stage.record() for stage in plan.store.stages()]
    starts = [record.started for record in records if record]
    wall = max(starts) + SECONDS - sorted(starts)[SLOTS - 1]
    ideal = (STAGES - SLOTS) * SECONDS / SLOTS + SECONDS
    print("| | measured | goal |\n| --- | --- | --- |")
    print(f"| {STAGES:,} stages of {SECONDS:g} s on {SLOTS} slots, once all slots are taken | {wall:.1f} s | |")
    print(f"| over the ideal of {ideal:.1f} s | {100 * (wall / ideal - 1):.1f} % | 3 % |")
    print(f"| overhead a stage, in its slot | {1000 * (wall - ideal) * SLOTS / STAGES:.0f} ms | |")
    print(f"| CPU of the driver a stage, the queue's thread | {1000 * main_thread / STAGES:.1f} ms | |")
    print(f"| ... all threads, MLflow's writer among them | {1000 * everything / STAGES:.1f} ms | |")
    print(f"| MLflow's rest after the last stage | {closing:.1f} s | |")
    print(f"| most memory of the driver, more than before | {(after - before) / 1e6:.0f} MB | |")


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _trial(config: dict[str, Any]) -> None:
    """Sleep in place of a training, and leave its record; what Tune calls, and sends by value."""
    import time
    import zipfile

    import ray
    from ray import tune

    from mfsweep.records import BestCheckpoint, Record
    from mfsweep.run.job import Job
    from mfsweep.run.stage_status import BEGUN, ENDED

    job = Job.model_validate(config["job"])
    with job.folder.claim():
        tune.report({BEGUN: ray.get_runtime_context().get_node_id()})
        began = time.time()
        time.sleep(SECONDS)
        best = BestCheckpoint(metric="validation.loss", step=100, value=1.0, file="checkpoints/selected.pt")
        record = Record(
            key=job.training.key, training=job.training.identity(), parent=job.training.parent, started=began,
            seconds=SECONDS, steps=100, stop_reason="max_steps", selected=best, heads={"xtb": best},
            metrics={"validation.xtb.energy_mae": 1.0}, offsets={}, shares=[], parameters=9, workers=1, host="here",
            versions={},
        )  # fmt: skip
        job.folder.checkpoints.mkdir()
        zipfile.ZipFile(job.folder.selected, "w").close()  # a child is handed out where its parent's weights are there
        job.folder.write_record(record)
    tune.report({ENDED: True})


if __name__ == "__main__":
    main()
