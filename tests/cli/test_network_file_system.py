"""Two hosts on one store by a network file system: each has mounted it for itself, with its own locks and old views of it.

The file system is sshfs, whose server each host talks to over a pipe; it shows a host for half a minute what another
one has changed since, and has no locks between hosts. A host is a namespace of mounts and names, so that only root has
one. MLflow is a server: SQLite's file would need the locks.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from clusters import until
from left_behind import processes_with
from mlflow_server import MlflowServer
from small_disk import needs_root
from undisturbed import check_as_undisturbed

from mfsweep.store import StoreFolder
from mfsweep.store.lease import read

SERVER = next((path for lib in ("lib", "libexec") if (path := Path(f"/usr/{lib}/openssh/sftp-server")).exists()), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.cluster,
    needs_root,
    pytest.mark.skipif(not (SERVER and shutil.which("sshfs")), reason="sshfs and OpenSSH's sftp-server are missing"),
]

HOST = "MFSWEEP_TEST_HOST"
"""What the processes of a host have in their environment."""
OLD = ",".join(
    f"{name}_timeout=30" for name in ("dcache", "dcache_stat", "dcache_dir", "dcache_link", "entry", "attr", "negative")
)
START = f"""
hostname "${HOST}"
export="$1"; mount="$2"; shift 2
mkfifo "$export.${HOST}"
({SERVER} < "$export.${HOST}" | sshfs ":$export" "$mount" -f -o passive,{OLD} > "$export.${HOST}") &
until mountpoint --quiet "$mount"; do sleep 0.1; done
"$@"
code=$?
umount --lazy "$mount"
exit $code
"""


class Host:
    """A host that runs a command on the store, which lies at the same path for each."""

    def __init__(self, name: str, place: Path, command: list[str]) -> None:
        self.name = name
        self.log = place / f"{name}.log"
        environment = {key: value for key, value in os.environ.items() if key != "RAY_ADDRESS"} | {HOST: name}
        start = [
            "unshare",
            "--mount",
            "--uts",
            "bash",
            "-c",
            START,
            "host",
            str(place / "export"),
            str(place / "mount"),
        ]
        with self.log.open("w") as log:
            self.process = subprocess.Popen([*start, *command], env=environment, stdout=log, stderr=log)

    def said(self) -> str:
        return self.log.read_text()

    def die(self) -> None:
        """Lose power."""
        while left := processes_with(HOST, self.name):
            for one in left:
                with contextlib.suppress(psutil.Error):
                    one.kill()
            self.process.poll()


@pytest.fixture
def host(tmp_path) -> Iterator[Callable[[str, list[str]], Host]]:
    """Give a function that starts a host with a command."""
    for name in ("export", "mount"):
        (tmp_path / name).mkdir()
    started: list[Host] = []

    def start(name: str, command: list[str]) -> Host:
        started.append(Host(name, tmp_path, command))
        return started[-1]

    yield start
    for one in started:
        one.die()


@pytest.fixture
def server(tmp_path):
    (folder := tmp_path / "server").mkdir()
    made = MlflowServer(folder)
    made.start()
    yield made
    made.kill()


def holders(store: StoreFolder) -> set[str]:
    """Return the hosts that hold a stage."""
    signs = [sign for stage in store.stages() if (sign := read(stage.path)) and not sign.is_free]
    return {sign.holder.rpartition(" ")[2] for sign in signs}


def test_two_hosts_train_each_stage_once_and_one_goes_on_with_what_the_other_has_begun(
    host, server, write_spec, called, without_ray, tmp_path
):
    spec = write_spec(("max_steps: 4", "max_steps: 300"), ("[0, 20, 40]", "[0, 20, 40, 60]"), ("[20, 60]", "[20]"))
    store, peace = StoreFolder(tmp_path / "export" / "store"), tmp_path / "peace"
    options = ["--store", str(tmp_path / "mount" / "store"), "--groups", "1", "--tracking-uri", server.address]
    run = [sys.executable, "-m", "mfsweep", "run", str(spec), *options]
    first, second = both = [host(name, run) for name in ("first", "second")]
    until(lambda: all("  start  " in one.said() for one in both))
    until(lambda: sum(stage.record_path.exists() for stage in store.stages()) >= 2)
    until(lambda: "  start  " in first.said().splitlines()[-1])
    first.die()
    assert "first" in holders(store)
    assert second.process.wait(400) == 0, second.said()
    third = host("third", run)
    assert third.process.wait(200) == 0, third.said()
    assert f"0 stages run, {len(store.keys())} reused, 0 failed" in third.said()
    for one in both:
        assert "Traceback" not in one.said()
        assert "again  " not in one.said(), one.said()
    assert called("run", spec, "--store", peace)[0] == 0
    check_as_undisturbed(store.root, peace, "small", tracked=server.address)
    assert all(stage.log.read_text().count("starts with") <= 2 for stage in store.stages())
