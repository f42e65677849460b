"""What is shared in one piece: the files of a trained stage, of an evaluation, of a stage that goes on, of a sweep.

A unit's manifest names its files with their sha256. The files lie beside it under names that begin with that, so that
they never change: whoever puts the same unit at the same time, or died on it before, can do no harm.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, NamedTuple

from pydantic import Field, ValidationError

from mfsweep.errors import StoreError
from mfsweep.files import before_of, sha256
from mfsweep.metrics_file import packed
from mfsweep.records import Plain
from mfsweep.store.stage_folder import StageFolder
from mfsweep.store.sweep_folder import SweepFolder

TRAINED, EVALUATION, PHYSICS, STATE = "trained", "evaluation", "physics", "state"
"""Kinds of a stage's units, as their names begin."""
CUT_SHORT = "failure.json", "pruned.json"
"""What is there of a stage that ended so, until it begins again."""
LAST = "checkpoints/last.pt"
"""The checkpoint that a stage goes on from."""
GOES_ON = "metrics.jsonl", LAST, before_of(Path(LAST)).as_posix()
"""What is there of a stage that is not trained, and else not."""
CHECKPOINTS = "checkpoints/"
"""How the paths of weights begin: they are copied when they are wanted."""
_STATE = re.compile(rf"{STATE}(\.\d{{6,}})?")
"""Names of states; the first versions wrote one without a number."""
_NAME = r"[A-Za-z0-9@:+=_%-][A-Za-z0-9@:+=_ .%-]*"
_PATH = re.compile(rf"^{_NAME}(/{_NAME}){{0,2}}$")
"""Files of ours: none that is hidden, none outside of its folder."""


class StoredFile(Plain):
    """One file of a unit."""

    sha256: str = Field(pattern="^[0-9a-f]{64}$")
    bytes: int = Field(ge=0)


class Manifest(Plain):
    """What a unit consists of."""

    format: int = Field(default=1, ge=1, le=1)
    files: dict[Annotated[str, Field(pattern=_PATH)], StoredFile]
    """Path relative to the stage's or sweep's folder -> the file."""
    step: int = 0
    """How far a stage is, where this is its state."""
    at: str = Field(default="", pattern="^[0-9a-f]*$")
    """Folder of the files, where they lie in one of their own (replaced.py)."""

    def places(self, files: str) -> dict[str, str]:
        """Return the name of the object of each file by its path, given below what the files of the manifest lie."""
        below = f"{files}/{self.at}" if self.at else files
        return {path: f"{below}/{file.sha256}-{PurePosixPath(path).name}" for path, file in self.files.items()}

    def dump(self) -> bytes:
        """Return it as it is put."""
        return json.dumps(self.model_dump(), indent=1, sort_keys=True).encode()


class Unit(NamedTuple):
    """A unit as it lies in a folder."""

    name: str
    """`trained`, `evaluation.<id>`, `physics.<id>`, `state`."""
    folder: Path
    paths: tuple[str, ...]
    """Its files, relative to the folder, in the order in which they are taken; one that is not there is left out."""
    recorded: Mapping[str, str | None] = {}
    """sha256 of files that a record has, which they must have."""

    def manifest(self, step: int = 0, at: str = "") -> Manifest:
        """Return what it consists of now; arguments as of the manifest.

        Raises:
            StoreError: a file is not the one that was recorded.
            OSError: a file has gone, or cannot be read.
        """
        files = {}
        for path in self.paths:
            file = self.folder / path
            if (found := sha256(file)) != (expected := self.recorded.get(path) or found):
                raise StoreError(f"{path} is damaged (sha256 {found[:12]}..., recorded {expected[:12]}...)")
            files[path] = StoredFile(sha256=found, bytes=file.stat().st_size)
        return Manifest(files=files, step=step, at=at)


def read(raw: bytes, name: str) -> Manifest:
    """Return a manifest.

    Raises:
        StoreError: it is damaged, of a later version, or names a file that no stage has.
    """
    try:
        return Manifest.model_validate_json(raw)
    except ValidationError as error:
        first = error.errors()[0]
        why = ": ".join([*map(str, first["loc"]), first["msg"]])
        raise StoreError(f"{name} is damaged, or of a later version of mfsweep ({why})") from error


