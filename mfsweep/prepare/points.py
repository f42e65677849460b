"""The points of a search: where it is checked before it asks, and which of those it asked for the spec still has.

A *point* is a value for each axis but the seeds.
"""

from __future__ import annotations

from collections.abc import Mapping

from mfsweep.spec.axes import SEEDS, Value
from mfsweep.spec.load import Spec
from mfsweep.store import StoreFolder

SearchPoint = Mapping[str, Value]


def tried(spec: Spec) -> list[dict[str, Value]]:
    """Return points for trying a search out: of each study both ends and the middle of its axes, all at once."""
    searched = zip(*(distribution.tried for distribution in spec.searched.values()), strict=True)
    places = [dict(zip(spec.searched, values, strict=True)) for values in searched]
    return [{**study, **place} for study in spec.studies() for place in places]


def is_admitted(spec: Spec, point: SearchPoint) -> bool:
    """Return whether a point lies in the space that the spec searches now, and belongs to one of its studies."""
    if not spec.searched.keys() <= point.keys():
        return False
    others = {axis: value for axis, value in point.items() if axis not in spec.searched}
    return others in spec.studies() and all(one.has(point[axis]) for axis, one in spec.searched.items())


def asked(spec: Spec, store: StoreFolder) -> tuple[SearchPoint, ...]:
    """Return the points that a search has asked for, without those outside the axes and bounds it has now."""
    return tuple(point for point in store.sweep(spec.experiment.name).asked() if is_admitted(spec, point))


def without_seeds(values: SearchPoint) -> dict[str, Value]:
    """Return the point of a cell."""
    return {axis: value for axis, value in values.items() if axis not in SEEDS}


def study_name(spec: Spec, point: SearchPoint) -> str:
    """Return the name of the study that a point belongs to."""
    others = {axis: value for axis, value in point.items() if axis not in spec.searched}
    return f"{spec.experiment.name}:{text(others)}" if others else spec.experiment.name


def text(values: SearchPoint) -> str:
    """Return a point as text."""
    return ",".join(f"{axis}={value}" for axis, value in values.items())
