"""How much worse a design may be than the best that the same money buys, as far as the measured cells can tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.budget.catalogue import Catalogue

DRAWS = 400


def regret(catalogue: Catalogue, places: NDArray[np.int64], chosen: int, *, draws: int = DRAWS, seed: int = 0) -> float:
    """Return the expected error of a design over that of the best one, less 1.

    Truths are drawn as the model leaves them possible: the effects by Student's t with the degrees of freedom of the
    residual, and for each way one of its alternatives. In each another design is the best.

    Args:
        catalogue: of designs.
        places: (D,) those that the money buys.
        chosen: which of them is taken.
        draws: of truths.
        seed: of the draws.
    """
    generator, model = np.random.default_rng(seed), catalogue.model
    # The covariance may be singular to rounding: its root by eigenvectors.
    values, vectors = np.linalg.eigh(model.covariance)
    freedom = max(model.fitted.freedom, 1)
    scale = np.sqrt(freedom / generator.chisquare(freedom, draws))
    noise = vectors * np.sqrt(np.maximum(values, 0.0)) @ generator.standard_normal((len(values), draws)) * scale
    errors = catalogue.rows(places) @ noise
    for number, way in enumerate(catalogue.ways):
        here = np.flatnonzero(catalogue.way[places] == number)
        if len(here):
            sizes = catalogue.n_pre[places[here]], catalogue.n_ft[places[here]]
            weights, each = model.each(*sizes, way.method, way.strategy)
            errors[here] += each[generator.choice(len(weights), draws, p=weights)].T
    return float(np.expm1(errors[chosen] - errors.min(axis=0)).mean())
