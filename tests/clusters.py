"""Real Ray clusters on this machine: several raylets, and an autoscaler that starts and ends fake nodes.

Each has its own ports and its own folder in /tmp, by which its processes are found and ended again: another Ray on the
machine is left alone. Unix sockets lie in the folder, so its name is short. A test that passes leaves nothing on its
cluster: no placement group, and no process that performs something for a driver.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest
import yaml

RAY = Path(sys.executable).with_name("ray")
HEAD_NODE = "f" * 51 + "00000"
"""Id of the head, by which Ray's fake provider of nodes knows it."""
TOKEN = "auth_token"
STORE_BYTES = 80_000_000
"""Of each node's object store; Ray takes no less."""
RAYS_OWN = ("ray::IDLE", "ray::Dashboard", "ray::RuntimeEnvAgent")
"""What stays of a cluster's own processes when nothing is performed."""


class Cluster(NamedTuple):
    """A running cluster."""

    address: str
    """Of the GCS, for RAY_ADDRESS."""
    dashboard: str
    """For `ray job submit --address`."""
    folder: Path

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of a command that is to run on it."""
        return {**_environment(self.folder), "RAY_ADDRESS": self.address, **more}

    def processes(self, *words: str) -> list[psutil.Process]:
        """Return the cluster's processes whose command line holds all of these words."""
        lines = {process: command_line(process) for process in _processes(self.folder)}
        return [process for process, line in lines.items() if all(word in line for word in words)]

    def at_work(self) -> list[str]:
        """Return the names of the processes that perform something for a driver."""
        names = map(command_line, self.processes("ray::"))
        return [name for name in names if name.startswith("ray::") and not name.startswith(RAYS_OWN)]

    def kill_head(self) -> Callable[[], subprocess.Popen[bytes]]:
        """Kill the head's GCS; return a function that starts it again as it was."""
        (gcs,) = [process for process in self.processes("gcs/gcs_server") if "gcs/gcs_server" in process.cmdline()[0]]
        command, environment, folder = gcs.cmdline(), gcs.environ(), gcs.cwd()
        gcs.kill()

        def start() -> subprocess.Popen[bytes]:
            with (self.folder / "restarted.log").open("w") as log:
                return subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)

        return start

    def kill_node(self) -> None:
        """Kill the raylet of the latest node, with all that it has started."""
        raylets = self.processes("raylet/raylet", "--raylet_socket_name")
        numbers = {one: re.findall(r"/raylet\.(\d+)", command_line(one)) for one in raylets}
        latest = max(raylets, key=lambda one: max(map(int, numbers[one]), default=0))  # the head's has no number
        for process in (latest, *latest.children(recursive=True)):
            with contextlib.suppress(psutil.Error):
                process.kill()

    def add_node(self, *, node_id: str = "", **resources: int) -> None:
        """Start one more raylet, of this id (56 hex digits) where one is given."""
        _ray(
            "start", f"--address={self.address}", "--node-ip-address=127.0.0.1", f"--object-store-memory={STORE_BYTES}",
            f"--num-cpus={resources.get('CPU', 0)}", f"--num-gpus={resources.get('GPU', 0)}", folder=self.folder,
            **({"RAY_OVERRIDE_NODE_ID_FOR_TESTING": node_id} if node_id else {}),
        )  # fmt: skip

    def drain(self, node_id: str, seconds: int) -> None:
        """Announce that a node will be taken back, as a cloud does of a spot machine."""
        _ray(
            "drain-node", f"--address={self.address}", f"--node-id={node_id}", f"--deadline-remaining-seconds={seconds}",
            "--reason=DRAIN_NODE_REASON_PREEMPTION", "--reason-message=taken back", folder=self.folder,
        )  # fmt: skip


@contextlib.contextmanager
def cluster(*nodes: Mapping[str, int], keeps_state: bool = False) -> Iterator[Cluster]:
    """Start a head that trains nothing, and a raylet for each node.

    Args:
        nodes: resources of each node.
        keeps_state: let the head keep its state in a file, from which it goes on when it is started again.
    """
    with _started(keeps_state=keeps_state) as made:
        for node in nodes:
            made.add_node(**node)
        yield made


