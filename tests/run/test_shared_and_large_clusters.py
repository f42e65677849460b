"""Two sweeps on one real cluster, and one that grows to sixteen nodes; stages sleep, so that two cores are enough."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import sleeping
from clusters import autoscaling, cluster, until, watching

from mfsweep.store import StoreFolder

pytestmark = [pytest.mark.cluster, pytest.mark.slow]


def started(made, spec, store, seconds):
    """Start a sweep whose stages sleep, in a process of its own."""
    command = [sys.executable, sleeping.__file__, spec, store, str(seconds)]
    return subprocess.Popen(
        command, env=made.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ended(process):
    said, _ = process.communicate(timeout=600)
    assert process.returncode == 0, said


def records(store):
    """Return the records of a store in the order in which their stages began."""
    found = [folder.record() for folder in StoreFolder(store).stages()]
    return sorted((record for record in found if record), key=lambda record: record.started)


def test_a_sweep_that_comes_second_has_half_of_the_cluster_until_it_is_done(tmp_path):
    stores = first, second = tmp_path / "first", tmp_path / "second"
    specs = [tmp_path / f"{store.name}.yaml" for store in stores]
    own = "{cpus_per_worker: 1}"
    sleeping.write(specs[0], range(20), own, own)
    sleeping.write(specs[1], range(100, 104), own, own)
    with cluster({"CPU": 4}) as made:
        sweeps = [started(made, specs[0], first, 2)]
        until(lambda: len(records(first)) >= 4)
        sweeps.append(started(made, specs[1], second, 2))
        for sweep in sweeps:
            ended(sweep)
    before, after = records(first), records(second)
    assert (len(before), len(after)) == (40, 8)
    assert before[3].started < after[0].started, "alone, the first had all four places"
    begin, end = after[0].started, after[-1].started + after[-1].seconds
    assert end < before[-1].started, "it does not wait for the first one's end"
    held = sum(max(0.0, min(end, one.started + one.seconds) - max(begin, one.started)) for one in before) / (
        end - begin
    )
    assert held < 3, "of four places: two are its share, and one may still be on its way over"


def test_four_gpus_serve_stages_that_need_all_of_them_and_stages_that_share_one(tmp_path):
    whole, quarter = "{workers: 4, gpus_per_worker: 1}", "{gpus_per_worker: 0.25}"
    spec, store = sleeping.write(tmp_path / "mixed.yaml", range(3), whole, quarter), tmp_path / "store"
    with cluster({"CPU": 16, "GPU": 4}) as made:
        ended(started(made, spec, store, 3))
    done = records(store)
    given = [json.loads(record.host)["GPU"] for record in done]
    assert sorted(given) == [0.25] * 3 + [4.0] * 3
    for one in done:
        at_once = [
            gpus
            for record, gpus in zip(done, given, strict=True)
            if record.started <= one.started < record.started + record.seconds
        ]
        assert sum(at_once) <= 4


def test_a_cluster_grows_to_sixteen_nodes_of_four_gpus_for_large_and_small_stages_and_goes_again(tmp_path):
    large, small = "{workers: 4, gpus_per_worker: 1}", "{gpus_per_worker: 1}"
    spec, store = sleeping.write(tmp_path / "large.yaml", range(16), large, small), tmp_path / "store"
    with autoscaling({"CPU": 4, "GPU": 4}, 16, idle_minutes=0.5) as made, watching(made) as seen:
        until(lambda: seen() and seen()[-1]["nodes"] == 1)
        ended(started(made, spec, store, 75))
        until(lambda: seen()[-1]["nodes"] == 1, 240)
        most = max(look["nodes"] for look in seen())
        assert seen()[-1]["all"] == 0, "no placement group is left"
    assert most == 17, "the head and all that may be"
    done = records(store)
    given = [json.loads(record.host)["GPU"] for record in done]
    assert sorted(given) == [1.0] * 16 + [4.0] * 16
    held = [
        sum(
            gpus
            for record, gpus in zip(done, given, strict=True)
            if record.started <= one.started < record.started + record.seconds
        )
        for one in done
    ]
    assert max(held) <= 64
    assert max(held) > 32, "most of them work at once"
