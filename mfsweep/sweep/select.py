"""The structures whose labels would help a trained stage most: chosen and priced.

committee   replicates of the stage predict each structure; where they disagree most, and far from what is known
features    the structure whose label lowers the variance of the stage's predictions over the whole pool most
random      a seeded draw, to compare with
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.bare import without_labels
from mfsweep.data.choosing import GreedyChoice, PoolFeatures, spread, variance_reduction
from mfsweep.data.order import order_keys
from mfsweep.errors import DataError, StoreError
from mfsweep.prepare import Plan
from mfsweep.quantities import count as count_of
from mfsweep.store import StageFolder, StoreFolder
from mfsweep.sweep.candidates import PoolRequest, SelectionPool, StructureSubset, ground, head_of, seconds_of, trained
from mfsweep.sweep.committee import LEAST, members

How = Literal["features", "committee", "random"]
HOWS: tuple[How, ...] = ("features", "committee", "random")
MOST = 20_000
"""Candidates, and labelled structures, that are looked at by default; a seeded share of more."""
MEV = 1000.0

Floats = NDArray[np.float64]


class SelectionRequest(NamedTuple):
    """What is asked for."""

    wanted: PoolRequest
    number: int
    stage: str
    """First letters of the stage's key."""
    how: How = "features"
    head: str | None = None
    power: float | None = None
    """A label's price goes with the atoms to this power. None: as measured, where `data label` made some; else 0."""
    across_splits: bool = False
    """Whether replicates of other folds and split seeds are in the committee."""
    most: int = MOST
    seed: int = 0
    """Seed of the random choice, and of the share of a large data set that is looked at."""


class StructureSelection(NamedTuple):
    """What was chosen. k structures, in the order of choice."""

    request: SelectionRequest
    ground: SelectionPool
    stage: str
    indices: NDArray[np.int64]
    """(k,) numbers in the data set."""
    score: Floats
    """(k,), NaN of a random choice."""
    reason: tuple[str, ...]
    price: Floats
    """(k,) of a label, in units of the candidates' mean."""
    power: float
    notes: tuple[str, ...]
    """What is to be known of the choice, in sentences."""

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a structure."""
        structures = self.ground.structures
        return [
            {
                "index": index,
                "formula": structures.formulae[structures.formula[index]],
                "atoms": int(structures.sizes[index]),
                "score": None if np.isnan(score) else float(f"{score:.6g}"),
                "cost": float(f"{price:.6g}"),
                "reason": reason,
            }
            for index, score, price, reason in zip(
                self.indices.tolist(), self.score.tolist(), self.price.tolist(), self.reason, strict=True
            )
        ]

    def as_json(self) -> dict[str, Any]:
        """Return the choice as plain data."""
        return {
            "dataset": self.ground.path.name,
            "method": self.request.wanted.method,
            "stage": self.stage,
            "how": self.request.how,
            "seed": self.request.seed,
            "cost_power": self.power,
            "candidates": len(self.ground.candidates),
            "notes": list(self.notes),
            "structures": self.rows(),
        }


def select(request: SelectionRequest, store: StoreFolder, plan: Plan | None = None) -> StructureSelection:
    """Return the structures of a data set whose labels would help a stage most.

    Args:
        request: what is asked for.
        store: that of the stage.
        plan: of the stage's spec, where the data set is another than the stage's own; None: not given.

    Raises:
        StoreError: no such stage, one without its weights, or without replicates for a committee.
        DataError: no such data set or method, elements that the stage does not know, or too few structures.
    """
    folder = store.find(request.stage)
    record = trained(store, folder)
    head = request.head or head_of(record, request.wanted.method)
    there = ground(request.wanted, store, folder, plan)
    if request.number > len(there.candidates):
        raise DataError(
            f"--n {request.number}: expected at most {len(there.candidates)}, the structures of {there.path} that are "
            "left to choose"
        )
    notes = list(there.notes)
    looked = _share(request, there.candidates, notes, "candidates")
    power, why = _power(request, there)
    notes.append(why)
    price = there.structures.sizes[looked].astype(np.float64) ** power
    price /= price.mean()
    if request.how == "random":
        order = np.argsort(order_keys(there.structures, f"{request.seed}:select")[looked], kind="stable")
        chosen = GreedyChoice(order[: request.number], np.full(request.number, np.nan))
        reasons = [f"drawn at random, seed {request.seed}"] * request.number
    else:
        known = [
            one._replace(indices=_share(request, one.indices, notes, "labelled structures")) for one in there.known
        ]
        task = _Task(request, store, folder, head, StructureSubset(there.structures, looked), known, price, notes)
        chosen, reasons = (_by_features if request.how == "features" else _by_committee)(task)
    return StructureSelection(
        request,
        there,
        folder.key,
        looked[chosen.order],
        chosen.gain,
        tuple(reasons),
        price[chosen.order],
        power,
        tuple(notes),
    )


class _Task(NamedTuple):
    """A choice by models."""

    request: SelectionRequest
    store: StoreFolder
    folder: StageFolder
    head: str | None
    pool: StructureSubset
    """The candidates."""
    known: Sequence[StructureSubset]
    price: Floats
    """(n,) of the candidates' labels."""
    notes: list[str]
    """Takes what is to be known of the choice."""


