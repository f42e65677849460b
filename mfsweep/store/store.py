"""The paths of a store, and whether it can be written."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from mfsweep.errors import StoreError, nearest
from mfsweep.files import FULL_DISK, near
from mfsweep.store.sqlite_uris import sqlite_uri
from mfsweep.store.stage_folder import ELSEWHERE, StageFolder
from mfsweep.store.sweep_folder import CELLS, SweepFolder

DEFAULT_STORE = Path("mfsweep-store")
"""Where records go when no store is named."""
STAGES = "stages"
"""The folder that makes a store: it is there from the first run on."""
_SHOWN = 5
"""Stage keys that an error repeats."""


class StoreFolder:
    """A store at a folder; making one writes nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    @property
    def name(self) -> str:
        """Return what a person calls it: its URL where it is the working copy of one, else its path."""
        from mfsweep.store.remote.urls import origin

        return str(origin(self.root) or near(self.root))

    def stage(self, key: str) -> StageFolder:
        """Return the folder of a stage key; it need not exist."""
        return StageFolder(self.root / STAGES / key)

    def stages(self) -> Iterator[StageFolder]:
        """Yield every stage folder that exists, trained or not."""
        for path in sorted((self.root / STAGES).glob("*")):
            if path.is_dir():
                yield StageFolder(path)

    def keys(self) -> set[str]:
        """Return the keys of the stages that have a folder, trained or not."""
        stages = self.root / STAGES
        return {path.name for path in stages.iterdir()} if stages.is_dir() else set()

    def find(self, prefix: str) -> StageFolder:
        """Return the stage whose key begins with some letters.

        Raises:
            StoreError: there is none, or there are several.
        """
        there = self.keys()
        keys = sorted(key for key in there if key.startswith(prefix))
        if len(keys) == 1 and prefix:
            return self.stage(keys[0])
        if keys:
            shown = ", ".join(key[:12] for key in keys[:_SHOWN]) + (", ..." if len(keys) > _SHOWN else "")
            raise StoreError(
                f"{prefix or 'no key'}: {len(keys)} stages of {self.root} begin so ({shown}): give more letters of the "
                "key (`mfsweep status SPEC --json` lists them)"
            )
        raise StoreError(
            f"{prefix}: no stage of {self.root} has a key that begins so: `mfsweep status SPEC --json` lists the keys, "
            f"--store names another store.{nearest(prefix, (key[: len(prefix)] for key in there))}"
        )

    def is_abandoned(self, key: str) -> bool:
        """Return whether the store has begun a stage that no process is at now, also on another machine."""
        folder = self.stage(key)
        try:
            return folder.path.exists() and not folder.is_claimed() and not (folder.path / ELSEWHERE).exists()
        except OSError:
            return False

    def sweep(self, name: str) -> SweepFolder:
        """Return the folder of a spec's latest run."""
        return SweepFolder(self.sweeps / name)

    @property
    def sweeps(self) -> Path:
        """Return the folder of all sweeps' folders, and of the index of their reports."""
        return self.root / "sweeps"

    def sweep_names(self) -> list[str]:
        """Return the names of the specs that were run into the store."""
        return sorted(path.parent.name for path in self.sweeps.glob(f"*/{CELLS}"))

    @property
    def scratch(self) -> Path:
        """Return the folder that Ray writes in during a run; nothing in it outlives the run."""
        return self.root / "ray"

    @property
    def digests(self) -> Path:
        """Return the file that remembers which source file has which content."""
        return self.root / "digests.json"

    @property
    def judged(self) -> Path:
        """Return the file that remembers which data have been judged, and what was found."""
        return self.root / "judged.json"

    @property
    def datasets(self) -> Path:
        """Return the folder of the data sets that were made of sources on first use."""
        return self.root / "datasets"

    @property
    def edges(self) -> Path:
        """Return the folder of neighbours."""
        return self.root / "edges"

    @property
    def search_uri(self) -> str:
        """Return the default Optuna storage URL, an sqlite file in the store."""
        return sqlite_uri(self.search_database)

    @property
    def costs(self) -> Path:
        """Return the file of measured seconds per batch (plan/cost.py)."""
        return self.root / "costs.json"

    @property
    def tracking_uri(self) -> str:
        """Return the default MLflow tracking URI, an sqlite file in the store."""
        return sqlite_uri(self.tracking_database)

    @property
    def tracking_database(self) -> Path:
        """Return the file of the default MLflow tracking URI."""
        return self.root / "mlflow.db"

    @property
    def search_database(self) -> Path:
        """Return the file of the default Optuna storage URL."""
        return self.root / "optuna.db"

    @property
    def tracking_guard(self) -> Path:
        """Return the file that stands for the lock on making runs in MLflow."""
        return self.root / ".tracking"

    @property
    def artifacts(self) -> Path:
        """Return the default MLflow artifact folder."""
        return self.root / "mlartifacts"

    def require_writable(self) -> None:
        """Refuse a store whose folder this user may only read; one that is not there yet is no matter.

        Raises:
            StoreError: with what can be done with it.
        """
        if self.root.is_dir():
            _prove_writable(self.root)

    @property
    def is_there(self) -> bool:
        """Return whether it has been prepared, at some time."""
        return (self.root / STAGES).is_dir()

    def require_there(self) -> None:
        """Refuse a store that is not there: a mistyped one would look like one in which nothing has been run.

        Raises:
            StoreError: with the store near it that was meant, perhaps.
        """
        from mfsweep.store.remote import copied_from

        if self.is_there:
            return
        if (remote := copied_from(self)) is not None:
            remote.require_there()
            return
        beside = [entry for entry in self.root.absolute().parent.glob("*/") if StoreFolder(entry).is_there]
        near = nearest(self.root.absolute().name, [entry.name for entry in beside])
        there = [f" There is {self.root.parent / entry.name}." for entry in beside[:1] if not near]
        what = "no such folder" if not self.root.exists() else f"no store (expected the folder {STAGES}/ in it)"
        raise StoreError(
            f"--store {self.root}: {what}.{near}{''.join(there)} `mfsweep run` makes a store; name it with --store or "
            "MFSWEEP_STORE"
        )

    def prepare(self) -> None:
        """Create the store's folders and prove that they can be written.

        Raises:
            StoreError: the folder cannot be made or written.
        """
        stages = self.root / STAGES
        try:
            stages.mkdir(parents=True, exist_ok=True)
            self.sweeps.mkdir(exist_ok=True)
        except OSError as error:
            if error.errno in FULL_DISK:
                raise
            raise _not_written(self.root, error) from error
        for folder in (self.root, stages, self.sweeps):
            _prove_writable(folder)


def _prove_writable(folder: Path) -> None:
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        if error.errno in FULL_DISK:
            raise
        raise _not_written(folder, error) from error


def _not_written(folder: Path, error: OSError) -> StoreError:
    can = "`plan`, `status`, `fit` and `report --out FOLDER` only read it; another is named with --store"
    return StoreError(f"the store {folder} cannot be written: {error.strerror or error}. {can}")
