"""Which points of a search fall behind: Optuna's pruners, asked about validation curves.

A point is trained with several seeds, often one after another. So its curve, at each step, is the mean over the seeds
that have come to the step, and it is compared with the other points' means over the same seeds: what a seed does to all
points alike says nothing of one. Optuna's pruners compare the trials of a study; here that is a study in memory, one
for each set of seeds, made anew from the metrics files whenever a search is opened.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import optuna
from optuna.pruners import BasePruner, HyperbandPruner, MedianPruner, SuccessiveHalvingPruner
from optuna.samplers import RandomSampler
from optuna.trial import Trial, TrialState

from mfsweep.metrics_file import entries
from mfsweep.quantities import MetricPath
from mfsweep.spec.search import Search
from mfsweep.store import StageFolder

STARTUP_POINTS = 4
"""Points that have to be trained to their end before `median` prunes one. Optuna's own five are many of few."""

ValidationCurve = dict[int, float]
"""Step -> value."""


class Budget(NamedTuple):
    """How long a training is."""

    first: int
    """Step of its first validation."""
    last: int | None
    """Its step limit."""


def curve_of(folder: StageFolder, objective: MetricPath) -> ValidationCurve:
    """Return the validation curve that a stage has left in its metrics file so far."""
    found: ValidationCurve = {}
    try:
        for entry in entries(folder.metrics, holding=b'"validation.'):
            if (value := value_of(entry.metrics, objective)) is not None:
                found[entry.step] = value
    except FileNotFoundError:
        pass
    return found


def value_of(metrics: Mapping[str, float], objective: MetricPath) -> float | None:
    """Return an objective among the metrics of one validation; of the best checkpoint of a head that is the current."""
    method = objective.method.removesuffix("@best") if objective.method else None
    named = objective._replace(method=method).among(metrics)
    return metrics[named[0]] if len(named) == 1 else None


class Judge:
    """Asks a search's pruner about the points of one study.

    Args:
        search: with its pruner.
        name: of the study, by which Hyperband shares its brackets out.
    """

    def __init__(self, search: Search, name: str) -> None:
        self._search = search
        self._name = name
        self._curves: list[dict[str, ValidationCurve]] = []
        """One item a point, in the order in which they were asked for: seed -> its curve."""
        self._ends: list[dict[str, float]] = []
        """Likewise, seed -> the objective of the kept checkpoint."""
        self._comparisons: dict[frozenset[str], _Comparison] = {}

    def add(self, curves: Mapping[str, ValidationCurve]) -> int:
        """Take a point with what its trainings have left, by seed; return its number here."""
        self._curves.append({seed: dict(curve) for seed, curve in curves.items()})
        self._ends.append({})
        return len(self._curves) - 1

    def take(self, point: int, seed: str, step: int, value: float) -> None:
        """Take a validation in."""
        self._curves[point].setdefault(seed, {})[step] = value

    def end(self, point: int, scores: Mapping[str, float]) -> None:
        """Take in what came out for the seeds of a point that are trained to their end."""
        self._ends[point].update(scores)

    def curve(self, point: int) -> ValidationCurve:
        """Return the curve of a point: at each step the mean over the seeds that have come there."""
        curves = list(self._curves[point].values())
        steps = sorted({step for curve in curves for step in curve})
        return {step: float(np.mean([curve[step] for curve in curves if step in curve])) for step in steps}

    def falls_behind(self, point: int, step: int, budget: Budget) -> bool:
        """Return whether the pruner gives a point up by its curve up to a step."""
        seeds = frozenset(seed for seed, curve in self._curves[point].items() if step in curve)
        if seeds not in self._comparisons:
            self._comparisons[seeds] = _Comparison(self._name, _pruner(self._search, budget))
        comparison = self._comparisons[seeds]
        for number, (curves, ends) in enumerate(zip(self._curves, self._ends, strict=True)):
            if seeds <= curves.keys():
                comparison.follow(number, _mean([curves[seed] for seed in seeds]))
            if seeds <= ends.keys():
                comparison.end(number, float(np.mean([ends[seed] for seed in seeds])))
        return comparison.verdicts.get((point, step), False)


class _Comparison:
    """The points' means over one set of seeds, as a study that a pruner understands."""

    def __init__(self, name: str, pruner: BasePruner) -> None:
        self._study = optuna.create_study(study_name=name, pruner=pruner, sampler=RandomSampler(seed=0))
        self._trials: dict[int, Trial] = {}
        self._ended: set[int] = set()
        self.verdicts: dict[tuple[int, int], bool] = {}
        """Point and step -> whether it falls behind there."""

    def follow(self, point: int, curve: ValidationCurve) -> None:
        """Report what is new of a point's curve."""
        while point not in self._trials:  # a trial's number tells Hyperband its bracket
            self._trials[len(self._trials)] = self._study.ask()
        trial = self._trials[point]
        for step in sorted(curve):
            if (point, step) not in self.verdicts and point not in self._ended:
                trial.report(curve[step], step)
                self.verdicts[point, step] = trial.should_prune()

    def end(self, point: int, value: float) -> None:
        """Report that a point was trained to its end."""
        if point in self._trials and point not in self._ended:
            self._ended.add(point)
            self._study.tell(self._trials[point], value, state=TrialState.COMPLETE)


def _mean(curves: list[ValidationCurve]) -> ValidationCurve:
    steps = set.intersection(*map(set, curves))
    return {step: float(np.mean([curve[step] for curve in curves])) for step in steps}


def _pruner(search: Search, budget: Budget) -> BasePruner:
    after = search.prune_after
    least = min(after or budget.first, budget.last or math.inf)
    match search.pruner:
        case "median":
            return MedianPruner(n_startup_trials=STARTUP_POINTS, n_warmup_steps=after or 0)
        case "successive_halving":
            return SuccessiveHalvingPruner(min_resource=int(least))
        case "hyperband":
            return HyperbandPruner(min_resource=int(least), max_resource=budget.last or "auto")
        case "none":
            raise AssertionError("asked of a search that has a pruner")
