"""One store, several people: a set-group-ID folder and umask 002 are all it takes; who may only read, reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import users
from conftest import SPEC

from mfsweep.store import StoreFolder

pytestmark = pytest.mark.skipif(not users.can_be_others(), reason="only root can be other users")

WORK = """\
import sys
from pathlib import Path

from finished import finish

from mfsweep.sweep import results
from mfsweep.prepare import prepare
from mfsweep.run.databases import OptunaTables, whole
from mfsweep.run.mirror import Mirror
from mfsweep.run.store_tracking import open_or_go_on
from mfsweep.files import write_text
from mfsweep.store import StoreFolder

spec, store = Path(sys.argv[1]), StoreFolder(Path(sys.argv[2]))
store.prepare()
plan = prepare(spec, store.root)
for key in plan.graph.nodes:
    with store.stage(key).claim() as mine:
        assert mine, key
    store.stage(key).say("begins")
finish(plan)
plan = prepare(spec, store.root)
folder = store.sweep(plan.name)
with folder.claim(print) as mine:
    assert mine
write_text(folder.spec, plan.spec.document.text)
folder.write_cells(plan.cells())
said = []
tracker = open_or_go_on(store, plan.name, said.append, sweep=plan.name, steps_per_decade=100)
mirror = Mirror(tracker, plan.graph, store)
for key in plan.graph.nodes:
    mirror.begin(key)
    mirror.end(key, failed=False)
shown = results.analyse(plan)
shown.write_points()
said += tracker.close("FINISHED", shown.write())
with whole(store.search_database, OptunaTables()) as mended:
    said += [mended] if mended else []
assert not said, said
"""
"""What a run does in a store, without Ray and without the trainings."""

COMMANDS = """\
import contextlib, io, json, sys, traceback

from mfsweep.cli.main import main

ended = {}
for command in json.loads(sys.argv[1]):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(command)
            code = None
        except SystemExit as end:
            code = end.code
        except BaseException:
            code = traceback.format_exc()
    ended[" ".join(command)] = code, out.getvalue(), err.getvalue()
print(json.dumps(ended))
"""
"""Commands in one process: each takes seconds to import what it needs."""

OTHER = SPEC.replace("name: small", "name: other").replace("[0, 20, 40]", "[0, 30, 40]")


@pytest.fixture(scope="module")
def shared():
    """Give a folder of a group, with a store that one of its users has filled and another has gone on with."""
    with users.shared_folder() as folder:
        for number, text in ((0, SPEC), (1, OTHER), (1, SPEC)):
            (folder / "spec.yaml").write_text(text)
            user = users.FIRST + number
            home = users.home_of(folder, user)
            ended = users.python(WORK, folder / "spec.yaml", folder / "store", user=user, home=home)
            assert ended.returncode == 0, ended.stderr
        yield folder


def test_two_users_of_a_group_go_on_with_each_others_work(shared):
    owners = {folder.path.stat().st_uid for folder in StoreFolder(shared / "store").stages()}
    assert owners == {users.FIRST, users.FIRST + 1}, "the fixture has asserted that nothing was refused"


def check_modes(store: Path) -> None:
    for path in (store, *store.rglob("*")):
        mode = path.stat().st_mode
        assert path.stat().st_gid == users.GROUP, path
        assert mode & 0o060 == 0o060, f"{path} has mode {mode:o}"
        assert not path.is_dir() or mode & 0o2070 == 0o2070, f"{path} has mode {mode:o}"


def test_whatever_lies_in_the_store_the_group_may_read_and_write(shared):
    check_modes(shared / "store")


def asked(folder: Path, out: Path) -> tuple[list[list[str]], list[list[str]]]:
    """Return the commands that only read, and those that write."""
    spec, store = str(folder / "spec.yaml"), ["--store", str(folder / "store")]
    reads = [
        ["status", spec],
        ["plan", spec],
        ["fit", spec],
        ["fit", spec, "--json"],
        ["report", spec, "--out", str(out)],
    ]
    writes = [["run", spec], ["run", spec, "--smoke"], ["bench", spec], ["report", spec], ["track", "rebuild"], ["ui"]]
    return [[*one, *store] for one in reads], [[*one, *store] for one in writes]


def check_only_read(ended: str, reads: list[list[str]], writes: list[list[str]], store: Path) -> None:
    found = json.loads(ended.splitlines()[-1])
    for command in reads:
        code, out, err = found[" ".join(command)]
        assert code == 0, (command, code, err)
        assert out
        assert "Traceback" not in err
    for command in writes:
        code, out, err = found[" ".join(command)]
        assert (code, err.count("\n")) == (2, 1), (command, code, out, err)
        assert err.startswith(f"mfsweep: the store {store} cannot be written: ")


def test_who_may_only_read_a_store_gets_what_can_be_read_and_one_sentence_for_the_rest(shared):
    stranger = users.FIRST + 1
    home = users.home_of(shared, stranger)
    reads, writes = asked(shared, home / "report")
    before = set((shared / "store").rglob("*"))
    ended = users.python(COMMANDS, json.dumps(reads + writes), user=stranger, group=users.STRANGERS, home=home)
    assert ended.returncode == 0, ended.stderr
    check_only_read(ended.stdout, reads, writes, shared / "store")
    assert set((shared / "store").rglob("*")) == before
    assert (home / "report" / "report.html").exists()


@pytest.mark.drill
def test_a_store_on_a_read_only_mount_is_read_too(shared, tmp_path):
    place = tmp_path / "mounted"
    place.mkdir()
    subprocess.run(["mount", "--bind", shared, place], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", place], check=True)
        reads, writes = asked(place, tmp_path / "report")
        command = [sys.executable, "-c", COMMANDS, json.dumps(reads + writes)]
        ended = subprocess.run(command, capture_output=True, text=True, timeout=600, check=True)
        check_only_read(ended.stdout, reads, writes, place / "store")
    finally:
        subprocess.run(["umount", place], check=True)
    assert (tmp_path / "report" / "report.html").exists()


RUN = """\
import sys

from mfsweep.cli.main import main

main(["run", sys.argv[1], "--store", sys.argv[2], "--json"])
"""


@pytest.mark.drill
@pytest.mark.cluster
def test_whole_runs_of_two_users_in_one_store_share_their_stages():
    small = SPEC.replace("[0, 20, 40]", "[20]").replace("[20, 60]", "[20]")
    grown = small.replace("pretrain_size: [20]", "pretrain_size: [0, 20]")
    with users.shared_folder() as folder:
        ended = []
        for number, text in enumerate((small, grown, grown)):
            user = users.FIRST + number % 2
            (folder / "spec.yaml").write_text(text)
            home = users.home_of(folder, user)
            ended.append(users.python(RUN, folder / "spec.yaml", folder / "store", user=user, home=home))
            assert ended[-1].returncode == 0, ended[-1].stderr
            assert "Traceback" not in ended[-1].stderr
            assert "MLflow:" not in ended[-1].stderr
        counts = [json.loads(one.stdout) for one in ended]
        assert [(one["run"], one["reused"], one["failed"]) for one in counts] == [(2, 0, 0), (1, 2, 0), (0, 3, 0)]
        check_modes(folder / "store")