@contextlib.contextmanager
def autoscaling(
    node: Mapping[str, int], most: int, *, idle_minutes: float = 0.2, hidden: bool = False
) -> Iterator[Cluster]:
    """Start a head alone, with an autoscaler (version 2) that may start `most` fake nodes.

    Args:
        node: resources of a node.
        most: nodes at most.
        idle_minutes: after which a node goes.
        hidden: run the autoscaler as KubeRay does, where nobody can look up its configuration.
    """
    with _started(_config(node, most, idle_minutes), hidden=hidden) as made:
        yield made


@contextlib.contextmanager
def _started(config: dict | None = None, *, hidden: bool = False, keeps_state: bool = False) -> Iterator[Cluster]:
    folder = Path(tempfile.mkdtemp(prefix="mfs", dir="/tmp"))
    (folder / TOKEN).write_text(secrets.token_hex(32))
    gcs, dashboard = _free_port(), _free_port()
    made = Cluster(f"127.0.0.1:{gcs}", f"http://127.0.0.1:{dashboard}", folder)
    options = [
        "--head", "--num-cpus=0", "--num-gpus=0", f"--port={gcs}", "--node-ip-address=127.0.0.1",
        f"--temp-dir={folder}", f"--object-store-memory={STORE_BYTES}", f"--dashboard-port={dashboard}",
        f"--dashboard-agent-listen-port={_free_port()}", f"--ray-client-server-port={_free_port()}",
    ]  # fmt: skip
    fake = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(folder / "state")} if keeps_state else {}
    monitor = None
    if config:
        config["provider"]["gcs_address"] = made.address
        file = folder / "autoscaling.yaml"
        file.write_text(yaml.safe_dump(config))
        fake = {
            "RAY_FAKE_CLUSTER": "1",
            "RAY_enable_autoscaler_v2": "1",
            "AUTOSCALER_UPDATE_INTERVAL_S": "1",
            "RAY_NODE_TYPE_NAME": "ray.head.default",
            "RAY_CLOUD_INSTANCE_ID": HEAD_NODE,
            "RAY_OVERRIDE_NODE_ID_FOR_TESTING": HEAD_NODE,
        }
        options += ["--no-monitor"] if hidden else [f"--autoscaling-config={file}"]
    try:
        _ray("start", *options, folder=folder, **fake)
        monitor = _start_hidden_autoscaler(made, file, fake) if config and hidden else None
        yield made
        if made.processes("gcs/gcs_server"):
            _wait_for_rest(made)
    finally:
        _end(folder)
        if monitor:
            monitor.wait()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def watching(made: Cluster) -> Iterator[Callable[[], list[dict[str, int]]]]:
    """Connect to the cluster in a process of its own, which says what it sees; give a function that reads it."""
    program = """
import json, sys, time, ray
from ray.util.placement_group import placement_group_table
ray.init(log_to_driver=False, logging_level=40)
while True:
    groups = [group for group in placement_group_table().values() if group["state"] != "REMOVED"]
    seen = {
        "nodes": sum(node["Alive"] for node in ray.nodes()),
        "groups": sum(group["state"] == "CREATED" and len(group["bundles"]) == 2 for group in groups),
        "waiting": sum(group["state"] in ("PENDING", "PREPARED") for group in groups),
        "all": len(groups),
    }
    print(json.dumps(seen), flush=True)
    time.sleep(0.3)
"""
    file = made.folder / "watched"
    with file.open("w") as out:
        process = subprocess.Popen([sys.executable, "-c", program], env=made.environment(), stdout=out)
    try:
        # Ray has a word there, too; and the last line may be half written.
        yield lambda: [json.loads(line) for line in re.findall(r"^\{.*\}$", file.read_text(), re.MULTILINE)]
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], Any], seconds: float = 180) -> Any:
    """Wait for a condition; fail where it does not come."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := condition():
            return found
        time.sleep(0.3)
    return pytest.fail(f"did not come to pass within {seconds} s")


def _wait_for_rest(made: Cluster) -> None:
    """Wait until nothing is left of what has been run there; fail where something stays."""
    with watching(made) as seen:
        until(lambda: seen() and seen()[-1]["all"] == 0, 120)
    until(lambda: made.at_work() == [], 120)


def _config(node: Mapping[str, int], most: int, idle_minutes: float) -> dict:
    """Return a cluster's configuration as `ray up` would leave it on the head."""
    lists = (
        "cluster_synced_files initialization_commands setup_commands head_setup_commands worker_setup_commands "
        "head_start_ray_commands worker_start_ray_commands rsync_exclude rsync_filter"
    )
    return {
        "cluster_name": "fake",
        "max_workers": most,
        "upscaling_speed": 1.0,
        "idle_timeout_minutes": idle_minutes,
        "provider": {
            "type": "external",
            "module": "ray.autoscaler._private.fake_multi_node.node_provider.FakeMultiNodeProvider",
            "use_node_id_as_ip": True,
            "disable_node_updaters": True,
            "disable_launch_config_check": True,
            "launch_multiple": True,
            "head_node_id": HEAD_NODE,
        },
        "available_node_types": {
            "ray.head.default": {"resources": {"CPU": 0}, "max_workers": 0, "node_config": {}},
            "worker": {
                "resources": {**node, "object_store_memory": STORE_BYTES},
                "min_workers": 0,
                "max_workers": most,
                "node_config": {},
            },
        },
        "head_node_type": "ray.head.default",
        "auth": {"ssh_user": "nobody"},
        "file_mounts": {},
        "docker": {},
        **{name: [] for name in lists.split()},
    }


