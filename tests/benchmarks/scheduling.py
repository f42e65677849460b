"""Row 9: stages that only sleep, through the product's own queue, over the ideal; and what each costs the driver.

Half of the stages start from another one. A trial claims its stage, sleeps and writes a record, in place of a training:
what a real stage takes before its first step is startup.py's. Everything else is what `mfsweep run` does: the queue on
Ray Tune, the display as plain lines, the mirror in MLflow.

    OMP_NUM_THREADS=1 python tests/benchmarks/scheduling.py [STAGES [SECONDS [SLOTS]]]
"""

from __future__ import annotations

import resource
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import sleeping

_GIVEN = [*sys.argv[1:], *("1000", "1", "8")[len(sys.argv) - 1 :]]
STAGES, SECONDS, SLOTS = int(_GIVEN[0]), float(_GIVEN[1]), int(_GIVEN[2])


def main() -> None:
    from mfsweep.prepare import prepare
    from mfsweep.run import cluster
    from mfsweep.run.cpus import usable
    from mfsweep.run.store_tracking import open_tracker

    with tempfile.TemporaryDirectory() as folder:
        spec = sleeping.write(Path(folder) / "scheduling.yaml", range(STAGES // 2))
        # Sleeping takes no CPU: all slots fit on whatever there is.
        plan = prepare(spec, Path(folder) / "store", {"cpus_per_worker": usable().number / SLOTS, "groups": SLOTS})
        plan.store.prepare()
        with cluster.connected(dashboard=False):
            tracker = open_tracker(plan.store, plan.name, print, sweep=plan.name, steps_per_decade=100)
            before, main_thread, everything = _memory(), time.thread_time(), time.process_time()
            summary = sleeping.swept(plan, SECONDS, tracker)
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


if __name__ == "__main__":
    main()
