"""What is no longer needed goes from a store: a stage, when nobody holds it; what a kill or damage has left.

A stage loses its record first. So whoever is killed in the middle leaves a stage that is not trained, never half of one
that is; and its claim goes last, so that nobody begins it meanwhile.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mfsweep.files import CLAIM
from mfsweep.store.lease import Observer, read
from mfsweep.store.lease_place import LeasePlace, Sign
from mfsweep.store.stage_folder import StageFolder
from mfsweep.store.store import STAGES, StoreFolder
from mfsweep.store.usage import BLOCK, files_below

HELD = "a run holds its stage at this moment"
_DAMAGED = re.compile(r".+\.damaged-\d+")
_UNFINISHED = re.compile(r"\.(.*\.)?[0-9a-f]{8}(\.\w+)?|\.(push|pull)-\w+")
"""Names under which files are written before they get their own (files.py), and are copied to a URL and from one."""
_WRITING_SECONDS = 86400.0
"""Age from which a file under such a name is taken to be left of a killed process."""


class Leftover(NamedTuple):
    """A file or folder that nothing reads any more."""

    path: Path
    why: str
    bytes: int
    written: float
    """Unix time, seconds."""


def remove_stage(folder: StageFolder) -> bool:
    """Remove a stage, unless somebody holds it; return whether it went.

    Of a link in its place the link goes: a store is shared, and what lies elsewhere is not its own.

    Raises:
        OSError: its files are another user's.
    """
    if folder.path.is_symlink():
        folder.path.unlink()
        return True
    with folder.claim() as mine:
        if not mine:
            return False
        folder.record_path.unlink(missing_ok=True)
        for path in sorted(folder.path.iterdir(), key=_goes_last):
            _remove(path)
        with contextlib.suppress(OSError):  # another run has begun it anew since
            folder.path.rmdir()
    return True


def dead(leases: Mapping[str, Collection[LeasePlace]]) -> dict[str, dict[LeasePlace, Sign]]:
    """Watch the leases on some stages; return those that are dead, of the stages that nobody else holds.

    Args:
        leases: key -> where the leases on the stage lie.
    """
    held: dict[str, list[LeasePlace]] = {}
    try:
        for key, places in leases.items():
            if not any(place.is_locked() for place in places):
                held[key] = [place for place in places if not place.is_over(read(place))]
        found = Observer().watch(place for places in held.values() for place in places)
    except OSError:  # nobody can tell
        return {}
    return {key: {one: found[one] for one in own} for key, own in held.items() if own and found.keys() >= set(own)}


def leftovers(store: StoreFolder) -> Iterator[Leftover]:
    """Yield what is left of damage that was mended, of finished trainings and of killed processes."""
    folders = [store.root, store.root / STAGES, store.sweeps, store.edges, store.datasets, *_folders(store.sweeps)]
    for folder in folders:
        yield from _set_aside(folder)
    for path in _folders(store.root / STAGES):
        yield from _of_stage(StageFolder(path))


def _of_stage(folder: StageFolder) -> Iterator[Leftover]:
    for place in (folder.path, folder.evaluations, folder.checkpoints):
        yield from _set_aside(place)
        for path in _below(place):
            found = _leftover(path, "left of a killed process")
            if _UNFINISHED.fullmatch(path.name) and time.time() - found.written > _WRITING_SECONDS:
                yield found
    states = [path for path in (folder.last, folder.before) if path.exists()]
    if states and folder.record() is not None:
        yield from (_leftover(path, "a state to go on from, of a trained stage") for path in states)


def _set_aside(folder: Path) -> Iterator[Leftover]:
    for path in _below(folder):
        if _DAMAGED.fullmatch(path.name):
            yield _leftover(path, "set aside as damaged")


def remove_leftover(store: StoreFolder, leftover: Leftover) -> str | None:
    """Remove what was found; return why it stays, None where it went.

    Raises:
        OSError: it is another user's.
    """
    place = leftover.path.relative_to(store.root).parts
    if place[0] != STAGES or len(place) < 3:
        _remove(leftover.path)
        return None
    folder = store.stage(place[1])
    with folder.claim() as mine:
        if not mine:
            return HELD
        if leftover.path not in (folder.last, folder.before):
            _remove(leftover.path)
            return None
        folder.tidy()
    return "the weights of its stage are damaged, and it makes them again" if leftover.path.exists() else None


def _leftover(path: Path, why: str) -> Leftover:
    try:
        facts = path.lstat()
    except FileNotFoundError:  # it went since
        return Leftover(path, why, 0, time.time())
    size = sum(taken for _, taken in files_below(path)) if _is_folder(path) else facts.st_blocks * BLOCK
    return Leftover(path, why, size, facts.st_mtime)


def _folders(folder: Path) -> list[Path]:
    """Return the folders in a folder, without those that were set aside."""
    return [path for path in _below(folder) if _is_folder(path) and not _DAMAGED.fullmatch(path.name)]


def _below(folder: Path) -> list[Path]:
    """Return what is in a folder; nothing of a link."""
    with contextlib.suppress(FileNotFoundError):
        return sorted(folder.iterdir()) if _is_folder(folder) else []
    return []


def _is_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _goes_last(path: Path) -> tuple[bool, bool]:
    return path.name == CLAIM, path.name.startswith(".lease-")


def _remove(path: Path) -> None:
    if _is_folder(path):
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
