"""How much worse a design may be than the best that the same money buys, as far as the measured cells can tell."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.budget.catalogue import Catalogue
from mfsweep.analysis.error_model import Floats
from mfsweep.analysis.measured_cells import Way

DRAWS = 400
LEVEL = 0.975
"""Probability by which a loss lies below its bound; by how much the rarer ones are larger does not count."""
TELLING = 4
"""Degrees of freedom below which nothing is told of the expected loss."""
LARGEST = math.log(1e9)
"""Log of the ratio of errors beyond which a loss grows no more, so that all are finite."""


class Truths(NamedTuple):
    """Truths that the measured cells leave possible, `M` of them."""

    errors: Floats
    """(D, M) log errors of designs: the model's lines."""
    noise: Floats
    """(P, M) by which the effects are off."""
    scale: Floats
    """(M,) standard deviations over those that were fitted: how far off these may be by the freedom of the residual."""
    taken: Mapping[Way, NDArray[np.int64]]
    """Way -> (M,) which of its alternatives holds."""


def truths(
    catalogue: Catalogue, places: NDArray[np.int64], *, draws: int = DRAWS, seed: int = 0, spread: float = 1.0
) -> Truths:
    """Draw truths: the effects by Student's t with the freedom of the residual, and one alternative for each way.

    Args:
        catalogue: of designs.
        places: (D,) those that are meant.
        draws: M.
        seed: of the draws.
        spread: factor of all standard deviations of the effects.
    """
    generator, model = np.random.default_rng(seed), catalogue.model
    # The covariance may be singular to rounding: its root by eigenvectors.
    values, vectors = np.linalg.eigh(model.covariance)
    freedom = max(model.fitted.freedom, 1)
    scale = spread * np.sqrt(freedom / generator.chisquare(freedom, draws))
    noise = vectors * np.sqrt(np.maximum(values, 0.0)) @ generator.standard_normal((len(values), draws)) * scale
    errors = catalogue.rows(places) @ noise
    taken: dict[Way, NDArray[np.int64]] = {}
    for number, way in enumerate(catalogue.ways):
        here = np.flatnonzero(catalogue.way[places] == number)
        if len(here):
            sizes = catalogue.n_pre[places[here]], catalogue.n_ft[places[here]]
            weights, each = model.each(*sizes, way.method, way.strategy)
            taken[way] = generator.choice(len(weights), draws, p=weights)
            errors[here] += each[taken[way]].T
    return Truths(errors, noise, scale, taken)


def losses(errors: Floats, chosen: int | NDArray[np.int64]) -> Floats:
    """Return the error of a design over that of the best one, less 1, in each truth: (M,).

    Args:
        errors: (D, M) log errors.
        chosen: which design is taken, or (M,) which in each truth.
    """
    taken = errors[chosen, np.arange(errors.shape[1])]
    return np.expm1(np.minimum(taken - errors.min(axis=0), LARGEST))


def bound(losses: Floats) -> float:
    """Return the least loss that LEVEL of all (M,) do not exceed: it is below a limit when LEVEL of them are."""
    return float(np.quantile(losses, LEVEL, method="inverted_cdf"))


def expected(losses: Floats, most: float | None = None) -> float:
    """Return the expected loss, each counted as at most the bound.

    The exponential of Student's t has no mean, whatever its degrees of freedom: the average of draws would be that of
    the one or two largest, and another with more draws or another seed. With the bound for all that is beyond it
    (winsorised) it is finite and steady. Losses that are compared take one bound for all.

    Args:
        losses: (M,).
        most: the bound; default: their own.
    """
    return float(np.minimum(losses, bound(losses) if most is None else most).mean())
