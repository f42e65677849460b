"""How many stages may be out at a time, and which the cluster is certain never to serve."""

import math
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import GetTimeoutError

from mfsweep.errors import ResourceError
from mfsweep.run import autoscaler, own_cluster, room
from mfsweep.run.autoscaler import Autoscaler, limits_of
from mfsweep.run.cpus import Cpus
from mfsweep.run.room import AHEAD, Room, shape_of
from mfsweep.run.shapes import Limits, NodeKind, StageShape, room_on
from mfsweep.run.shares import Allotment, FairShare
from mfsweep.spec.resources import Resources


@pytest.fixture
def cluster_of(monkeypatch):
    """Give a function that puts nodes, and an autoscaler, in place of Ray's."""

    def put(*nodes, scales=None, ours=False):
        there = {}
        for node in nodes:
            for name, amount in node.items():
                there[name] = there.get(name, 0) + amount
        monkeypatch.setattr(room.ray, "nodes", lambda: [{"Alive": True, "Resources": node} for node in nodes])
        monkeypatch.setattr(room.ray, "cluster_resources", lambda: there)
        monkeypatch.setattr(autoscaler, "find", lambda: scales)
        monkeypatch.setattr(autoscaler, "is_ours", lambda: ours)

    return put


def of(workers, cpus, gpus=0, **more):
    return Resources(workers=workers, cpus_per_worker=cpus, gpus_per_worker=gpus, **more)


def room_of(*stages):
    return Room({f"stage {number}": own for number, own in enumerate(stages)})


def gpu4(nodes, overall=math.inf):
    return Autoscaler(Limits((NodeKind({"CPU": 16.0, "GPU": 4.0}, nodes),), overall))


def test_a_worker_must_fit_on_one_node(cluster_of):
    cluster_of({"CPU": 4.0}, {"CPU": 4.0})
    assert room_of(of(1, 4)).at_a_time(0) == 2
    with pytest.raises(ResourceError, match=r"1 worker\(s\) of 8 CPU, each on one node \(its nodes have room for 0\)"):
        room_of(of(1, 8))


def test_an_own_cluster_with_few_cpus_says_what_leaves_it_no_more(cluster_of, monkeypatch):
    monkeypatch.setattr(own_cluster, "usable", lambda: Cpus(2, "SLURM_CPUS_PER_TASK"))
    cluster_of({"CPU": 2.0}, ours=True)
    with pytest.raises(ResourceError, match=r"It has 2 of \d+ CPUs \(SLURM_CPUS_PER_TASK\)$"):
        room_of(of(4, 1))
    cluster_of({"CPU": 2.0}, scales=None)
    with pytest.raises(ResourceError, match=r"If nodes are still to join it, say --groups 1$"):
        room_of(of(4, 1))


def test_workers_are_counted_node_by_node(cluster_of):
    cluster_of({"CPU": 4.0}, {"CPU": 4.0})
    assert room_of(of(2, 3)).at_a_time(0) == 1
    with pytest.raises(ResourceError, match="have room for 2"):
        room_of(of(3, 2.5))
    cluster_of({"CPU": 0.3})
    assert room_of(of(1, 0.1)).at_a_time(0) == 3


def test_a_node_that_has_the_gpus_but_not_the_cpus_counts_for_nothing(cluster_of):
    cluster_of({"CPU": 1.0, "GPU": 4.0}, {"CPU": 16.0})
    assert room_of(of(1, 1, 1)).at_a_time(0) == 1


@pytest.mark.parametrize(("gpus", "each", "fit"), [(1, 0.25, 4), (1, 0.1, 10), (2, 0.4, 4), (3, 0.6, 3), (0, 0.5, 0)])
def test_a_part_of_a_gpu_lies_within_one_gpu(gpus, each, fit):
    assert room_on({"CPU": 64.0, "GPU": float(gpus)}, {"CPU": 1.0, "GPU": each}) == fit


def test_nodes_that_the_autoscaler_may_start_count_within_its_limits(cluster_of):
    head = {"CPU": 0.0}
    cluster_of(head, scales=gpu4(3))
    assert room_of(of(4, 1, 1)).at_a_time(0) == 3
    assert "3 stages at a time, on nodes that start as they are needed; 0 stages fit" in str(room_of(of(4, 1, 1)))
    cluster_of(head, scales=gpu4(3, overall=2))
    assert room_of(of(4, 1, 1)).at_a_time(0) == 2
    cluster_of(head, scales=gpu4(3))
    with pytest.raises(ResourceError, match=r"room for 0"):
        room_of(of(1, 17))
    with pytest.raises(ResourceError, match=r"16 GPU \(it has 12 at most\)"):
        room_of(of(16, 1, 1))