def finished_units(folder: StageFolder) -> Iterator[Unit]:
    """Yield what a trained stage has to share, its training first; nothing of one without a record."""
    record = folder.record()
    if record is None:
        return
    weights = {best.file: best.sha256 for best in record.kept}
    # The plain metrics before the compressed ones: whoever compresses them at this moment leaves one of the two.
    rest = ("training.json", "train.log", folder.metrics.name, packed(folder.metrics).name)
    yield _unit(TRAINED, folder.path, ["record.json", *weights, *rest])._replace(recorded=weights)
    for stem, made in folder.every_evaluation():
        paths = [f"evaluations/{stem}.json", f"evaluations/{made.predictions}"]
        yield _unit(f"{EVALUATION}.{stem}", folder.path, paths)
    for path in sorted(folder.physics.glob("*.json")):
        yield _unit(f"{PHYSICS}.{path.stem}", folder.path, [f"physics/{path.name}"])


def state_unit(folder: StageFolder) -> Unit:
    """Return what a stage that is not trained has to share: its log, and what it goes on from.

    The checkpoint is taken before the metrics: they are written first, so that all its steps are among theirs.
    """
    names = (LAST, folder.metrics.name, "training.json", "train.log", "interruptions.jsonl", *CUT_SHORT)
    return _unit(STATE, folder.path, names)


def state_of(lease: int) -> str:
    """Return the name of the state that is put under a lease, by its number."""
    return f"{STATE}.{lease:06d}"


def states(names: Iterable[str]) -> list[str]:
    """Return those of the names of units that are states; the one that stands comes last."""
    return sorted((name for name in names if _STATE.fullmatch(name)), key=lambda name: (len(name), name))


def outdone(names: Collection[str]) -> list[str]:
    """Return the states among the units of a stage from which nobody goes on any more."""
    found = states(names)
    return found if TRAINED in names else found[:-1]


def sweep_unit(folder: SweepFolder) -> Unit:
    """Return what the latest run of a spec has to share."""
    paths = [path.relative_to(folder.path) for path in sorted(folder.path.rglob("*")) if path.is_file()]
    shared = [str(path) for path in paths if _PATH.fullmatch(str(path)) and ".damaged-" not in str(path)]
    return Unit(folder.path.name, folder.path, tuple(shared))


def _unit(name: str, folder: Path, paths: Iterable[str]) -> Unit:
    return Unit(name, folder, tuple(path for path in paths if _PATH.fullmatch(path)))


def manifest_of(key: str, unit: str) -> str:
    """Return the name of the manifest of a stage's unit."""
    return f"stages/{key}/{unit}.json"


def files_of(key: str) -> str:
    """Return below what the files of a stage lie."""
    return f"files/{key}"


def files_beside(manifest: str) -> str:
    """Return below what the files of a manifest lie."""
    path = PurePosixPath(manifest)
    return files_of(path.parent.name) if path.parts[0] == "stages" else f"sweep-files/{path.stem}"


def counts_last(path: str) -> int:
    """Return the order in which files are copied: those by which a stage or an evaluation is there come last."""
    return 2 if path == "record.json" else int(path.endswith(".json"))


@contextlib.contextmanager
def snapshot(unit: Unit, step: int = 0, at: str = "") -> Iterator[tuple[Path, Manifest]]:
    """Give a folder with a unit's files as they are at one moment, and its manifest: a log may grow meanwhile."""
    with tempfile.TemporaryDirectory(prefix=".push-", dir=unit.folder) as name:
        folder = Path(name)
        taken = tuple(path for path in unit.paths if _taken(unit.folder / path, folder / path))
        yield folder, unit._replace(folder=folder, paths=taken).manifest(step, at)


def _taken(path: Path, copy: Path) -> bool:
    copy.parent.mkdir(parents=True, exist_ok=True)
    # While a checkpoint is written, and after a kill then, only the one before is there (train/checkpoint.py).
    for source in (path, before_of(path), path) if path.name == PurePosixPath(LAST).name else (path,):
        if not source.is_file():
            continue
        with contextlib.suppress(FileNotFoundError):
            if path.suffix == ".pt":  # written anew, never on: a second name keeps it as it is
                with contextlib.suppress(OSError):
                    os.link(source, copy)
                    return True
            shutil.copyfile(source, copy)
            return True
    return False
