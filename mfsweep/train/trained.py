"""One head of a trained stage, or of a model file, as plain data: what is predicted with and what is exported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from mfsweep.data.structures import SYMBOLS
from mfsweep.errors import DataError, StoreError, TrainingError, nearest
from mfsweep.models import outside
from mfsweep.passport import read_passport
from mfsweep.records import BestCheckpoint, Record
from mfsweep.store import StageFolder
from mfsweep.train.checkpoint import Weights, load_weights


class Trained(NamedTuple):
    """One head of a trained model, as plain data: what is predicted with and what is exported."""

    weights: Weights
    head: str
    offsets: dict[int, float]
    """Atomic number -> E0, eV, of the elements that the head knows."""
    minus: str | None
    """Label method whose own energies and forces have to be added: the head learned a difference (delta-learning)."""
    place: str
    """For messages: the stage or the file."""

    @property
    def elements(self) -> list[int]:
        """Return the atomic numbers that it can predict, ascending."""
        return sorted(set(self.weights.elements) & set(self.offsets))


def read_trained(
    path: str | Path,
    head: str | None = None,
    *,
    offsets: str | None = None,
    checkpoint: Literal["selected", "best"] = "selected",
) -> Trained:
    """Return one head of a stage or a file as plain data; arguments and errors as of `predictor.load_model`."""
    path = Path(path)
    if path.is_dir():
        return _of_stage(StageFolder(path), head, offsets, checkpoint)
    found = outside.read(path)
    name = _chosen(head, found.shape.heads, str(path))
    if offsets is not None:
        raise DataError(f"{path}: a file has one table of energy offsets a head: leave out `offsets` ({offsets!r})")
    weights = Weights(
        model=found.model.model_dump(mode="json"),
        precision=found.precision,
        heads=list(found.shape.heads),
        elements=list(found.shape.elements),
        avg_num_neighbors=found.shape.avg_num_neighbors,
        offsets=found.offsets,
        step=0,
        state=found.state,
        hidden=dict(found.shape.hidden),
    )
    return Trained(weights, name, found.offsets[name], _difference_of_file(path, name), str(path))


def _difference_of_file(path: Path, head: str) -> str | None:
    """Return what a file's head learned a difference to, by its passport or by the record of the stage it is of."""
    passport = read_passport(path)
    if passport is not None:
        return passport.heads[head].minus if head in passport.heads else None
    record = StageFolder(path.absolute().parent.parent).record()
    return None if record is None or head not in record.heads else difference_of(record, head)


def _of_stage(
    folder: StageFolder, head: str | None, offsets: str | None, checkpoint: Literal["selected", "best"]
) -> Trained:
    record = folder.record()
    if record is None:
        raise StoreError(f"{folder.path}: no stage that is trained to its end lies there: run its spec first")
    name = _chosen(head, record.heads, f"the stage {folder.key}")
    kept = record.heads[name] if checkpoint == "best" else record.selected
    weights = sound(folder, kept)
    minus = difference_of(record, name)
    return Trained(weights, name, _offsets(record, weights, name, offsets), minus, f"the stage {folder.key}")


def sound(folder: StageFolder, kept: BestCheckpoint) -> Weights:
    """Return the weights of a checkpoint that a record names.

    Raises:
        StoreError: the file is not the one that was recorded.
    """
    damaged = folder.damaged_weights(kept)
    if damaged is not None:
        raise StoreError(f"the weights of stage {folder.key} cannot be used: {damaged}. Run its spec again")
    return load_weights(folder.path / kept.file)


def difference_of(record: Record, head: str) -> str | None:
    """Return the label method against which a head of a stage learned a difference; None: it learned none."""
    derived = record.training["data"].get("derived") or {}
    for share in record.shares:
        if (share.head or share.labels) == head and "minus" in derived.get(share.labels, {}):
            return str(derived[share.labels]["minus"])
    return None


def _chosen(head: str | None, heads: Sequence[str] | dict[str, BestCheckpoint], place: str) -> str:
    if head is None and len(heads) == 1:
        return next(iter(heads))
    if head not in heads:
        got = "none was named" if head is None else f"got {head!r}"
        raise TrainingError(
            f"{place} has the heads {', '.join(heads)}: expected the name of one of them, {got}."
            f"{nearest(head or '', heads)}"
        )
    return str(head)


def _offsets(record: Record, weights: Weights, head: str, method: str | None) -> dict[int, float]:
    if method is None:
        return weights.offsets[head]
    if method not in record.offsets:
        raise DataError(
            f"the stage {record.key} has the energy offsets of {', '.join(record.offsets)}: expected one of them, got "
            f"{method!r}.{nearest(method, record.offsets)}"
        )
    table = record.offsets[method]
    return {z: table[symbol] for z, symbol in enumerate(SYMBOLS) if symbol in table}
