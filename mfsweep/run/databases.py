"""The sqlite files that a store has of its own, mlflow.db and optuna.db: there whole, or not at all.

Both repeat what other files of the store hold, so no state of theirs may keep a run from going on. One is made under a
hidden name and renamed once all its tables are there, by whoever holds its lock: a kill leaves a hidden file, which a
later run removes, and runs that begin together make one file. One that is damaged, or was half made by other means, is
set aside by name and made anew; one of an earlier version is brought up to date in a copy, which then takes its place.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import quote

from mfsweep.errors import StoreError
from mfsweep.files import locked, set_aside, write_file
from mfsweep.run.mlflow_experiment import prepare_mlflow

DatabaseState = Literal["whole", "half", "earlier", "later"]
"""State of the tables: all there; some missing; those of an earlier, or of a later version."""

LEFT_OVER_SECONDS = 3600.0
"""Age at which a hidden file is one that a killed process left."""
PATIENCE = 120.0
"""Seconds to wait for whoever holds the lock: to make the tables takes a busy machine many."""
_BUSY_SECONDS = 20.0
_NOT_THE_FILES_FAULT = (
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_READONLY,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM,
)
_BESIDE = ("-journal", "-wal", "-shm")
"""Ends of the names of what sqlite keeps beside a file; in front of another file of the name it would spoil that."""


class Tables(Protocol):
    """What has its tables in such a file."""

    name: str

    def create(self, path: Path) -> None:
        """Make all tables in an empty file."""
        ...

    def state(self, path: Path) -> DatabaseState:
        """Return what is there in a sound file."""
        ...

    def upgrade(self, path: Path) -> None:
        """Bring the tables of an earlier version up to date."""
        ...


@contextlib.contextmanager
def whole(path: Path, tables: Tables) -> Iterator[str]:
    """Hold the lock of a database file that is there and whole; give what was wrong with it, empty if nothing was.

    Raises:
        StoreError: a later version made it.
        OSError: it may not be read or written, the disk is full, or its lock is held for too long.
        sqlite3.Error: likewise.
    """
    with locked(path.with_name(f".{path.name}.lock"), wait=True, patience=PATIENCE) as mine:
        if not mine:
            raise TimeoutError(
                errno.ETIMEDOUT, f"another process has held its lock for {PATIENCE:.0f} seconds", str(path)
            )
        _remove_left_over(path)
        why = damage(path)
        state: DatabaseState = "half" if why else _state(path, tables)
        if state == "later":
            raise StoreError(f"{path} was made by a later version of {tables.name}: install that one to write to it")
        if state == "earlier":
            why = f"{path} was of an earlier version of {tables.name}, and is up to date now"
            if not _is_upgraded(path, tables):
                why = _make(path, tables, f"is of an earlier version of {tables.name} and cannot be brought up to date")
        if state == "half":
            why = _make(path, tables, why or "is damaged (it was half made)")
        if not os.access(path, os.W_OK):
            raise PermissionError(errno.EACCES, "this user may not write it", str(path))
        yield why


def damage(path: Path) -> str:
    """Return what is wrong with a file that is to hold a database, empty if nothing is.

    Raises:
        OSError: the system does not let us look.
        sqlite3.Error: likewise, or it is in use for too long.
    """
    if not os.path.lexists(path):
        return "is missing"
    if not path.is_file():
        return "is damaged (no file)"
    if not path.stat().st_size:
        return "is damaged (it is empty)"
    try:
        uri = f"file:{quote(str(path))}?mode=rw"
        with contextlib.closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS)) as connection:
            (found,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise
        found = str(error)
    return "" if found == "ok" else f"is damaged ({' '.join(found.split())[:100]})"


def _state(path: Path, tables: Tables) -> DatabaseState:
    """Return what is there in a sound file; tables that cannot be read count as half made."""
    try:
        return tables.state(path)
    except OSError:
        raise
    except Exception as error:
        cause = getattr(error, "orig", error)
        if isinstance(cause, sqlite3.Error) and cause.sqlite_errorcode & 0xFF in _NOT_THE_FILES_FAULT:
            raise
        return "half"


def _make(path: Path, tables: Tables, why: str) -> str:
    """Make a file anew, what is there set aside; return what was wrong, a fresh store's missing one excepted."""
    there = os.path.lexists(path)
    aside = _set_aside(path)
    write_file(path, tables.create)
    if there:
        return f"{path} {why}: set aside as {aside[0].name}, and made anew"
    return ""


