"""Error against fine-tune size: one curve for direct training, one for each kind of pre-training."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfsweep.analysis.balance import SplitSeed
from mfsweep.analysis.gain import FinishedCell
from mfsweep.analysis.records import SEED_AXES
from mfsweep.analysis.replicates import labels
from mfsweep.analysis.table import AxisValue, scalar

DIRECT = "direct"


@dataclass(frozen=True, slots=True)
class Knot:
    """One fine-tune size of a curve."""

    size: int
    """Target structures trained on."""
    error: float
    """Geometric mean over replicates."""
    low: float
    high: float
    """Least and greatest replicate."""
    replicates: int
    capped: bool
    """Whether a replicate has not converged."""


@dataclass(frozen=True, slots=True)
class SizeCurve:
    """One line of the figure."""

    label: str
    auxiliary: dict[str, int]
    """Label method -> structures, of the stages before the result and of its other heads; empty for direct training."""
    direct: bool
    knots: tuple[Knot, ...]
    values: Mapping[str, AxisValue]
    """Axis values that all of its cells have in common, seeds left out."""


def curves(results: Sequence[FinishedCell]) -> list[SizeCurve]:
    """Return the curves: direct training first, then by auxiliary method and growing size."""
    unique = {(one.key, _auxiliary_text(one)): one for one in results if _target_size(one) and one.error > 0}
    axes = _telling_axes(list(unique.values()))
    found: dict[tuple[str, tuple[Any, ...]], list[FinishedCell]] = {}
    for one in unique.values():
        extra = tuple(
            (axis, scalar(one.cell.values[axis])) for axis in axes if axis in one.cell.values and not one.direct
        )
        found.setdefault((_auxiliary_text(one), extra), []).append(one)
    made = [
        SizeCurve(
            ", ".join([base, *(f"{axis}={value}" for axis, value in extra)]),
            _auxiliary(members[0]),
            members[0].direct,
            _knots(members),
            _common(members),
        )
        for (base, extra), members in found.items()
    ]
    return sorted(
        made, key=lambda curve: (not curve.direct, sorted(curve.auxiliary), sum(curve.auxiliary.values()), curve.label)
    )


def named(found: Sequence[SizeCurve]) -> list[dict[str, AxisValue]]:
    """Return for each curve the axis values that tell it apart from the others; direct training is left out."""
    others = [curve.values for curve in found if not curve.direct]
    axes = dict.fromkeys(axis for values in others for axis in values)
    telling = [axis for axis in axes if len({values.get(axis) for values in others}) > 1]
    return [{axis: curve.values[axis] for axis in telling if axis in curve.values} for curve in found]


def _common(members: Sequence[FinishedCell]) -> dict[str, AxisValue]:
    first, *others = (one.setting for one in members)
    return {axis: scalar(value) for axis, value in first.items() if all(own.get(axis) == value for own in others)}


def _knots(members: Sequence[FinishedCell]) -> tuple[Knot, ...]:
    by_size: dict[int, list[FinishedCell]] = {}
    for one in members:
        by_size.setdefault(_target_size(one), []).append(one)
    return tuple(_knot(size, found) for size, found in sorted(by_size.items()))


def _knot(size: int, found: Sequence[FinishedCell]) -> Knot:
    replicate = labels((one.seed, one.split_seed) for one in found)
    logs: dict[SplitSeed, list[float]] = {}
    for one in found:
        logs.setdefault(replicate[one.seed, one.split_seed], []).append(math.log(one.error))
    means = [statistics.fmean(own) for own in logs.values()]
    low, high = math.exp(min(means)), math.exp(max(means))
    capped = not all(one.converged for one in found)
    return Knot(size, math.exp(statistics.fmean(means)), low, high, len(means), capped)


def _telling_axes(results: Sequence[FinishedCell]) -> list[str]:
    """Return the axes that tell apart cells of equal auxiliary sets, fine-tune size and seeds (a variant, a model)."""
    alike: dict[tuple[Any, ...], list[FinishedCell]] = {}
    for one in results:
        alike.setdefault((_auxiliary_text(one), _target_size(one), one.seed, one.split_seed), []).append(one)
    telling: dict[str, None] = {}
    for members in alike.values():
        for axis in dict.fromkeys(axis for one in members for axis in one.cell.values if axis not in SEED_AXES):
            if len({str(one.cell.values.get(axis)) for one in members}) > 1:
                telling[axis] = None
    return list(telling)


def _target_size(one: FinishedCell) -> int:
    sizes = one.cell.sizes.get(one.cell.result, {})
    return sum(sizes.get(name, 0) for name in one.learned)


def _auxiliary(one: FinishedCell) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for stage, methods in one.cell.sizes.items():
        for method, size in methods.items():
            is_target = stage == one.cell.result and method in one.learned
            if stage in one.cell.stages and size and not is_target:
                sizes[method] = sizes.get(method, 0) + size
    return dict(sorted(sizes.items()))


def _auxiliary_text(one: FinishedCell) -> str:
    if one.direct:
        return DIRECT
    differences = (name for name in one.learned if name != one.method)
    named = [*(f"{size:,} {method}" for method, size in _auxiliary(one).items()), *differences]
    return " + ".join(named) or "other start"
