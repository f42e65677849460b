"""How far label methods are from a target once each one's energy offsets are off (the source study's fig. 4b).

Nothing is trained and nothing trained reads this: it describes the data. Shapes: `M` methods, `n` structures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.reference import fit_offsets, freedom, offset_energy
from mfsweep.data.structures import Structures
from mfsweep.data.view import DataView
from mfsweep.errors import DataError
from mfsweep.spec.stage import LabelledSet

Indices = NDArray[np.int64]


class MethodResiduals(NamedTuple):
    """What several methods differ by from one target, per atom, each after its own energy offsets."""

    target: str
    methods: tuple[str, ...]
    index: NDArray[np.int64]  # pyright: ignore[reportIncompatibleMethodOverride] (tuple.index, never used)
    """(n,) structures that carry all of them, ascending."""
    values: NDArray[np.float64]
    """(M, n) target less method, eV/atom."""
    mean_abs: NDArray[np.float64]
    """(M,) mean absolute values, eV/atom."""
    pearson: NDArray[np.float64]
    """(M, M) correlation of the methods' values; NaN where one's do not vary."""


def residuals(view: DataView, target: str, methods: Sequence[str], among: Indices | None = None) -> MethodResiduals:
    """Return the residuals of methods against a target.

    The offsets are fitted on the same structures, so that none of the residuals has a part that offsets could explain.

    Args:
        view: where the labels are.
        target: label method.
        methods: the others.
        among: (m,) structures to look at. Default: all.

    Raises:
        DataError: an unknown method, or structures that carry all of them and are fewer than two, or so few that the
            offsets leave nothing.
    """
    structures = view.structures
    carrying = np.zeros(len(structures.formula), np.bool_)
    carrying[slice(None) if among is None else among] = True
    for method in (target, *methods):
        view.require_method(method)
        carrying &= structures.carries(method, forces=False)
    index = np.flatnonzero(carrying)
    names = ", ".join((target, *methods))
    if len(index) < 2:
        raise DataError(f"{view.place}: expected structures that carry all of {names}, got {len(index)}")
    free = freedom(structures, index)
    rank = len(free.elements) - len(free.directions)
    if len(index) <= rank:
        raise DataError(
            f"{view.place}: the {len(index)} structures that carry all of {names} have {rank} compositions that "
            "energy offsets tell apart, and leave nothing to look at: expected more structures"
        )
    with view.named(f"the {len(index)} structures that carry all of {names}: "):
        offsets = {method: fit_offsets(structures, method, index) for method in (target, *methods)}
    values = np.array(
        [residual(structures, index, target, method, offsets[target], offsets[method]) for method in methods]
    ).reshape(len(methods), len(index))
    centred = values - values.mean(axis=1, keepdims=True)
    lengths = np.sqrt(np.square(centred).sum(axis=1))
    with np.errstate(invalid="ignore"):
        pearson = centred @ centred.T / np.outer(lengths, lengths)
    return MethodResiduals(target, tuple(methods), index, values, np.abs(values).mean(axis=1), pearson)


def residual(
    structures: Structures,
    indices: Indices,
    method: str,
    other: str,
    offsets: Mapping[int, float],
    other_offsets: Mapping[int, float],
) -> NDArray[np.float64]:
    """Return what two methods differ by after their own offsets, (n,) eV/atom; NaN where one has no label."""
    own = structures.labels[method].energy[indices] - offset_energy(structures, indices, offsets)
    others = structures.labels[other].energy[indices] - offset_energy(structures, indices, other_offsets)
    return (own - others) / structures.sizes[indices]


def left_by_offsets(view: DataView, method: str, sets: Sequence[LabelledSet]) -> tuple[Indices, NDArray[np.float64]]:
    """Return the structures trained on with a method, (n,), and what its offsets leave of the labels, (n,) eV/atom."""
    members = np.unique(np.concatenate([view.training(own) for own in sets if own.labels == method]))
    energy = view.structures.labels[method].energy[members]
    offsets = offset_energy(view.structures, members, view.offsets(method, sets))
    return members, (energy - offsets) / view.structures.sizes[members]