def _share(request: SelectionRequest, indices: NDArray[np.int64], notes: list[str], what: str) -> NDArray[np.int64]:
    """Return at most as many as are to be looked at, and at least as many as are asked for."""
    most = max(request.most, request.number)
    if len(indices) <= most:
        return indices
    notes.append(f"{most:,} of {len(indices):,} {what} were looked at, drawn at random (--candidates)")
    drawn = np.random.default_rng(request.seed).choice(len(indices), most, replace=False)
    return indices[np.sort(drawn)]


def _power(request: SelectionRequest, there: SelectionPool) -> tuple[float, str]:
    """Return how a label's price goes with the atoms, and where that is from, in a sentence."""
    if request.power is not None:
        return request.power, f"a label is taken to cost as atoms ^ {request.power:g} (--cost-power)"
    seconds = seconds_of(there)
    if seconds is not None:
        measured = np.isfinite(seconds) & (seconds > 0)
        sizes = there.structures.sizes[measured]
        if len(np.unique(sizes)) > 1:
            power = float(np.polyfit(np.log(sizes), np.log(seconds[measured].astype(np.float64)), 1)[0])
            return max(0.0, power), (
                f"a label is taken to cost as atoms ^ {max(0.0, power):.2f}, as {len(sizes):,} labels that "
                "`mfsweep data label` made here did"
            )
    return 0.0, "all labels are taken to cost the same: no label of the method was timed here (--cost-power)"


def _by_features(task: _Task) -> tuple[GreedyChoice, list[str]]:
    predictor = _predictor(task.folder, task.head)
    candidates, held = _all_features(predictor, task)
    chosen = variance_reduction(candidates, held, task.request.number, task.price)
    task.notes.append(
        f"{len(held.rows):,} structures are known; by the stage's last features (head {predictor.head}) the labels "
        f"chosen remove {chosen.gain.sum():.0%} of the variance of predictions over them and the candidates"
    )
    return chosen, [f"its label removes {gain:.2%} of the pool's variance" for gain in chosen.gain.tolist()]


def _by_committee(task: _Task) -> tuple[GreedyChoice, list[str]]:
    across = task.request.across_splits
    record = trained(task.store, task.folder)
    replicates = members(task.store, record, across_splits=across)
    if len(replicates) < LEAST:
        others = 0 if across else len(members(task.store, record, across_splits=True)) - 1
        raise StoreError(_too_few(task, others))
    predictors = [_predictor(one, task.head) for one in replicates]
    wanted = without_labels(task.pool.structures, task.pool.indices)
    energies = np.stack([one.compute_structures(wanted, forces=False).energy for one in predictors])
    apart = MEV * energies.std(axis=0, ddof=1) / wanted.sizes
    candidates, held = _all_features(predictors[0], task)
    chosen = spread(apart, candidates.rows, held.rows, task.request.number, task.price)
    task.notes.append(
        f"the committee has {len(replicates)} members, which differ by {np.median(apart):.3g} meV/atom in the median "
        f"over the candidates, by {np.median(apart[chosen.order]):.3g} over those chosen"
    )
    if across:
        task.notes.append("members of other partitions have learned labels of this stage's test structures")
    return chosen, [f"members differ by {value:.3g} meV/atom" for value in apart[chosen.order].tolist()]


def _too_few(task: _Task, others: int) -> str:
    text = (
        f"the stage {task.folder.key} has no replicate in {task.store.root}, and a committee needs {LEAST} members: "
        "expected the same cell with other seeds (an axis `seed` in its spec), or --how features, which needs the one "
        "stage"
    )
    if not others:
        return text
    return text + (
        f". {count_of(others, 'stage')} of other folds or split seeds have learned labels of this stage's test "
        "structures: --across-splits takes them too, and what is chosen so is no longer blind to that test set"
    )


def _predictor(folder: StageFolder, head: str | None) -> Any:
    from mfsweep.train.predictor import load_model

    return load_model(folder.path, head)


def _all_features(predictor: Any, task: _Task) -> tuple[PoolFeatures, PoolFeatures]:
    """Return the features of the candidates and of what is known."""
    from mfsweep.train.readout_features import readout_features

    def features(one: StructureSubset) -> PoolFeatures:
        predictor.require_known(without_labels(one.structures, one.indices))
        rows = readout_features(predictor.model, one.structures, one.indices, predictor.head)
        return PoolFeatures(rows, one.structures.sizes[one.indices])

    candidates = features(task.pool)
    nothing = PoolFeatures(np.empty((0, candidates.rows.shape[1])), np.empty(0, np.int64))
    held = [nothing, *(features(one) for one in task.known if len(one.indices))]
    return candidates, PoolFeatures(
        np.concatenate([one.rows for one in held]), np.concatenate([one.atoms for one in held])
    )