def _set_aside(path: Path) -> list[Path]:
    found = [path, *(path.with_name(path.name + end) for end in _BESIDE)]
    return [set_aside(one) for one in found if os.path.lexists(one)]


def _is_upgraded(path: Path, tables: Tables) -> bool:
    """Bring a copy up to date and put it in the file's place; return whether that could be done."""

    def upgrade(temporary: Path) -> None:
        with contextlib.closing(sqlite3.connect(path)) as old, contextlib.closing(sqlite3.connect(temporary)) as new:
            old.backup(new)
        tables.upgrade(temporary)

    try:
        write_file(path, upgrade)
    except OSError:
        raise
    except Exception:  # noqa: BLE001  whatever the migrations say, the records are still there
        return False
    return True


def _remove_left_over(path: Path) -> None:
    for hidden in path.parent.glob(f".{path.stem}.????????{path.suffix}*"):
        with contextlib.suppress(OSError):  # another user's, or gone
            if time.time() - hidden.stat().st_mtime > LEFT_OVER_SECONDS:
                hidden.unlink()


class MlflowTables:
    """Those of MLflow's tracking store. MLflow has no public call for them but its command `mlflow db upgrade`."""

    name = "MLflow"

    def create(self, path: Path) -> None:
        """Make all tables in an empty file."""
        prepare_mlflow()
        from mlflow.store.db import utils
        from sqlalchemy import event

        with _engine(path) as engine:
            # Nobody else knows the file yet, and it is flushed before it gets its name.
            event.listen(engine, "connect", lambda connection, _: connection.execute("PRAGMA synchronous = OFF"))
            utils._initialize_tables(engine)  # noqa: SLF001

    def state(self, path: Path) -> DatabaseState:
        """Return what is there in a sound file."""
        prepare_mlflow()
        from alembic.script import ScriptDirectory
        from mlflow.store.db import utils

        with _engine(path) as engine:
            found = utils._get_schema_version(engine)  # noqa: SLF001
            if found == utils._get_latest_schema_revision():  # noqa: SLF001
                return "whole" if utils._all_tables_exist(engine) else "half"  # noqa: SLF001
        if found is None:
            return "half"
        script = ScriptDirectory.from_config(utils._get_alembic_config(""))  # noqa: SLF001
        return "earlier" if found in {one.revision for one in script.walk_revisions()} else "later"

    def upgrade(self, path: Path) -> None:
        """Bring the tables of an earlier version up to date."""
        from mlflow.store.db import utils

        with _engine(path) as engine:
            utils._upgrade_db(engine)  # noqa: SLF001


class OptunaTables:
    """Those of Optuna's storage, which makes what is missing of them whenever it is opened."""

    name = "Optuna"

    def create(self, path: Path) -> None:
        """Make all tables in an empty file."""
        self.state(path)

    def state(self, path: Path) -> DatabaseState:
        """Return what is there in a sound file."""
        with _optuna_storage(path) as storage:
            found = storage.get_current_version()
            if found == storage.get_head_version():
                return "whole"
            return "earlier" if found in storage.get_all_versions() else "later"

    def upgrade(self, path: Path) -> None:
        """Bring the tables of an earlier version up to date."""
        with _optuna_storage(path) as storage:
            storage.upgrade()


@contextlib.contextmanager
def _engine(path: Path):  # noqa: ANN202 (SQLAlchemy is imported where it is used)
    import sqlalchemy

    engine = sqlalchemy.create_engine(sqlalchemy.URL.create("sqlite", database=str(path)))
    try:
        yield engine
    finally:
        engine.dispose()


@contextlib.contextmanager
def _optuna_storage(path: Path):  # noqa: ANN202
    import sqlalchemy
    from optuna.storages import RDBStorage

    url = sqlalchemy.URL.create("sqlite", database=str(path))
    storage = RDBStorage(url.render_as_string(hide_password=False), skip_compatibility_check=True)
    try:
        yield storage
    finally:
        storage.remove_session()
        storage.engine.dispose()
