"""What is wrong with the grid of a spec as a whole, before a cell of it is filled in."""

from __future__ import annotations

from mfsweep.spec import axes
from mfsweep.spec.axes import SEEDS
from mfsweep.spec.data import FOLD
from mfsweep.spec.gathered import Gathered
from mfsweep.spec.load import Spec


def check_grid(spec: Spec, found: Gathered) -> None:
    """Look for a stage with the name of the result, folds and an axis that do not fit, and axes of no use.

    Args:
        spec: the spec.
        found: takes the errors.
    """
    with found.errors():
        _refuse_bad_names(spec)
    with found.errors():
        _refuse_bad_folds(spec)
    _refuse_unused_axes(spec, found)


def _refuse_bad_names(spec: Spec) -> None:
    for name in spec.experiment.stages:
        if name == "result":
            raise spec.document.error(
                ("stages", name), name, "another name: `result` stands for the result in a fit's paths"
            )


def _refuse_unused_axes(spec: Spec, found: Gathered) -> None:
    experiment = spec.experiment
    used = axes.references(
        [experiment.model, dict(experiment.stages), experiment.result, experiment.evaluate]
    ) | frozenset(SEEDS)
    for index, block in enumerate([*spec.blocks, spec.searched]):
        for axis in block:
            if axis not in used:
                place = ("axes", index, axis) if isinstance(experiment.axes, list) else ("axes", axis)
                found.add(spec.document.error(place, axis, f"an axis that some ${{{axis}}} refers to"))


def _refuse_bad_folds(spec: Spec) -> None:
    """Refuse an axis `fold` without folds, folds that no axis chooses from, and a fold that there is not."""
    splits = spec.experiment.data.splits
    for index, block in enumerate(spec.blocks):
        place = ("axes", index, "fold") if isinstance(spec.experiment.axes, list) else ("axes", "fold")
        if "fold" not in block:
            if splits.fold == FOLD:
                raise spec.document.error(
                    ("data", "splits", "fold"), FOLD, "an axis `fold`, in every block of the axes"
                )
            continue
        if splits.fold != FOLD:
            raise spec.document.error(place, list(block["fold"]), f"data.splits to have `folds: K` and `fold: {FOLD}`")
        for value in block["fold"]:
            if not isinstance(value, int) or value >= (splits.folds or 0):
                raise spec.document.error(
                    place, value, f"a fold from 0 to {(splits.folds or 0) - 1}, of data.splits.folds"
                )