def test_one_that_hides_its_limits_is_asked_for_a_few_more_than_have_begun(cluster_of):
    cluster_of({"CPU": 0.0}, scales=Autoscaler(None))
    found = room_of(of(4, 1, 1))
    few, many = AHEAD
    assert [found.at_a_time(begun) for begun in (0, 1, 4, 50)] == [few, 1 + few, 8, 50 + many]
    assert "its limits are not known here" in str(found)


def test_what_the_spec_states_is_believed_but_never_more_than_is_known_to_fit(cluster_of):
    cluster_of({"CPU": 0.0}, scales=Autoscaler(None))
    assert room_of(of(4, 1, 1, groups=5)).at_a_time(0) == 5
    cluster_of({"CPU": 0.0}, scales=gpu4(3))
    assert room_of(of(4, 1, 1, groups=5)).at_a_time(0) == 3
    assert room_of(of(4, 1, 1, groups=2)).at_a_time(2) == 2
    cluster_of({"CPU": 8.0})
    assert room_of(of(1, 1, groups=2)).at_a_time(0) == 2


def test_nodes_may_still_join_a_cluster_that_others_started(cluster_of):
    cluster_of({"CPU": 0.0})
    with pytest.raises(ResourceError, match="If nodes are still to join it, say --groups 1"):
        room_of(of(4, 1))
    assert room_of(of(4, 1, groups=1)).at_a_time(0) == 1
    cluster_of({"CPU": 2.0}, ours=True)
    with pytest.raises(ResourceError, match=r"4 CPU \(it has 2 at most\)") as refused:
        room_of(of(4, 1, groups=1))
    assert "join" not in str(refused.value)
    assert room_of(of(1, 1, groups=9)).at_a_time(0) == 2, "a cluster of our own stays as it is"


def test_nodes_that_come_later_are_used(cluster_of, monkeypatch):
    cluster_of({"CPU": 4.0})
    found = room_of(of(1, 4))
    cluster_of({"CPU": 4.0}, {"CPU": 4.0})
    assert found.at_a_time(0) == 1, "looked at now and then"
    monkeypatch.setattr(room, "LOOK_SECONDS", -1.0)
    assert found.at_a_time(0) == 2
    cluster_of()
    assert found.at_a_time(0) == 1, "a stage waits for a node to come back"


PRETRAIN, FINETUNE, DESCRIBE = of(4, 1, 1), of(1, 1, 0.25), of(1, 2)


def test_stages_of_several_shapes_fit_side_by_side(cluster_of):
    cluster_of({"CPU": 16.0, "GPU": 4.0}, {"CPU": 16.0, "GPU": 4.0})
    found = Room({"pretrain": PRETRAIN, "finetune": FINETUNE, "describe": DESCRIBE})
    large, quarter, on_cpus = map(shape_of, (PRETRAIN, FINETUNE, DESCRIBE))
    assert found.admits(large, {quarter: 16}, 0)
    assert not found.admits(large, {quarter: 17}, 0)
    assert found.admits(quarter, {large: 1, quarter: 15}, 0)
    assert not found.admits(quarter, {large: 2}, 0)
    assert found.admits(on_cpus, {large: 2}, 0)
    assert str(found) == (
        "2 stages of pretrain or 32 stages of finetune or 16 stages of describe at a time, or fewer of each side by side."
    )


def test_a_stage_that_can_never_be_served_is_named(cluster_of):
    cluster_of({"CPU": 16.0, "GPU": 2.0})
    with pytest.raises(ResourceError, match=r"never serve a stage of pretrain, which needs 4 GPU \(it has 2 at most\)"):
        Room({"finetune": FINETUNE, "pretrain": PRETRAIN})


def test_groups_count_stages_of_all_shapes(cluster_of):
    cluster_of({"CPU": 16.0, "GPU": 4.0}, ours=True)
    found = Room({"finetune": of(1, 1, 0.25, groups=2), "describe": of(1, 2, groups=2)})
    small, on_cpus = shape_of(FINETUNE), shape_of(DESCRIBE)
    assert found.admits(small, {on_cpus: 1}, 0)
    assert not found.admits(small, {on_cpus: 1, small: 1}, 0)


def test_a_sweep_goes_as_far_as_the_others_let_it(cluster_of):
    whole = StageShape(1, (("CPU", 1.0), ("GPU", 1.0)))
    cluster_of({"CPU": 16.0, "GPU": 8.0})
    found = Room({"train": of(1, 1, 1)})
    assert found.has_turn(whole, {whole: 7}, {})
    found._share.allotment = Allotment(0.5, is_first=True, owes=False)
    assert found.has_turn(whole, {whole: 3}, {})
    assert not found.has_turn(whole, {whole: 4}, {})
    found._share.allotment = Allotment(0.5, is_first=False, owes=True)
    assert not found.has_turn(whole, {}, {})
    cluster_of({"CPU": 16.0, "GPU": 8.0}, scales=Autoscaler(None))
    found = Room({"train": of(1, 1, 1)})
    found._share.allotment = Allotment(0.5, is_first=True, owes=False)
    assert found.has_turn(whole, {whole: 6}, {whole: 4}), "what waits makes the cluster grow"
    found._share.allotment = Allotment(0.5, is_first=False, owes=False)
    assert not found.has_turn(whole, {whole: 6}, {whole: 4})


