"""A mean error split up: by element, formula, size, force or distance, each mean with an interval.

Conformers of one formula err alike, so that an interval counts formulae, not structures: the error of a mean is that of
its formulae's sums (a cluster-robust variance), with Student's t of one less than their number.

Legend: `n` values, one a structure (or an atom) of a replicate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import stats

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
BINS = 8
FEWEST = 3
"""Formulae below which there is no interval."""


class Mean(NamedTuple):
    """The mean error of some structures."""

    value: float
    low: float | None
    high: float | None
    """95 % interval; None with fewer than three formulae, which tell next to nothing of others."""
    number: int
    """Values behind it."""
    formulae: int


class Bin(NamedTuple):
    """The structures whose x lies between two edges."""

    low: float
    high: float
    middle: float
    """Mean x."""
    mean: Mean


def mean_of(errors: Floats, formula: NDArray[np.generic]) -> Mean:
    """Return the mean of (n,) errors, at least one, with its interval over formulae, (n,)."""
    value = float(errors.mean())
    names, place = np.unique(formula, return_inverse=True)
    number = len(names)
    if number < FEWEST:
        return Mean(value, None, None, len(errors), number)
    sums = np.bincount(place, errors - value)
    error = float(np.sqrt(number / (number - 1) * (sums**2).sum()) / len(errors))
    half = float(stats.t.ppf(0.975, number - 1)) * error
    return Mean(value, max(value - half, 0.0), value + half, len(errors), number)


def by_group(errors: Floats, formula: NDArray[np.generic], group: Sequence[str]) -> dict[str, Mean]:
    """Return group -> mean error, the groups by name; each of the n values has one group."""
    names, place = np.unique(np.asarray(group, dtype=np.str_), return_inverse=True)
    return {
        name: mean_of(errors[place == number], formula[place == number]) for number, name in enumerate(names.tolist())
    }


def by_number(errors: Floats, formula: NDArray[np.generic], x: Floats | Integers, bins: int = BINS) -> list[Bin]:
    """Return bins of about equally many values by growing x, (n,); equal x are never parted."""
    edges = np.unique(np.quantile(x, np.linspace(0, 1, bins + 1)[1:-1]))
    place = np.searchsorted(edges, x, side="left")
    found: list[Bin] = []
    for number in np.unique(place).tolist():
        own = place == number
        inside = x[own].astype(np.float64)
        mean = mean_of(errors[own], formula[own])
        found.append(Bin(float(inside.min()), float(inside.max()), float(inside.mean()), mean))
    return found
