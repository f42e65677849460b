"""The records of a study, each read once: what a trained stage measured, as name (quantities.py) -> value."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from mfsweep.analysis.balance import SplitSeed
from mfsweep.quantities import BEST, best_path, score_name
from mfsweep.records import CellRecord, EvaluationRecord, Record
from mfsweep.spec.axes import SEEDS
from mfsweep.store import StoreFolder

SEED_AXES = frozenset(SEEDS)
"""Axes that make replicates of a cell, not another cell."""


class ScoredWeights(NamedTuple):
    """What predicted the values behind a metric."""

    head: str | None
    """Readout head; None: all of them, for a loss over all methods."""
    step: int
    """Optimiser step of the checkpoint."""


@dataclass(frozen=True, slots=True)
class TrainedStage:
    """One trained stage: its record, joined with its evaluations into one table of metrics."""

    record: Record
    metrics: dict[str, float]
    """By name (quantities.py): those of its own validation from the record, the others from the evaluations."""
    offsets_only: dict[str, float]
    """The same keys, for the null model of energy offsets alone; evaluations only."""
    weights: dict[str, ScoredWeights]
    """Name without its quantity, `test.cc`, -> the weights behind it."""
    evaluations: tuple[EvaluationRecord, ...] = ()

    @property
    def seed(self) -> int:
        """Return the seed of initial weights and order."""
        return int(self.record.training["seed"])

    @property
    def split_seed(self) -> SplitSeed:
        """Return the seed of the partition and prefixes; of a fold its name."""
        splits = self.record.training["data"]["splits"]
        seed = int(splits["seed"])
        return f"fold {splits['fold']} of seed {seed}" if splits.get("folds") else seed


class Records:
    """A study's trained stages; a stage is looked at once, so one object is one moment of the store.

    Only the evaluations that the cells ask for are read: a store is shared, and another spec may have scored the same
    stage with other offsets, under the same name.
    """

    def __init__(self, store: StoreFolder, cells: Iterable[CellRecord]) -> None:
        self.store = store
        self._asked: dict[str, list[dict[str, Any]]] = {
            key: cell.evaluations.get(name, []) for cell in cells for name, key in cell.stages.items()
        }
        self._stages: dict[str, TrainedStage | None] = {}
        self._settings: dict[str, str] = {}

    def stage(self, key: str) -> TrainedStage | None:
        """Return the trained stage of a key, or None while it is not trained."""
        if key not in self._stages:
            folder = self.store.stage(key)
            record = folder.record()
            made = (folder.evaluation(asked) for asked in self._asked.get(key, ()))
            self._stages[key] = None if record is None else _join(record, filter(None, made))
        return self._stages[key]

    def converged(self, key: str, name: str | None = None) -> bool:
        """Return whether a stage and all its ancestors converged (docs/fairness.md#rule-10).

        Args:
            key: of a trained stage.
            name: `<part>.<method>`, a metric of it without its quantity: only the head behind it has to have converged.
                Of an ancestor every head counts, since all have shaped the backbone.
        """
        stage = self.stage(key)
        head = stage.weights[name].head if stage and name else None
        while stage is not None and stage.record.converged(head):
            stage, head = self.stage(stage.record.parent) if stage.record.parent else None, None
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
        splits = {name: value for name, value in data["splits"].items() if name not in ("seed", "fold")}
        training["data"] = {**data, "splits": splits}
        if record.parent is not None:
            training["parent"] = self.setting(record.parent)
        return training


def score_of(evaluation: Mapping[str, Any]) -> str:
    """Return what an evaluation's scores are called, from its identity."""
    head, labels = evaluation.get("head"), evaluation["labels"]
    asked = head if head != labels and not evaluation.get("own") else None
    best = evaluation.get("checkpoint") == BEST
    return score_name(evaluation["part"], evaluation["subset"], labels, asked, best=best)


def _join(record: Record, evaluations: Iterable[EvaluationRecord]) -> TrainedStage:
    """Join a record with its evaluations, of which a plan lets no two have one name."""
    metrics = {**record.metrics, **{best_path(path): value for path, value in record.own_best.items()}}
    weights = _own_weights(record)
    offsets_only: dict[str, float] = {}
    evaluations = tuple(evaluations)
    for one in evaluations:
        name = score_of(one.evaluation)
        assert name not in weights, f"two scores of stage {record.key} are called {name}"
        head = one.evaluation.get("head") or one.evaluation["labels"]
        weights[name] = ScoredWeights(head, record.selected.step if one.step is None else one.step)
        metrics |= {f"{name}.{quantity}": value for quantity, value in one.metrics.items()}
        offsets_only |= {f"{name}.{quantity}": value for quantity, value in one.offsets_only.items()}
    return TrainedStage(record, metrics, offsets_only, weights, evaluations)


def _own_weights(record: Record) -> dict[str, ScoredWeights]:
    """Return the weights behind a stage's own validation."""
    found = {"validation": ScoredWeights(None, record.selected.step)}
    for labelled in record.training["sets"]:
        method, head = labelled["labels"], labelled.get("head") or labelled["labels"]
        found[f"validation.{method}"] = ScoredWeights(head, record.selected.step)
        found[f"validation.{method}@{BEST}"] = ScoredWeights(head, record.heads.get(head, record.selected).step)
    # Whatever else a record has measured is of the checkpoint that was selected.
    for path in (*record.metrics, *map(best_path, record.own_best)):
        found.setdefault(path.rpartition(".")[0], ScoredWeights(None, record.selected.step))
    return found
