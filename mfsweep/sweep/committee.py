"""The trainings of a store that differ from one stage in nothing but their seed, or also in their partition.

Members of one partition have seen none of its test labels. Those of other folds or split seeds have learned labels of
this one's test structures, so that what they disagree on is no clean choice any more (docs/fairness.md#rule-4).
"""

from __future__ import annotations

from typing import Any

from mfsweep.fingerprint import fingerprint
from mfsweep.records import Record
from mfsweep.store import StageFolder, StoreFolder

LEAST = 2
"""Members of a committee, at least."""


def members(store: StoreFolder, record: Record, *, across_splits: bool) -> list[StageFolder]:
    """Return the stages that are replicates of one, itself first.

    Args:
        store: that of the stage.
        record: the stage's.
        across_splits: whether other folds and split seeds count too.
    """
    known: dict[str, str] = {}
    wanted = _likeness(store, record, known, across_splits=across_splits)
    found = []
    for folder in store.stages():
        other = folder.record() if folder.key != record.key else None
        if other is not None and _likeness(store, other, known, across_splits=across_splits) == wanted:
            found.append(folder)
    return [store.stage(record.key), *found]


def _likeness(store: StoreFolder, record: Record, known: dict[str, str], *, across_splits: bool) -> str:
    """Return a text that is equal for replicates: all of a training and its ancestors but for what replicates vary."""
    if record.key not in known:
        training: dict[str, Any] = {**record.training, "seed": None}
        if across_splits:
            splits = {**training["data"]["splits"], "seed": None, "fold": None}
            training["data"] = {**training["data"], "splits": splits}
        parent = store.stage(record.parent).record() if record.parent else None
        if parent is not None:  # without its record a parent stands for itself
            training["parent"] = _likeness(store, parent, known, across_splits=across_splits)
        known[record.key] = fingerprint(training)
    return known[record.key]
