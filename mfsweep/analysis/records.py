"""The records of a study, each read once: what a trained stage measured, as `<part>.<method>.<quantity>` -> value."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from mfsweep.quantities import metric_path
from mfsweep.records import CellRecord, EvaluationRecord, Record
from mfsweep.store import Store

SEED_AXES = frozenset({"seed", "split_seed"})
"""Axes that make replicates of a cell, not another cell."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One trained stage: its record, joined with its evaluations into one table of metrics."""

    record: Record
    metrics: dict[str, float]
    """`validation.<method>.<quantity>` from the record; `<part>.<method>[@<head>].<quantity>` from the evaluations."""
    offsets_only: dict[str, float]
    """The same keys, for the null model of energy offsets alone; evaluations only."""

    @property
    def seed(self) -> int:
        """Return the seed of initial weights and order."""
        return int(self.record.training["seed"])

    @property
    def split_seed(self) -> int:
        """Return the seed of the partition and prefixes."""
        return int(self.record.training["data"]["splits"]["seed"])


class Records:
    """A study's trained stages; a stage is looked at once, so one object is one moment of the store.

    Only the evaluations that the cells ask for are read: a store is shared, and another spec may have scored the same
    stage on another subset, under the same name.
    """

    def __init__(self, store: Store, cells: Iterable[CellRecord]) -> None:
        self.store = store
        self._asked: dict[str, list[dict[str, Any]]] = {
            key: cell.evaluations.get(name, []) for cell in cells for name, key in cell.stages.items()
        }
        self._stages: dict[str, Stage | None] = {}
        self._settings: dict[str, str] = {}

    def stage(self, key: str) -> Stage | None:
        """Return the trained stage of a key, or None while it is not trained."""
        if key not in self._stages:
            folder = self.store.stage(key)
            record = folder.record()
            made = (folder.evaluation(asked) for asked in self._asked.get(key, ()))
            self._stages[key] = None if record is None else _join(record, filter(None, made))
        return self._stages[key]

    def converged(self, key: str) -> bool:
        """Return whether neither a trained stage nor any of its ancestors was stopped by its step limit."""
        stage = self.stage(key)
        while stage is not None and stage.record.converged:
            stage = self.stage(stage.record.parent) if stage.record.parent else None
        return stage is None

    def setting(self, key: str) -> str:
        """Return one text for all replicates of a stage: its identity and its ancestors', all seeds left out."""
        if key not in self._settings:
            stage = self.stage(key)
            self._settings[key] = (
                key if stage is None else json.dumps(self._without_seeds(stage.record), sort_keys=True)
            )
        return self._settings[key]

    def _without_seeds(self, record: Record) -> dict[str, Any]:
        training = {name: value for name, value in record.training.items() if name != "seed"}
        data = training["data"]
        splits = {name: value for name, value in data["splits"].items() if name != "seed"}
        training["data"] = {**data, "splits": splits}
        if record.parent is not None:
            training["parent"] = self.setting(record.parent)
        return training


def _join(record: Record, evaluations: Iterable[EvaluationRecord]) -> Stage:
    """Join a record with its evaluations, of which a plan lets no two have one name.

    The record's validation metrics come first: they are those of the checkpoint that was selected.
    """
    metrics: dict[str, float] = {}
    offsets_only: dict[str, float] = {}
    for one in evaluations:
        part, method = one.name.split(".", 1)
        metrics |= {metric_path(part, method, quantity): value for quantity, value in one.metrics.items()}
        offsets_only |= {metric_path(part, method, quantity): value for quantity, value in one.offsets_only.items()}
    return Stage(record, metrics | record.metrics, offsets_only)
