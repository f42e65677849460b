"""Groups that lost their creator, on a real Ray."""

import time

import pytest
from ray.core.generated.gcs_pb2 import PlacementGroupTableData

from mfsweep.run import orphans
from mfsweep.run.orphans import Orphans, is_orphan


@pytest.mark.cluster
def test_a_group_whose_creator_was_killed_is_given_back(ray_cluster):
    import ray
    from ray.util.placement_group import placement_group, placement_group_table, remove_placement_group

    @ray.remote(num_cpus=0)
    class Controller:
        def make(self):
            return placement_group([{"CPU": 1000}])  # pending for ever

    keeps, dies = Controller.remote(), Controller.remote()
    kept, lost = ray.get([keeps.make.remote(), dies.make.remote()])
    ours = placement_group([{"CPU": 1}])
    ray.kill(dies)
    looks, deadline = Orphans(), time.monotonic() + 20
    while not looks.release() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert placement_group_table(lost)["state"] == "REMOVED"
    assert placement_group_table(kept)["state"] == "PENDING", "its creator lives"
    assert placement_group_table(ours)["state"] != "REMOVED", "made by the driver, as Tune makes those of its trials"
    remove_placement_group(kept)
    remove_placement_group(ours)


def test_what_is_suspected_at_one_look_alone_is_left(monkeypatch):
    from types import SimpleNamespace

    there = [{b"1", b"2"}, {b"2", b"3"}, {b"3"}, set()]
    released = []
    monkeypatch.setattr(
        orphans, "_without_creator", lambda: [SimpleNamespace(placement_group_id=i) for i in there.pop(0)]
    )
    monkeypatch.setattr(orphans, "_remove", released.append)
    looks = Orphans()
    assert [looks.release() for _ in range(4)] == [0, 1, 1, 0]
    assert released == [b"2", b"3"]


OURS, ENDED, OTHER = b"\1\0\0\0", b"\2\0\0\0", b"\3\0\0\0"
ACTOR, NO_ACTOR = b"\7" * 16, b"\xff" * 16


@pytest.mark.parametrize(
    ("change", "orphan"),
    [
        ({}, True),  # registered after the death of its creator: Ray was never told of it
        ({"creator_job_id": ENDED}, True),
        ({"creator_job_id": OTHER}, False),
        ({"creator_actor_id": NO_ACTOR}, False),
        ({"creator_actor_id": NO_ACTOR[:12] + OURS}, False),
        ({"is_detached": True}, False),
        ({"state": PlacementGroupTableData.REMOVED}, False),
        ({"state": PlacementGroupTableData.CREATED}, True),
    ],
)
def test_a_group_is_an_orphan_when_its_creator_is_not_among_the_living(change, orphan):
    table = PlacementGroupTableData(**{"creator_job_id": OURS, "creator_actor_id": ACTOR} | change)
    jobs = {OURS.hex(), ENDED.hex()}
    assert is_orphan(table, jobs, living=set()) is orphan
    assert not is_orphan(table, jobs, living={ACTOR.hex(), table.creator_actor_id.hex()})
    dead = PlacementGroupTableData(
        **{"creator_job_id": OURS, "creator_actor_id": ACTOR, "creator_actor_dead": True} | change
    )
    assert is_orphan(dead, jobs, living={ACTOR.hex()}) is orphan
