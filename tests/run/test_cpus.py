"""What limits the CPUs of a process, and that the tightest limit counts."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.run.cpus import usable

ALL = os.cpu_count() or 1


@pytest.fixture
def free(tmp_path):
    """Give the arguments of a process that nothing but its affinity limits."""
    membership = tmp_path / "membership"
    membership.write_text("0::/\n")
    return {"environ": {}, "membership": membership, "cgroups": tmp_path / "cgroups"}


@pytest.fixture
def one_cpu():
    """Bind this process to one CPU for a test."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    yield
    os.sched_setaffinity(0, before)


def test_without_limits_all_that_the_affinity_leaves_count(free):
    assert usable(**free).number == len(os.sched_getaffinity(0))


@pytest.mark.skipif(ALL == 1, reason="one CPU is all there is")
def test_a_process_bound_to_one_cpu_has_one(free, one_cpu):
    assert usable(**free) == (1, "CPU affinity")


@pytest.mark.parametrize("name", ["SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"])
def test_slurms_allocation_counts_where_it_is_tighter(free, name):
    assert usable(**free | {"environ": {name: "1"}}).number == 1
    assert usable(**free | {"environ": {name: str(ALL + 7)}}) == usable(**free)


@pytest.mark.parametrize("value", ["", "0", "many", "-1", "2(x3)"])
def test_what_is_no_number_of_cpus_is_no_limit(free, value):
    assert usable(**free | {"environ": {"SLURM_CPUS_ON_NODE": value}}) == usable(**free)


@given(
    levels=st.lists(st.one_of(st.none(), st.floats(0.05, 64)), min_size=1, max_size=4), version=st.sampled_from([1, 2])
)
def test_the_tightest_quota_on_the_way_to_the_root_counts(levels, version, tmp_path_factory):
    folder = tmp_path_factory.mktemp("cgroups")
    membership = folder / "membership"
    path = "/".join(f"level{number}" for number in range(len(levels)))
    membership.write_text(f"0::/{path}\n" if version == 2 else f"5:memory:/\n3:cpu,cpuacct:/{path}\n")
    group = folder if version == 2 else folder / "cpu"
    for number, quota in enumerate(levels):
        group /= f"level{number}"
        group.mkdir(parents=True)
        microseconds = -1 if quota is None else quota * 100_000
        if version == 2:
            (group / "cpu.max").write_text(f"{'max' if quota is None else microseconds} 100000\n")
        else:
            (group / "cpu.cfs_quota_us").write_text(f"{microseconds}\n")
            (group / "cpu.cfs_period_us").write_text("100000\n")
    found = usable({}, membership, folder)
    tightest = min([int(quota) or 1 for quota in levels if quota is not None], default=ALL)
    assert found.number == min(tightest, len(os.sched_getaffinity(0)))


def test_a_container_whose_groups_path_is_the_hosts_has_its_own_at_the_root(free):
    free["cgroups"].mkdir()
    free["membership"].write_text("0::/system.slice/docker-1234.scope\n")
    (free["cgroups"] / "cpu.max").write_text("50000 100000\n")
    assert usable(**free) == (1, "cgroup quota of 0.5" if ALL > 1 else "")


def test_a_system_without_affinity_leaves_all_cpus(free, monkeypatch):
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable(**free).number == ALL
