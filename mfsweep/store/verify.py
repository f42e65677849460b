"""Every file of a store, read whole: what is damaged, and what mends it.

`status`, `fit`, `report` and `run` look at what their spec needs, and at weights when these are used. Here everything
is looked at, whoever made it. `verify` writes nothing; `mend` renames what is damaged to `NAME.damaged-1`, so that the
next run of its spec makes it again.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import sqlite3
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from mfsweep.data import dataset
from mfsweep.data.edge_files import damaged_files
from mfsweep.errors import DataError, StoreError
from mfsweep.files import set_aside
from mfsweep.metrics_file import packed
from mfsweep.records import EvaluationRecord
from mfsweep.store import StageFolder, StoreFolder, damage
from mfsweep.store.damage import Damage

AGAIN = "`mfsweep run` of its spec makes it again"
ANEW = "what needs it writes it anew"
_READ_AT_ONCE = 1 << 20


class DamagedFile(NamedTuple):
    """One damaged file, and what becomes of it."""

    damage: Damage
    mend: str
    """What makes it good again; empty where nothing here can."""
    stage: str | None = None
    """Key of the stage that it is part of."""

    def __str__(self) -> str:
        return f"{self.damage}{f': {self.mend}' if self.mend else ''}"


class Verified(NamedTuple):
    """What was looked at, and what came out."""

    stages: int
    evaluations: int
    findings: Sequence[object]
    """`DamagedFile`, or of a store at a URL `DamagedObject`; in words each is a sentence."""


def verify(store: StoreFolder, progress: Callable[[int, int], object] = lambda _done, _total: None) -> Verified:
    """Look at every file of a store.

    Args:
        store: it exists.
        progress: told the stages looked at so far, and how many there are.
    """
    findings = list(_shared(store))
    keys = sorted(store.keys())
    evaluations = 0
    for number, key in enumerate(keys, 1):
        if ".damaged-" not in key:
            folder = store.stage(key)
            evaluations += len(list(folder.evaluations.glob("*.json"))) if folder.path.is_dir() else 0
            findings += [found._replace(stage=key) for found in _stage(folder)]
        progress(number, len(keys))
    return Verified(len(keys), evaluations, findings)


def mend(store: StoreFolder, findings: Iterable[DamagedFile]) -> list[DamagedFile]:
    """Set aside what is damaged; return what was left as it is, with the reason in place of the mend."""
    left: list[DamagedFile] = []
    stages: dict[str, list[DamagedFile]] = {}
    for found in findings:
        if found.damage.whole or not found.mend:
            left.append(found)
        elif found.stage is not None:
            stages.setdefault(found.stage, []).append(found)
        else:
            try:
                set_aside(found.damage.path)
            except OSError as error:
                left.append(found._replace(mend=f"it cannot be renamed ({error.strerror or error})"))
    for key, own in stages.items():
        left += _mend_stage(store.stage(key), own)
    return left


def _mend_stage(folder: StageFolder, findings: list[DamagedFile]) -> list[DamagedFile]:
    why = "a run holds its stage at this moment"
    with contextlib.suppress(StoreError, OSError), folder.claim() as mine:
        if mine:
            why = "it cannot be renamed: it is another user's, perhaps"
            folder.set_aside([found.damage for found in findings])
            return []
    return [found._replace(mend=why) for found in findings]


def _stage(folder: StageFolder) -> Iterator[DamagedFile]:
    """Yield what is wrong within the folder of a stage."""
    if not folder.path.is_dir():
        yield DamagedFile(Damage(folder.path, "is damaged (no folder)"), AGAIN)
        return
    for place in (folder.evaluations, folder.checkpoints):
        if os.path.lexists(place) and not place.is_dir():
            yield DamagedFile(Damage(place, "is damaged (no folder)"), AGAIN)
    for found in folder.damaged(()):
        yield DamagedFile(found, "" if found.whole else AGAIN)
    yield from _weights(folder)
    for path in sorted(folder.evaluations.glob("*.json")):
        made = damage.read(path, EvaluationRecord)
        if isinstance(made, Damage):
            yield DamagedFile(made, "" if made.whole else AGAIN)
        elif made is not None:
            yield from _evaluation(folder, path, made)
    if isinstance(found := damage.read_json(folder.training), Damage):
        yield DamagedFile(found, "" if found.whole else "it is there for people; a new training writes it anew")
    if why := _broken_gzip(packed(folder.metrics)):
        yield DamagedFile(
            Damage(packed(folder.metrics), f"is damaged ({why}); its curve is read as far as it goes"), ""
        )


def _weights(folder: StageFolder) -> Iterator[DamagedFile]:
    record = folder.record()
    for best in () if record is None else record.kept:
        found = folder.damaged_weights(best, fetch=False)
        # Who needs no weights of a finished store may remove them.
        if found is not None and not (found.path == folder.path / best.file and not found.path.exists()):
            yield DamagedFile(found, "" if found.whole else AGAIN)
    for path in (folder.last, folder.before) if record is None else ():
        if path.exists() and (found := damage.of_weights(path, None)):
            other = path == folder.last and folder.before.exists()
            rest = "goes on from the checkpoint before" if other else "begins the stage again"
            yield DamagedFile(found, "" if found.whole else f"`mfsweep run` of its spec {rest}")


def _evaluation(folder: StageFolder, path: Path, made: EvaluationRecord) -> Iterator[DamagedFile]:
    expected, predictions = folder.evaluation_paths(made.evaluation)
    if path != expected:
        yield DamagedFile(Damage(path, f"is damaged (it is the record of another evaluation, {expected.name})"), AGAIN)
    elif predictions.exists():
        try:
            with zipfile.ZipFile(predictions) as archive:
                wrong = archive.testzip()
        except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, OSError) as error:
            wrong = str(error)
        if wrong is not None:
            # The scores stand in the record; made again with it, both are of one piece.
            yield DamagedFile(Damage(path, f"has damaged predictions ({predictions.name}: {wrong})"), AGAIN)


def _shared(store: StoreFolder) -> Iterator[DamagedFile]:
    """Yield what is wrong with the files of the whole store."""
    for sweep in sorted(store.sweeps.glob("*/")):
        for found in store.sweep(sweep.name).every_damage():
            yield DamagedFile(found, "" if found.whole else AGAIN)
    for path in (store.digests, store.costs):
        if isinstance(found := damage.read_json(path), Damage):
            yield DamagedFile(found, "" if found.whole else ANEW)
    for folder in sorted(store.edges.glob("*/")):
        if ".damaged-" not in folder.name and (why := damaged_files(folder)):
            yield DamagedFile(Damage(folder, f"is damaged ({why})"), ANEW)
    yield from _datasets(store)
    for path, what in (
        (store.root / "mlflow.db", "the next run of each spec shows its stages anew; artifacts stay where they are"),
        (store.root / "optuna.db", "a search begins its study again, with the points it has asked for"),
    ):
        if path.exists() and (why := _broken_database(path)):
            yield DamagedFile(Damage(path, f"is damaged ({why})"), what)


def _datasets(store: StoreFolder) -> Iterator[DamagedFile]:
    for path in sorted(store.datasets.glob("*.h5")):
        try:
            dataset.digests(path)
        except DataError as error:
            why = str(error).removeprefix(f"{path}: ")
            yield DamagedFile(Damage(path, f"is damaged ({why})"), "the next use of its source imports it again")


def _broken_gzip(path: Path) -> str | None:
    try:
        with gzip.open(path, "rb") as file:
            while file.read(_READ_AT_ONCE):
                pass
    except FileNotFoundError:
        return None
    except (OSError, EOFError, zlib.error) as error:
        return str(error)
    return None


def _broken_database(path: Path) -> str | None:
    """Return what is wrong with an sqlite file; one that is in use is looked at as it is."""
    try:
        with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            (answer,) = database.execute("PRAGMA quick_check(1)").fetchone()
    except sqlite3.OperationalError as error:
        return None if "locked" in str(error) or "busy" in str(error) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if answer == "ok" else str(answer)
