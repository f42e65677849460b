"""mlflow.db and optuna.db: whole or not there, whoever is killed, whoever comes at the same time, whatever lies there."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mfsweep.files import beside, locked
from mfsweep.run import databases
from mfsweep.run.databases import MlflowTables, OptunaTables, damage, whole

KINDS = {"mlflow.db": MlflowTables, "optuna.db": OptunaTables}
OPEN = """\
import sys
from pathlib import Path
from mfsweep.run.databases import MlflowTables, OptunaTables, whole
kind = {"mlflow.db": MlflowTables, "optuna.db": OptunaTables}[sys.argv[1]]
with whole(Path(sys.argv[2]) / sys.argv[1], kind()) as mended:
    print("mended:", mended)
"""
kinds = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(scope="session")
def sound(tmp_path_factory):
    """Make both files once: their tables take seconds."""
    folder = tmp_path_factory.mktemp("sound")
    for name, tables in KINDS.items():
        with whole(folder / name, tables()) as mended:
            assert mended == ""
    return folder


@pytest.fixture
def quick(sound, monkeypatch):
    """Let a file be made by copying a sound one."""
    for name, tables in KINDS.items():
        monkeypatch.setattr(tables, "create", lambda _, path, name=name: shutil.copyfile(sound / name, path))


def state(path: Path) -> str:
    return damage(path) or KINDS[path.name]().state(path)


def half_made(path: Path, sound: Path) -> None:
    """Leave what a kill in the middle of the migrations does: some tables, of some revision."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE experiments (experiment_id INTEGER)")
        connection.commit()


