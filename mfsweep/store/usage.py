"""What a store holds on its disk, by kind of file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mfsweep.store.store import STAGES, StoreFolder

BLOCK = 512
"""Bytes of the blocks that `stat` counts."""

WEIGHTS = "weights"
STATES = "states to go on from"
PREDICTIONS = "predictions"
METRICS = "metrics"
RECORDS = "records and logs"
DAMAGED = "set aside as damaged"
OTHER = "other"

_TOP = {
    "sweeps": "reports and figures",
    "mlflow.db": "MLflow's runs",
    "mlartifacts": "MLflow's artifacts",
    "optuna.db": "Optuna's studies",
    "datasets": "data sets of sources",
    "edges": "neighbours",
    "ray": "scratch of runs",
}
"""File or folder in the store -> what it holds; of sqlite's side files too."""


class Held(NamedTuple):
    """What one kind takes."""

    files: int
    bytes: int
    """On the disk: in whole blocks."""


class Usage(NamedTuple):
    """What a store takes."""

    kinds: dict[str, Held]
    """Kind of file -> what they take, most first."""
    trained: int
    """Stages with a record."""
    begun: int
    """Stages with none."""

    @property
    def total(self) -> Held:
        """Return the sum over all kinds."""
        return Held(sum(held.files for held in self.kinds.values()), sum(held.bytes for held in self.kinds.values()))

    @property
    def per_stage(self) -> float:
        """Return the bytes of the stages' own files, by trained stage; nan where none is trained."""
        stages = sum(self.kinds[kind].bytes for kind in (WEIGHTS, PREDICTIONS, METRICS, RECORDS) if kind in self.kinds)
        return stages / self.trained if self.trained else float("nan")


def usage(store: StoreFolder) -> Usage:
    """Return what a store takes; it may be written meanwhile."""
    found: dict[str, Held] = {}
    for path, size in files_below(store.root):
        kind = _kind(path.relative_to(store.root))
        files, before = found.get(kind, Held(0, 0))
        found[kind] = Held(files + 1, before + size)
    kinds = dict(sorted(found.items(), key=lambda item: -item[1].bytes))
    has_record = [folder.record_path.exists() for folder in store.stages()]
    return Usage(kinds, trained=sum(has_record), begun=len(has_record) - sum(has_record))


def files_below(folder: Path) -> Iterator[tuple[Path, int]]:
    """Yield each file below a folder, and what it takes; a link counts as itself."""
    for place, _, names in os.walk(folder):
        for name in names:
            path = Path(place, name)
            try:
                yield path, path.lstat().st_blocks * BLOCK
            except FileNotFoundError:  # it went since
                continue


def _kind(path: Path) -> str:
    """Return the kind of a file by its path in the store."""
    if ".damaged-" in str(path):
        return DAMAGED
    top = path.parts[0]
    if top == STAGES and len(path.parts) > 2:
        return kind_in_stage(path)
    return next((kind for name, kind in _TOP.items() if top == name or top.startswith(f"{name}-")), OTHER)


def kind_in_stage(path: Path) -> str:
    """Return the kind of a file of a stage by its name."""
    if path.name in ("last.pt", "last.pt.before", "final.pt"):
        return STATES
    if path.suffix == ".pt":
        return WEIGHTS
    if path.suffix == ".npz":
        return PREDICTIONS
    return METRICS if path.name.startswith("metrics.") else RECORDS
