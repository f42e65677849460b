"""What a store holds: its stages and the latest runs of its specs, by their files alone."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple

from mfsweep.errors import StoreError
from mfsweep.records import CellRecord, Record
from mfsweep.store import damage
from mfsweep.store.damage import Damage
from mfsweep.store.stage_folder import StageFolder
from mfsweep.store.store import StoreFolder
from mfsweep.store.usage import files_below

StoredState = Literal["trained", "failed", "pruned", "running", "begun"]
"""`running`: a process is at it now; `begun`: one was, and it goes on from there. `pruned`: a search has stopped it."""
STATES: tuple[StoredState, ...] = ("trained", "failed", "pruned", "running", "begun")


class StoredStage(NamedTuple):
    """One stage of a store."""

    key: str
    names: tuple[str, ...]
    """`sweep/stage` for each name that a spec's latest run gives it; none where no such run needs it."""
    state: StoredState
    written: float
    """When its record was written here, or its newest file where it has none; Unix time, seconds."""
    bytes: int
    """On the disk, or in the storage of a store at a URL."""
    model: str
    """Architecture; empty where no file tells it."""
    labels: str
    """Label methods with the number of their structures, `cc 40 + dft 300`."""
    parent: str | None
    """Key of the stage from whose weights it starts."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return self._asdict() | {"names": list(self.names)}


class StoredSweep(NamedTuple):
    """The latest run of a spec, as a store knows it."""

    name: str
    cells: int
    keys: frozenset[str]
    """Keys of its stages."""
    trained: int
    """Stages that are trained."""
    written: float
    """When its list of cells was written here; Unix time, seconds."""
    bytes: int
    """What its stages take, also those that others share."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return self._asdict() | {"keys": sorted(self.keys)}


class Contents(NamedTuple):
    """The sweeps and stages of a store, at one moment."""

    sweeps: tuple[StoredSweep, ...]
    stages: dict[str, StoredStage]
    """By key; those that were written longest ago first."""

    def only(self, keys: Collection[str]) -> Contents:
        """Return some stages by their keys, and the sweeps that need one of them."""
        sweeps = tuple(one for one in self.sweeps if not one.keys.isdisjoint(keys))
        return Contents(sweeps, {key: one for key, one in self.stages.items() if key in keys})

    def above(self, keys: Iterable[str]) -> set[str]:
        """Return some stages and all that they start from."""
        found: set[str] = set()
        left = list(keys)
        while left:
            key = left.pop()
            if key not in found:
                found.add(key)
                stage = self.stages.get(key)
                left += [stage.parent] if stage and stage.parent else []
        return found


def contents(store: StoreFolder, sizes: Mapping[str, int] | None = None) -> Contents:
    """Return what a store holds. A list of cells that is damaged counts as none; `verify` names it.

    Args:
        store: it may be written meanwhile.
        sizes: key -> bytes, in place of what the folders take.
    """
    cells = {name: _cells(store, name) for name in store.sweep_names()}
    names: dict[str, set[str]] = defaultdict(set)
    for sweep, stage, key in (
        (sweep, *one) for sweep, own in cells.items() for cell in own for one in cell.stages.items()
    ):
        names[key].add(f"{sweep}/{stage}")
    stages = [
        _stage(store, folder, tuple(sorted(names[folder.key])), (sizes or {}).get(folder.key))
        for folder in store.stages()
        if ".damaged-" not in folder.key
    ]
    by_key = {one.key: one for one in sorted(stages, key=lambda one: (one.written, one.key))}
    return Contents(tuple(_sweep(store, name, own, by_key) for name, own in cells.items()), by_key)


def _sweep(store: StoreFolder, name: str, cells: list[CellRecord], stages: Mapping[str, StoredStage]) -> StoredSweep:
    keys = frozenset(key for cell in cells for key in cell.stages.values())
    own = [stages[key] for key in keys if key in stages]
    return StoredSweep(
        name=name,
        cells=len(cells),
        keys=keys,
        trained=sum(one.state == "trained" for one in own),
        written=_written(store.sweep(name).cells_path),
        bytes=sum(one.bytes for one in own),
    )


def _cells(store: StoreFolder, name: str) -> list[CellRecord]:
    try:
        return store.sweep(name).cells()
    except StoreError:
        return []


def _stage(store: StoreFolder, folder: StageFolder, names: tuple[str, ...], size: int | None) -> StoredStage:
    record = folder.record()
    training = record.training if record else _begun(folder)
    files = list(files_below(folder.path))
    newest = max((_written(path) for path, _ in files), default=_written(folder.path))
    return StoredStage(
        key=folder.key,
        names=names,
        state=_state(store, folder, record),
        written=_written(folder.record_path) if record else newest,
        bytes=sum(taken for _, taken in files) if size is None else size,
        model=_text(training.get("model"), "architecture"),
        labels=_labels(training, record),
        parent=record.parent if record else _text(training, "parent") or None,
    )


def _state(store: StoreFolder, folder: StageFolder, record: Record | None) -> StoredState:
    if record is not None or any(found.whole for found in folder.damaged(())):  # of a later version
        return "trained"
    if not store.is_abandoned(folder.key):
        return "running"
    return "failed" if folder.failure() else "pruned" if folder.pruning() else "begun"


def _begun(folder: StageFolder) -> dict[str, Any]:
    """Return what is being trained, of a stage without a record; nothing where no file tells it."""
    found = damage.read_json(folder.training)
    return found if isinstance(found, dict) and not isinstance(found, Damage) else {}


def _labels(training: Mapping[str, Any], record: Record | None) -> str:
    if record and record.shares:
        return " + ".join(f"{share.labels} {share.size}" for share in record.shares)
    sets = training.get("sets")
    found = [one for one in sets if isinstance(one, dict)] if isinstance(sets, list) else []
    return " + ".join(f"{_text(one, 'labels')} {_size(one)}" for one in found)


def _size(labelled: Mapping[str, Any]) -> str:
    """Return how many structures a labelled set asks for, as its spec has it."""
    place = labelled.get("range")
    return f"{place[0]}-{place[1]}" if isinstance(place, list) and len(place) == 2 else str(labelled.get("size", "all"))


def _text(found: object, name: str) -> str:
    value = found.get(name) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def _written(path: Path) -> float:
    """Return when a file was written last; one that has gone since was written now."""
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()