def without_a_table(path: Path, sound: Path) -> None:
    shutil.copy(sound / path.name, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("DROP TABLE " + {"mlflow.db": "runs", "optuna.db": "alembic_version"}[path.name])
        connection.commit()


def cut_short(path: Path, sound: Path) -> None:
    content = (sound / path.name).read_bytes()
    path.write_bytes(content[: len(content) // 2])


def overwritten(path: Path, sound: Path) -> None:
    content = bytearray((sound / path.name).read_bytes())
    content[4096 : 3 * 4096] = b"\xff" * (2 * 4096)
    path.write_bytes(content)


def foreign(path: Path, sound: Path) -> None:
    path.write_text("no database")


def empty(path: Path, sound: Path) -> None:
    path.touch()


def folder(path: Path, sound: Path) -> None:
    path.mkdir()


def dangling(path: Path, sound: Path) -> None:
    path.symlink_to(path.parent / "nowhere.db")


@kinds
@pytest.mark.parametrize(
    "spoil", [half_made, without_a_table, cut_short, overwritten, foreign, empty, folder, dangling]
)
def test_whatever_lies_there_is_set_aside_and_made_anew(name, spoil, sound, quick, tmp_path):
    path = tmp_path / name
    spoil(path, sound)
    mends_itself = name == "optuna.db" and spoil in (half_made, without_a_table)  # Optuna makes what is missing
    with whole(path, KINDS[name]()) as mended:
        assert state(path) == "whole"
    if not mends_itself:
        assert f"set aside as {name}.damaged-1" in mended
        assert os.path.lexists(tmp_path / f"{name}.damaged-1")
    with whole(path, KINDS[name]()) as mended:
        assert mended == ""


@kinds
def test_a_journal_of_the_former_file_never_meets_the_new_one(name, quick, tmp_path):
    (tmp_path / f"{name}-journal").write_bytes(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + bytes(504))
    (tmp_path / f"{name}-wal").write_bytes(b"old")
    with whole(tmp_path / name, KINDS[name]()):
        assert state(tmp_path / name) == "whole"
    assert {f"{name}-journal.damaged-1", f"{name}-wal.damaged-1"} <= {path.name for path in tmp_path.iterdir()}


@kinds
def test_a_later_version_is_left_alone_and_an_earlier_one_brought_up_to_date(name, sound, quick, tmp_path, monkeypatch):
    path = tmp_path / name
    shutil.copy(sound / name, path)
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = 'of tomorrow'")
        connection.commit()
    before = path.read_bytes()
    with pytest.raises(databases.StoreError, match="later version"), whole(path, KINDS[name]()):
        pass
    assert path.read_bytes() == before

    monkeypatch.setattr(KINDS[name], "state", lambda *_: "earlier")
    monkeypatch.setattr(KINDS[name], "upgrade", lambda _, path: shutil.copyfile(sound / name, path))
    with whole(path, KINDS[name]()) as mended:
        assert "earlier version" in mended
    assert path.read_bytes() == (sound / name).read_bytes()
    monkeypatch.setattr(KINDS[name], "upgrade", lambda *_: 1 / 0)
    with whole(path, KINDS[name]()) as mended:
        assert "is of an earlier version" in mended
        assert "set aside as" in mended


@kinds
def test_a_file_in_use_is_no_damaged_one(name, sound, tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "_BUSY_SECONDS", 0.1)
    shutil.copy(sound / name, tmp_path / name)
    with contextlib.closing(sqlite3.connect(tmp_path / name)) as connection:
        connection.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"), whole(tmp_path / name, KINDS[name]()):
            pass
    assert [path.name for path in tmp_path.iterdir() if "damaged" in path.name] == []


def test_what_a_kill_left_goes_after_a_while(sound, quick, tmp_path):
    old, new = beside(tmp_path / "mlflow.db"), beside(tmp_path / "mlflow.db")
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    with whole(tmp_path / "mlflow.db", MlflowTables()):
        assert not old.exists()
        assert new.exists()


def opening(name: str, folder: Path) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", OPEN, name, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def ended(process: subprocess.Popen) -> str:
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    return out


@kinds
def test_three_that_begin_together_make_one_file(name, tmp_path):
    together = [opening(name, tmp_path) for _ in range(3)]
    assert [ended(process) for process in together] == ["mended: \n"] * 3
    assert state(tmp_path / name) == "whole"


def kill_at_a_random_moment(name: str, folder: Path, draw: random.Random) -> bool:
    """Kill a process while it makes the file; return whether it was killed before its end.

    The moment is one between the appearance of the hidden file and, by far, that of the file.
    """
    process = opening(name, folder)
    deadline = time.monotonic() + 120
    while not list(folder.glob(f".{name.removesuffix('.db')}.????????.db")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.005)
    time.sleep(draw.uniform(0, 3.0 if name == "mlflow.db" else 0.3))
    process.send_signal(draw.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT]))
    process.communicate(timeout=60)
    return process.returncode != 0


def check_kills(name: str, folder: Path, times: int) -> None:
    draw = random.Random(0)
    for number in range(times):
        place = folder / str(number)
        place.mkdir()
        kill_at_a_random_moment(name, place, draw)
        assert not (place / name).exists() or state(place / name) == "whole", "it is there whole, or not at all"
        with locked(place / f".{name}.lock", wait=False) as free:
            assert free, "the lock went with its holder"
        assert "damaged" not in ended(opening(name, place))
        assert state(place / name) == "whole"


@kinds
def test_a_kill_at_a_random_moment_leaves_nothing_half_made(name, tmp_path):
    check_kills(name, tmp_path, 1)


@pytest.mark.drill
@kinds
def test_ten_kills_at_random_moments_leave_nothing_half_made(name, tmp_path):
    check_kills(name, tmp_path, 10)


@pytest.mark.drill
@kinds
def test_three_that_begin_together_make_one_file_ten_times_over(name, tmp_path):
    for number in range(10):
        place = tmp_path / str(number)
        place.mkdir()
        together = [opening(name, place) for _ in range(3)]
        assert [ended(process) for process in together] == ["mended: \n"] * 3
        assert state(place / name) == "whole"
