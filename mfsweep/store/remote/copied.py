"""What a working copy has already of the stages and sweeps of a storage."""

from __future__ import annotations

import contextlib
import re

from mfsweep.metrics_file import entries
from mfsweep.store.remote.units import CHECKPOINTS, EVALUATION, PHYSICS, Manifest, StoredFile, read
from mfsweep.store.stage_folder import SHARED, StageFolder
from mfsweep.store.sweep_folder import CELLS, SweepFolder


def is_key(name: str) -> bool:
    """Return whether a name in a storage, which anyone may have put there, can be a folder of a stage or a sweep."""
    return re.fullmatch("[A-Za-z0-9][A-Za-z0-9_-]*", name) is not None


def step_of(folder: StageFolder) -> int:
    """Return how far a stage is that goes on from a checkpoint here, 0 without one."""
    if not (folder.last.exists() or folder.before.exists()):
        return 0
    with contextlib.suppress(FileNotFoundError):
        return max((entry.step for entry in entries(folder.metrics)), default=0)
    return 0


def has_unit(folder: StageFolder, unit: str) -> bool:
    """Return whether a unit of a trained stage is there, whatever is in its files."""
    kind, _, rest = unit.partition(".")
    places = {EVALUATION: folder.evaluations, PHYSICS: folder.physics}
    return (places[kind] / f"{rest}.json").exists() if kind in places else folder.record_path.exists()


def shared(folder: StageFolder) -> Manifest:
    """Return the manifest by which a trained stage was copied, one without files where it was not."""
    with contextlib.suppress(FileNotFoundError):
        return read((folder.path / SHARED).read_bytes(), str(folder.path / SHARED))
    return Manifest(files={})


def promised(folder: StageFolder) -> dict[str, StoredFile]:
    """Return the weights that the storage has of a stage that was copied from it."""
    return {path: file for path, file in shared(folder).files.items() if path.startswith(CHECKPOINTS)}


def is_newer(folder: SweepFolder) -> bool:
    """Return whether a run has written here since it was copied or put."""
    written = [path.stat().st_mtime for path in (folder.path / CELLS, folder.asked_path) if path.exists()]
    mark = folder.path / SHARED
    return bool(written) and (not mark.exists() or max(written) > mark.stat().st_mtime)
