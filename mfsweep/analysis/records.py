"""The records of a store, each read once: what a trained stage measured, as `<part>.<method>.<quantity>` -> value."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from mfsweep.errors import FitError
from mfsweep.quantities import metric_path
from mfsweep.store import EvaluationRecord, Record, Store

SEED_AXES = frozenset({"seed", "split_seed"})
"""Axes that make replicates of a cell, not another cell."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One trained stage: its record, its evaluations, and both joined into one table of metrics."""

    record: Record
    evaluations: tuple[EvaluationRecord, ...]
    metrics: dict[str, float]
    """`validation.<method>.<quantity>` from the record; `<part>.<method>[@<head>].<quantity>` from the evaluations."""
    offsets_only: dict[str, float]
    """The same keys, for the null model of energy offsets alone; evaluations only."""
    ambiguous: frozenset[str]
    """Evaluation names that several evaluations share, none of them the plain one: refused when asked for."""

    @property
    def seed(self) -> int:
        """Return the seed of initial weights and order."""
        return int(self.record.training["seed"])

    @property
    def split_seed(self) -> int:
        """Return the seed of the partition and prefixes."""
        return int(self.record.training["data"]["splits"]["seed"])


@dataclass
class Records:
    """A store's trained stages; a stage is looked at once, so one object is one moment of the store."""

    store: Store
    _stages: dict[str, Stage | None] = field(default_factory=dict)
    _settings: dict[str, str] = field(default_factory=dict)

    def stage(self, key: str) -> Stage | None:
        """Return the trained stage of a key, or None while it is not trained."""
        if key not in self._stages:
            folder = self.store.stage(key)
            record = folder.record()
            self._stages[key] = None if record is None else _join(record, folder.all_evaluations())
        return self._stages[key]

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


def _join(record: Record, evaluations: list[EvaluationRecord]) -> Stage:
    """Join a record with its evaluations.

    The record's validation metrics come first: they are those of the checkpoint that was selected. Of evaluations that
    share a name (other offsets, another subset; a store is shared, so another spec may have asked for them) the plain
    one counts.
    """
    metrics: dict[str, float] = {}
    offsets_only: dict[str, float] = {}
    by_name: dict[str, list[EvaluationRecord]] = {}
    for evaluation in evaluations:
        by_name.setdefault(evaluation.name, []).append(evaluation)
    ambiguous: set[str] = set()
    for name, found in by_name.items():
        plain = [one for one in found if _is_plain(one)] if len(found) > 1 else found
        if len(plain) != 1:
            ambiguous.add(name)
            continue
        part, method = name.split(".", 1)
        metrics |= {metric_path(part, method, quantity): value for quantity, value in plain[0].metrics.items()}
        offsets_only |= {
            metric_path(part, method, quantity): value for quantity, value in plain[0].offsets_only.items()
        }
    return Stage(record, tuple(evaluations), metrics | record.metrics, offsets_only, frozenset(ambiguous))


def _is_plain(evaluation: EvaluationRecord) -> bool:
    """Return whether an evaluation adds the offsets of the method it compares with, as an unadorned path means."""
    identity = evaluation.evaluation
    return identity.get("offsets") in (None, identity["labels"])


def refuse_ambiguous(stage: Stage, name: str, path: str) -> None:
    """Raise where a path names an evaluation that cannot be told from another."""
    if name in stage.ambiguous:
        told = [
            {key: value for key, value in one.evaluation.items() if key not in ("labels", "part") and value is not None}
            for one in stage.evaluations
            if one.name == name
        ]
        raise FitError(
            f"{path}: stage {stage.record.key} has {len(told)} evaluations named {name!r}, which differ in {told}"
        )
