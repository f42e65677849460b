"""One export from start to end: which stage, which heads, the file and its passport."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

from mfsweep.errors import StoreError, TrainingError
from mfsweep.export.describe import passport_of
from mfsweep.export.formats import KINDS, Format, write
from mfsweep.passport import Passport
from mfsweep.store import StageFolder, StoreFolder
from mfsweep.train.predictor import Precision
from mfsweep.train.trained import Trained, read_trained


class ExportedModel(NamedTuple):
    """What an export has written."""

    path: Path
    passport: Passport


def export(
    store: StoreFolder,
    folder: StageFolder,
    kind: Format,
    *,
    head: str | None = None,
    out: Path | None = None,
    precision: Precision | None = None,
    checkpoint: Literal["selected", "best"] = "selected",
    licence: str | None = None,
    chosen: str | None = None,
    with_spec: bool = True,
) -> ExportedModel:
    """Export a trained stage.

    Args:
        store: in which it lies.
        folder: the stage.
        kind: format of the file.
        head: the only readout head to export; None: all.
        out: path of the file; None: one in the working directory, named after stage and head.
        precision: of the weights in the file. Default: of our own format as they were trained, else float64.
        checkpoint: the `selected` weights, or those `best` for the head.
        licence: for the passport.
        chosen: for the passport: how the stage was chosen.
        with_spec: whether the spec's text goes into the passport.

    Raises:
        StoreError: the stage is not trained, or its weights are damaged.
        TrainingError: no such head, or the format cannot hold the model.
    """
    record = folder.record()
    if record is None:
        raise StoreError(f"{folder.path}: no stage that is trained to its end lies there: run its spec first")
    if checkpoint == "best" and head is None and len(record.heads) > 1:
        raise TrainingError("the weights best for a head are those of one head: name it with --head")
    names = [head] if head is not None else list(record.heads)
    models: dict[str, Trained] = {name: read_trained(folder.path, name, checkpoint=checkpoint) for name in names}
    trained = next(iter(models.values())).weights.precision
    chosen_precision: Precision = precision or (trained if kind == "ase" else "float64")  # pyright: ignore[reportAssignmentType] (one of the two)
    passport = passport_of(
        store,
        folder,
        record,
        models,
        format_=kind,
        precision=chosen_precision,
        checkpoint=checkpoint,
        licence=licence,
        chosen=chosen,
        with_spec=with_spec,
    )
    path = out or Path(
        f"mfsweep-{folder.key[:8]}{f'-{head}' if head and len(record.heads) > 1 else ''}{KINDS[kind].suffix}"
    )
    write(models, kind, chosen_precision, passport, path)
    return ExportedModel(path, passport)