def test_others_are_told_what_is_held_and_what_is_wanted(cluster_of, monkeypatch):
    told = []
    monkeypatch.setattr(FairShare, "tell", lambda _, standing: told.append(standing()))
    whole, on_cpus = StageShape(1, (("CPU", 1.0), ("GPU", 1.0))), StageShape(1, (("CPU", 4.0),))
    cluster_of({"CPU": 16.0, "GPU": 8.0})
    Room({"train": of(1, 1, 1)}).tell({on_cpus: 8}, {whole: 4}, {whole: 2})
    Room({"train": of(1, 1, 1, groups=4)}).tell({on_cpus: 8}, {whole: 4}, {whole: 2})
    assert told == [(2 / 8, 36 / 16), (2 / 8, 4 / 8)]
    cluster_of({"CPU": 16.0}, ours=True)
    Room({"train": of(1, 1)}).tell({on_cpus: 8}, {}, {})
    assert len(told) == 2, "nobody else is on a cluster of our own"


def test_a_stage_whose_node_has_gone_takes_no_room_from_the_others(cluster_of, monkeypatch):
    monkeypatch.setattr(room, "LOOK_SECONDS", -1.0)
    cluster_of({"CPU": 16.0, "GPU": 4.0}, {"CPU": 4.0})
    found = Room({"pretrain": PRETRAIN, "describe": DESCRIBE})
    large, on_cpus = shape_of(PRETRAIN), shape_of(DESCRIBE)
    cluster_of({"CPU": 4.0})
    assert not found.serves(large)
    assert found.admits(on_cpus, {large: 1, on_cpus: 1}, 0)
    assert not found.admits(on_cpus, {large: 1, on_cpus: 2}, 0)


def test_nodes_that_may_be_started_hold_several_shapes(cluster_of):
    cluster_of({"CPU": 0.0}, scales=gpu4(2))
    found = Room({"pretrain": PRETRAIN, "finetune": FINETUNE})
    large, quarter = shape_of(PRETRAIN), shape_of(FINETUNE)
    assert found.admits(quarter, {large: 1, quarter: 15}, 0)
    assert not found.admits(large, {large: 1, quarter: 1}, 0)


@pytest.mark.parametrize(("reports", "found"), [(True, Autoscaler(None)), (False, None)])
def test_of_a_head_that_is_slow_to_answer_the_limits_are_not_known(monkeypatch, reports, found):
    def slow(_, timeout):
        raise GetTimeoutError(f"Get timed out after {timeout} s")

    monkeypatch.setattr(autoscaler, "is_ours", lambda: False)
    monkeypatch.setattr(autoscaler.state, "state", Mock(get_cluster_config=lambda: None))
    monkeypatch.setattr(autoscaler, "_configuration", Mock())
    monkeypatch.setattr(autoscaler.ray, "get", slow)
    monkeypatch.setattr(autoscaler, "_reports", lambda: reports)
    assert autoscaler._find.__wrapped__("head:6379") == found


amounts = st.dictionaries(st.sampled_from(["CPU", "GPU", "memory"]), st.integers(0, 20).map(float))
kinds = st.lists(st.builds(NodeKind, amounts, st.integers(0, 4)), max_size=4)


@given(
    kinds, st.integers(0, 6), st.dictionaries(st.sampled_from(["CPU", "GPU"]), st.integers(1, 5).map(float), min_size=1)
)
def test_the_limits_hold_as_many_workers_as_the_best_choice_of_nodes(kinds, overall, each):
    nodes = sorted((room_on(kind.resources, each) for kind in kinds for _ in range(int(kind.nodes))), reverse=True)
    assert Limits(tuple(kinds), overall).workers(each) == sum(nodes[:overall])


def test_the_limits_are_those_of_a_clusters_configuration():
    from pathlib import Path

    import yaml
    from ray.autoscaler._private.util import prepare_config

    config = prepare_config(yaml.safe_load((Path(__file__).parents[2] / "cluster.yaml").read_text()))
    assert limits_of(config).workers({"CPU": 1.0, "GPU": 1.0}) == 16
    for name in ("available_node_types", "head_node_type", "max_workers"):
        assert limits_of({key: value for key, value in config.items() if key != name}) is None
    assert limits_of({"not readable": "/x"}) is None