def _start_hidden_autoscaler(made: Cluster, config: Path, fake: Mapping[str, str]) -> subprocess.Popen[bytes]:
    from ray.autoscaler.v2 import monitor

    logs = made.folder / "session_latest" / "logs"
    arguments = [
        "monitor", f"--logs-dir={logs}", f"--gcs-address={made.address}", f"--autoscaling-config={config}",
    ]  # fmt: skip
    # By another command line than Ray's own.
    program = f"import runpy, sys; sys.argv = {arguments}; runpy.run_path({monitor.__file__!r}, run_name='__main__')"
    script = made.folder / "hidden.py"
    script.write_text(program)
    with (made.folder / "hidden.log").open("w") as log:
        return subprocess.Popen(
            [sys.executable, script], env={**_environment(made.folder), **fake}, stdout=log, stderr=log
        )


def _ray(*arguments: str, folder: Path, **more: str) -> None:
    done = subprocess.run(
        [RAY, *arguments],
        env={**_environment(folder), **more},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"ray {' '.join(arguments)}:\n{done.stdout}{done.stderr}")


def _environment(folder: Path) -> dict[str, str]:
    """Return this process' environment without what would lead to another cluster; `mfsweep` is found in it.

    A token of the cluster's own: Ray would otherwise take that of the machine, where it has one.
    """
    kept = {name: value for name, value in os.environ.items() if name not in ("RAY_ADDRESS", "RAY_JOB_ID")}
    return {
        **kept,
        "PATH": f"{RAY.parent}{os.pathsep}{kept.get('PATH', '')}",
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(folder / TOKEN),
    }


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def command_line(process: psutil.Process) -> str:
    """Return the command line of a process, empty of one that has ended."""
    with contextlib.suppress(psutil.Error):
        return " ".join(process.cmdline())
    return ""


def _processes(folder: Path) -> list[psutil.Process]:
    """Return the processes that belong to a cluster: its folder stands in their command line or in an ancestor's."""
    found: dict[int, psutil.Process] = {}
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.pid != os.getpid() and str(folder) in " ".join(process.cmdline()):
                found |= {own.pid: own for own in (process, *process.children(recursive=True))}
    return list(found.values())


def _end(folder: Path) -> None:
    deadline = time.monotonic() + 20
    while (left := _processes(folder)) and time.monotonic() < deadline:
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        psutil.wait_procs(left, timeout=5)
