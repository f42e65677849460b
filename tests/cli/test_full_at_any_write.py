"""A store that is full at each kind of write, one after another: a small tmpfs is filled at that moment, so as root.

Which kinds there are a sweep in peace tells: what is opened to be written, made or connected to under the store, and
what is said to its databases.
"""

from __future__ import annotations

import functools
import os
import re
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from cli.test_search import SEARCH
from small_disk import fill, needs_root, small_disk
from sqlalchemy import Engine, event
from undisturbed import check_as_undisturbed

from mfsweep.run import trial

pytestmark = [pytest.mark.drill, needs_root]

GRID = (("[0, 20, 40]", "[0, 20]"), ("[20, 60]", "[20]"))
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND
CHANGES = {"INSERT": 2, "UPDATE": 1, "DELETE": 2}
"""What a statement begins with that changes a table -> which of its words names that."""


class Writes:
    """Tells of each write under a folder by its kind, before it is done."""

    def __init__(self) -> None:
        self._below: Path | None = None
        self._tell: Callable[[str], None] = lambda _: None
        sys.addaudithook(self._heard)  # for good: Python takes none back
        event.listen(Engine, "before_cursor_execute", self._executes)

    def listen(self, below: Path, tell: Callable[[str], None]) -> None:
        """Tell of what is written from now on."""
        self._below, self._tell = below, tell

    def rest(self) -> None:
        """Tell of nothing more."""
        self._below = None

    def _say(self, kind: str) -> None:
        below, self._below = self._below, None  # what the listener writes is none of the run's
        self._tell(kind)
        self._below = below

    def _heard(self, name: str, arguments: tuple) -> None:
        if self._below is None or name not in {"open", "os.mkdir", "os.link", "sqlite3.connect"}:
            return
        path, mode, flags = (*arguments, None, None)[:3]
        if name == "open" and not (mode.strip("bt") != "r" if mode else flags & WRITING):
            return
        if isinstance(path, str | os.PathLike) and str(path).startswith(f"{self._below}/"):
            self._say(f"{name} {_named(str(path).removeprefix(f'{self._below}/'))}")

    def _executes(self, connection, _, statement: str, *__) -> None:
        if self._below is None or not (words := statement.split()) or words[0] not in CHANGES:
            return
        path = Path(str(connection.engine.url.database))
        if path.is_relative_to(self._below):
            # Of a database that is being made all statements are of one kind.
            self._say(
                _named(path.name) + ("" if path.name.startswith(".") else f" {words[0]} {words[CHANGES[words[0]]]}")
            )


def _named(path: str) -> str:
    """Return a path in a store without what is another one in every run."""
    path = re.sub(r"\b[0-9a-f]{16,64}\b", "KEY", path)
    path = re.sub(r"(?<=\.)[0-9a-f]{8}(?=\.|$)", "RANDOM", path)
    path = re.sub(r"\btmp[a-z0-9_]{8}\b", "TMP", path)
    path = re.sub(r"((figures|details|artifacts)/\.?)\w.*(\.\w+)$", r"\1NAME\3", path)  # all by one function
    return re.sub(r"\d+", "N", path)


@functools.cache
def writes() -> Writes:
    """Return what tells of this process's writes; made by whoever asks, as Python would call it in all other tests."""
    return Writes()


def test_whatever_cannot_be_written_a_sweep_ends_as_in_peace(called, without_ray, write_spec, tmp_path, monkeypatch):
    seen: set[str] = set()
    faults: dict[str, str] = {}
    for name, changes in (("grid", GRID), ("search", SEARCH)):
        spec, peace = write_spec(*changes, name=f"{name}.yaml"), tmp_path / f"{name}-in-peace"
        kinds: list[str] = []
        writes().listen(peace, kinds.append)
        code, said = run(called, spec, peace)
        assert code == 0, said
        for kind in dict.fromkeys(kinds):
            if kind not in seen and (
                fault := strike(called, spec, peace, kind, tmp_path / str(len(seen)), monkeypatch)
            ):
                faults[kind] = fault
            seen.add(kind)
    assert len(seen) > 40, seen
    assert not faults, "\n".join(f"{kind}: {fault}" for kind, fault in faults.items())


def run(called, spec: Path, store: Path) -> tuple[int, str]:
    """Run a sweep, return the exit code and what was said."""
    code, said, error = called("run", spec, "--store", store, "--groups", 1)
    writes().rest()
    assert "Traceback" not in said + error
    return code, said + error


def strike(called, spec: Path, peace: Path, kind: str, place: Path, monkeypatch) -> str | None:
    """Fill a disk before the first write of a kind; return what was wrong with the sweep then."""
    due = {kind}

    def heard(found: str) -> None:
        if found in due:
            due.clear()
            fill(disk)
            room.start()

    def make_room() -> bool:
        filler.unlink(missing_ok=True)
        return True

    with small_disk(place) as disk:
        filler, store, room = disk / "filler", disk / "store", threading.Timer(5.0, make_room)
        # Whoever waits for room gets some, at once where a stage asks, and whoever begins anew.
        monkeypatch.setattr(trial.disk, "has_room", lambda _: make_room())
        monkeypatch.setattr(trial, "WORD_SECONDS", 0.01)
        writes().listen(store, heard)
        try:
            code, said = run(called, spec, store)
            assert code in {0, 1}, said
            assert code == 0 or "full" in said or "No space left" in said
            room.cancel()
            make_room()
            code, said = run(called, spec, store)
            assert code == 0, said
            check_as_undisturbed(store, peace, "small", aside=True)
        except AssertionError as fault:
            return str(fault)[-1000:]
    return None
