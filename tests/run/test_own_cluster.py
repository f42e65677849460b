"""The cluster that a run starts for itself: its own, whatever lies around and however odd the environment is."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from ray._private import services

from mfsweep.errors import ResourceError
from mfsweep.run import own_cluster


@pytest.fixture
def environment(monkeypatch):
    """Set variables of this process and unset others: `environment(HOME=None, TMPDIR=...)`."""

    def change(**values):
        for name, value in values.items():
            monkeypatch.setenv(name, str(value))
            if value is None:
                monkeypatch.delenv(name)  # after it was set, so that it is unset again after the test

    change(RAY_TMPDIR=None, TMPDIR=None, RAY_AUTH_TOKEN=None, RAY_AUTH_TOKEN_PATH=None, RAY_worker_niceness=None)
    return change


@pytest.mark.parametrize("length", [30, 36, 37, 60, 200])
def test_sockets_fit_whatever_the_length_of_tmpdir(environment, length):
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        given = Path(short) / ("x" * (length - len(short) - 1))
        environment(TMPDIR=given)
        found = own_cluster.folder()
        assert len(os.fsencode(found + own_cluster._SOCKET)) <= own_cluster.LONGEST_SOCKET
        assert found.startswith(str(given)) == (
            length + len("/ray" + own_cluster._SOCKET) <= own_cluster.LONGEST_SOCKET
        )


@pytest.mark.parametrize("length", [30, 200])
def test_what_ray_starts_has_its_sockets_in_a_folder_that_is_short_too(environment, length):
    """The dashboard's processes have some in TMPDIR."""
    with tempfile.TemporaryDirectory(dir="/tmp") as short:
        given = str(Path(short) / ("x" * (length - len(short) - 1)))
        environment(TMPDIR=given)
        seen = []
        own_cluster.start(lambda **_: seen.append(os.environ["TMPDIR"]))
        assert seen == [given if length < 40 else "/tmp/ray"]
        assert os.environ["TMPDIR"] == given


def test_a_folder_that_cannot_be_written_is_left_for_another(environment):
    environment(TMPDIR="/dev/null/x")
    assert own_cluster.folder() == "/tmp/ray"


def test_without_any_folder_it_says_what_to_set(environment, monkeypatch):
    monkeypatch.setattr(own_cluster, "_is_writable", lambda _: False)
    with pytest.raises(ResourceError, match=r"Name a short one: RAY_TMPDIR=/short/folder"):
        own_cluster.folder()


def test_a_signal_to_the_runs_group_does_not_reach_its_cluster():
    def group():
        process = services.ConsolePopen([sys.executable, "-c", ""])
        try:
            return os.getpgid(process.pid)
        finally:
            process.wait()

    with own_cluster._in_groups_of_their_own():
        assert group() != os.getpgid(0)
    assert group() == os.getpgid(0)


@pytest.mark.parametrize("home", [None, "", "/dev/null/home"])
def test_without_a_home_that_can_be_written_the_token_is_the_runs_own(environment, home):
    environment(HOME=home)
    own_cluster._give_token()
    first = os.environ.pop("RAY_AUTH_TOKEN")
    own_cluster._give_token()
    assert len(first) == 64
    assert os.environ["RAY_AUTH_TOKEN"] != first


def test_with_a_home_the_token_is_left_to_ray(environment, tmp_path):
    environment(HOME=tmp_path)
    own_cluster._give_token()
    assert "RAY_AUTH_TOKEN" not in os.environ


def test_what_the_user_has_set_for_ray_is_kept(environment):
    environment(RAY_worker_niceness="7")
    assert "worker_niceness" not in own_cluster.options()["_system_config"]


@pytest.mark.parametrize(("failures", "calls"), [(0, 1), (1, 2), (2, 3)])
def test_a_start_that_took_too_long_is_tried_again_and_leaves_no_process(failures, calls):
    begun, tried = [], []

    def init(**_):
        tried.append(1)
        if len(tried) <= failures:
            begun.append(subprocess.Popen(["sleep", "600"]))
            raise Exception("The current node timed out during startup.")  # noqa: TRY002 (as Ray does)

    own_cluster.start(init)
    assert len(tried) == calls
    assert len(begun) == failures
    assert not any(psutil.pid_exists(process.pid) for process in begun)
    for process in begun:  # psutil has taken their ends
        process.wait(5)


def test_a_start_that_never_succeeds_is_one_sentence():
    def init(**_):
        raise RuntimeError("Failed to start GCS.\nLast lines of error files: ...")

    with pytest.raises(ResourceError) as raised:
        own_cluster.start(init)
    assert str(raised.value).startswith("Ray cannot be started on this machine: Failed to start GCS. Its logs are in /")
    assert "\n" not in str(raised.value)


def test_ray_has_the_loopback_for_its_address_while_it_starts_and_no_longer(monkeypatch):
    from ray._private import ray_constants, services, worker

    monkeypatch.setattr(worker, "_global_node", None)  # another test's, of the same process
    seen = []
    own_cluster.start(lambda **_: seen.append(services.get_node_ip_address()))
    assert seen == ["127.0.0.1"]
    assert ray_constants.ENABLE_RAY_CLUSTER


def test_a_defect_of_ours_keeps_its_own_error():
    def init(**_):
        raise TypeError("unexpected argument")

    with pytest.raises(TypeError):
        own_cluster.start(init)


@pytest.mark.slow
@pytest.mark.cluster
def test_it_is_its_own_in_the_oddest_environment(tmp_path):
    """One CPU of Slurm's, no home, a long TMPDIR, the file of a dead cluster, a driver that is nice."""
    program = """
import json, os, psutil, ray, subprocess, sys
from mfsweep.run import cluster
with cluster.connected(dashboard=True) as called:
    @ray.remote
    def seen():
        return os.getpriority(os.PRIO_PROCESS, 0)
    found = {"called": called, "cpus": ray.cluster_resources()["CPU"], "nice": ray.get(seen.remote())}
    ours = [psutil.Process(), *psutil.Process().children(recursive=True)]
    sockets = [one for process in ours for one in process.net_connections("inet") if one.status == "LISTEN"]
    found["open"] = sorted({one.laddr.ip for one in sockets})
    join = "from mfsweep.run import cluster\\nwith cluster.connected(dashboard=False): pass"
    wrong = {"RAY_ADDRESS": ray.get_runtime_context().gcs_address, "RAY_AUTH_TOKEN": "0" * 64}
    stranger = subprocess.run([sys.executable, "-c", join], env=os.environ | wrong, capture_output=True, text=True)
    found["refused"] = stranger.returncode != 0 and "that cluster asks for a token" in stranger.stderr
    print(json.dumps(found))
"""
    long = tmp_path / ("x" * 120)
    (long / "ray").mkdir(parents=True)
    (long / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_") and name != "HOME"}
    odd = {"TMPDIR": str(long), "SLURM_CPUS_PER_TASK": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        ["nice", "-n", "3", sys.executable, "-c", program],
        env=kept | odd, capture_output=True, text=True, timeout=600, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["cpus"] == 1
    assert set(found["open"]) <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}, "nobody else reaches it"
    assert found["refused"], "it asks for its token"
    assert found["nice"] == os.getpriority(os.PRIO_PROCESS, 0) + 3
    if os.cpu_count() != 1:
        assert found["called"] == f"a local Ray cluster of 1 of {os.cpu_count()} CPUs (SLURM_CPUS_PER_TASK)"
