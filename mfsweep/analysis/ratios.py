"""The ratio of two selections of cells, paired where all other axes agree, over replicates."""

from __future__ import annotations

import hashlib
import json
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mfsweep.analysis.balance import Replicate, SplitSeed, balanced
from mfsweep.analysis.gradient import Gradient
from mfsweep.analysis.records import SEED_AXES
from mfsweep.analysis.reml import Estimate, mean_of
from mfsweep.analysis.replicates import by_partition, label, text
from mfsweep.analysis.selection import MeasuredCell, Setting, Values, matches, setting_of, values_of
from mfsweep.quantities import count
from mfsweep.spec.figures import Cells


class TestedNumber(NamedTuple):
    """A number, on the scale of its test, with what is behind it."""

    estimate: Estimate | Gradient
    """The logarithm of a ratio, or a gradient; the error of a ratio is not finite where there is no interval."""
    replicates: int
    rests_on: str
    """How many cells or points are behind it."""
    evidence: str
    """Equal for the same trainings."""
    least_squares: Gradient | None = None
    """For a gradient, the one without errors of x."""
    weak: bool = False
    """For a gradient, whether x follows its size too weakly to allow for these."""
    pairs: Mapping[SplitSeed, Sequence[tuple[MeasuredCell, MeasuredCell]]] = {}
    """For a ratio, the cells of each replicate."""


def ratio(members: Sequence[MeasuredCell], this: Cells, against: Cells) -> TestedNumber | None:
    """Return the mean over replicates of the mean log ratio of two selections of cells; None without a pair.

    Where replicates have different pairs, those are left out that some replicate lacks, or the replicate is.
    """
    pairs = _pairs(members, this, against)
    if not pairs:
        return None
    partitions = by_partition(pairs)
    found: dict[SplitSeed, dict[_Pair, list[tuple[MeasuredCell, MeasuredCell]]]] = {}
    for replicate, own in pairs.items():
        for pair, cells in own.items():
            found.setdefault(label(replicate, partitions), {}).setdefault(pair, []).append(cells)
    kept = balanced({one: own.keys() for one, own in found.items()})
    places = list(dict.fromkeys(pair.place for pair in found[kept.replicates[0]] if pair in kept.settings))
    means = mean_of([_mean(found[one], kept.settings, places) for one in kept.replicates])
    of_replicate = {one: [cells for pair in kept.settings for cells in found[one][pair]] for one in kept.replicates}
    used = [cells for own in of_replicate.values() for cells in own]
    seeds = len({cells[0].replicate for cells in used})
    rests_on = f"{count(seeds * len(places), 'pair')} over {text(kept.replicates, partitions)}"
    every = {(one.replicate, setting_of(one.cell)) for own in pairs.values() for cells in own.values() for one in cells}
    if dropped := len(every - {(one.replicate, setting_of(one.cell)) for cells in used for one in cells}):
        rests_on += f", {count(dropped, 'cell')} left out that not every replicate has"
    sides = sorted([sorted({one.key for one in side}) for side in zip(*used, strict=True)])
    return TestedNumber(means, len(kept.replicates), rests_on, evidence(sides), pairs=of_replicate)


def evidence(of: object) -> str:
    """Return a short name of what a number rests on, equal for equal plain data."""
    return hashlib.sha256(json.dumps(of, sort_keys=True).encode()).hexdigest()[:16]


def divided(members: Sequence[MeasuredCell], beside: Sequence[MeasuredCell], over: Cells) -> Iterable[MeasuredCell]:
    """Yield each cell's value over that of the cell that differs in these axes alone, where there is one."""
    others: dict[tuple[Replicate, Setting], MeasuredCell] = {}
    for one in beside:
        others[one.replicate, _but(setting_of(one.cell), over)] = one
    for one in members:
        other = others.get((one.replicate, _but(setting_of(one.cell), over)))
        if other and other.key != one.key:
            yield one._replace(
                key=f"{one.key}/{other.key}",
                value=one.value / other.value,
                converged=one.converged and other.converged,
            )


def _but(setting: Setting, axes: Iterable[str]) -> Setting:
    return tuple((axis, value) for axis, value in setting if axis not in axes)


class _Pair(NamedTuple):
    """What two cells of one replicate are, but for the replicate."""

    place: Values
    """The values of the axes that neither side names: a side may have several cells there."""
    this: Setting
    against: Setting


def _pairs(
    members: Sequence[MeasuredCell], this: Cells, against: Cells
) -> dict[Replicate, dict[_Pair, tuple[MeasuredCell, MeasuredCell]]]:
    """Return replicate -> its pairs.

    An axis that the cells of one side lack (their block of the union has none) cannot agree or disagree.
    """
    ours, others = ([one for one in members if matches(one.cell.values, side)] for side in (this, against))
    have = [{axis for one in side for axis in one.cell.values} for side in (ours, others)]
    axes = sorted((have[0] & have[1]) - {*this, *against, *SEED_AXES})
    there: dict[tuple[Replicate, Values], list[MeasuredCell]] = {}
    for other in others:
        there.setdefault((other.replicate, values_of(other.cell, axes)), []).append(other)
    found: dict[Replicate, dict[_Pair, tuple[MeasuredCell, MeasuredCell]]] = {}
    for one in ours:
        place = values_of(one.cell, axes)
        for other in there.get((one.replicate, place), ()):
            pair = _Pair(place, setting_of(one.cell), setting_of(other.cell))
            found.setdefault(one.replicate, {})[pair] = one, other
    return found


def _mean(
    found: Mapping[_Pair, Sequence[tuple[MeasuredCell, MeasuredCell]]],
    settings: Iterable[_Pair],
    places: Sequence[Values],
) -> float:
    """Return the mean log ratio of one replicate over places and, within these, over seeds."""
    of_place: dict[Values, dict[Replicate, list[tuple[MeasuredCell, MeasuredCell]]]] = {}
    for pair in settings:
        for cells in found[pair]:
            of_place.setdefault(pair.place, {}).setdefault(cells[0].replicate, []).append(cells)
    return statistics.fmean(
        statistics.fmean(_log_ratio(cells) for cells in of_place[place].values()) for place in places
    )


def _log_ratio(pairs: Sequence[tuple[MeasuredCell, MeasuredCell]]) -> float:
    """Return the mean log of one side less that of the other, a shared stage once."""
    ours, others = ({one.key: math.log(one.value) for one in side} for side in zip(*pairs, strict=True))
    return float(np.mean(list(ours.values())) - np.mean(list(others.values())))
