"""The passport of a stage, from its record and from what the store holds around it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from mfsweep.data.structures import SYMBOLS
from mfsweep.errors import StoreError
from mfsweep.export.measured import scores
from mfsweep.models.versions import versions
from mfsweep.passport import UNSTATED, Ancestor, HeadPassport, Passport
from mfsweep.records import Record
from mfsweep.store import StageFolder, StoreFolder
from mfsweep.train.trained import Trained, difference_of, read_trained


def passport_of(
    store: StoreFolder,
    folder: StageFolder,
    record: Record,
    models: dict[str, Trained],
    *,
    format_: str,
    precision: str,
    checkpoint: str = "selected",
    licence: str | None = None,
    chosen: str | None = None,
    with_spec: bool = True,
) -> Passport:
    """Return the passport of some heads of a stage.

    Args:
        store: in which it lies; its replicates and ancestors are looked for there.
        folder: the stage.
        record: its own.
        models: head -> what is exported.
        format_: as which it is exported.
        precision: of the weights in the file.
        checkpoint: `selected` or `best`.
        licence: of the model, in the user's words.
        chosen: how the stage was chosen, where mfsweep chose it.
        with_spec: whether the text of the spec goes along.
    """
    sweeps = list(_sweeps(store, folder.key))
    first = next(iter(models.values()))
    data = record.training["data"]
    return Passport(
        stage=folder.key,
        checkpoint=checkpoint,
        step=first.weights.step,
        format=format_,
        precision=precision,
        elements=[SYMBOLS[z] for z in first.elements],
        heads={head: learned(record, model) for head, model in models.items()},
        sweeps=[name for name, _ in sweeps],
        spec=sweeps[0][1] if sweeps and with_spec else None,
        training=record.training,
        lineage=lineage(store, record),
        data={"digest": data["digest"], "labels": data.get("labels"), "splits": data["splits"]},
        metrics=scores(store, folder, record),
        chosen=chosen,
        notes=[
            f"the head {head} predicts a difference: add the energies and forces of {model.minus}"
            for head, model in models.items()
            if model.minus
        ],
        software=record.versions,
        exported_with=versions(),
        licence=licence or UNSTATED,
    )


def passport_of_stage(store: StoreFolder, folder: StageFolder) -> Passport:
    """Return the passport of a stage as it lies in its store.

    Raises:
        StoreError: it is not trained to its end, or its weights are damaged.
    """
    record = folder.record()
    if record is None:
        raise StoreError(f"{folder.path}: no stage that is trained to its end lies there: run its spec first")
    models = {head: read_trained(folder.path, head) for head in record.heads}
    precision = next(iter(models.values())).weights.precision
    return passport_of(store, folder, record, models, format_="", precision=precision)


def learned(record: Record, model: Trained) -> HeadPassport:
    """Return what a head learned."""
    shares = [share.labels for share in record.shares if (share.head or share.labels) == model.head]
    methods = sorted(set(shares), key=lambda method: (method != model.head, method))
    offsets = {SYMBOLS[z]: model.offsets[z] for z in model.elements}
    return HeadPassport(methods=methods, offsets=offsets, minus=difference_of(record, model.head))


def lineage(store: StoreFolder, record: Record) -> list[Ancestor]:
    """Return the trainings that led to a stage, the first one first, the stage itself last.

    Raises:
        StoreError: an ancestor's record is gone.
    """
    found = [_ancestor(record)]
    while record.parent is not None:
        parent = store.stage(record.parent).record()
        if parent is None:
            raise StoreError(
                f"the stage {record.key} started from {record.parent}, whose record is not in {store.root} any more: "
                "run its spec again"
            )
        record = parent
        found.append(_ancestor(record))
    return found[::-1]


def _ancestor(record: Record) -> Ancestor:
    training: dict[str, Any] = record.training
    return Ancestor(
        key=record.key,
        sets=[f"{share.size} {share.labels} of {share.subset}" for share in record.shares],
        steps=record.steps,
        ended=record.stop_reason,
        seed=training["seed"],
        file=training.get("file"),
    )


def _sweeps(store: StoreFolder, key: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the spec of every sweep whose latest run has a stage."""
    for path in sorted(store.sweeps.glob("*")):
        sweep = store.sweep(path.name)
        with contextlib.suppress(StoreError):  # one that is damaged is another command's matter
            if sweep.spec.is_file() and any(key in cell.stages.values() for cell in sweep.cells()):
                yield path.name, sweep.spec.read_text(encoding="utf-8", errors="replace")
