"""Which structures to label next, given a vector of each: greedy choices that look at what the others know already.

`variance_reduction` is for the features of one model. A readout that is linear in its features, with a Gaussian prior,
has a predictive variance that labels lower and that does not depend on the labels' values. Each choice is the structure
whose label lowers the mean variance over all structures of the pool most (I-optimal design; the same quantity is
BAIT's, arXiv:2106.09675). Redundant structures gain little once one of them is chosen, and so do outliers, which say
little of the others.

`spread` is for a score of each structure, such as the disagreement of models: the highest product of the score and the
distance to the nearest structure that is known or chosen (farthest-point sampling, weighted).

Both divide by the price of a label. Shapes: `n` candidates, `m` known structures, `D` features, `k` choices.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

NOISE = 1e-2
"""Variance of a mean structure's label about a linear readout, in units of the mean square of the pool's features
(assumed)."""

Floats = NDArray[np.float64]


class GreedyChoice(NamedTuple):
    """Candidates in the order in which they were chosen."""

    order: NDArray[np.int64]
    """(k,) places among the candidates."""
    gain: Floats
    """(k,) what each was chosen for: share of the pool's variance that its label removes; of `spread` the product of
    score and distance. Prices are not in it."""


class PoolFeatures(NamedTuple):
    """What a model sees in n structures."""

    rows: Floats
    """(n, D) features, per atom."""
    atoms: NDArray[np.int64]
    """(n,) atoms. What a readout cannot express differs from atom to atom and averages out: the variance of a label per
    atom goes with 1 / atoms."""


def variance_reduction(candidates: PoolFeatures, known: PoolFeatures, count: int, prices: Floats) -> GreedyChoice:
    """Choose by the variance that labels remove from the whole pool.

    Args:
        candidates: n structures.
        known: m structures that are labelled already; they belong to the pool.
        count: k, at most n.
        prices: (n,) of the candidates' labels, in any unit.
    """
    everything = np.concatenate([candidates.rows, known.rows])
    scale = np.sqrt((everything**2).sum(axis=1).mean()) or 1.0
    usual = np.concatenate([candidates.atoms, known.atoms]).mean()
    own, held = candidates.rows / scale, known.rows / scale
    noise, held_noise = NOISE * usual / candidates.atoms, NOISE * usual / known.atoms
    pool = everything.T @ everything / (scale**2 * len(everything))
    covariance = np.linalg.inv(np.eye(own.shape[1]) + held.T @ (held / held_noise[:, None]))
    whole = float(np.sum(covariance * pool)) or 1.0
    towards = own @ covariance  # (n, D): the covariance of each candidate's prediction with the weights
    spreading = towards @ pool
    variance = (towards * own).sum(axis=1)
    order, gains = np.empty(count, np.int64), np.empty(count)
    free = np.ones(len(own), np.bool_)
    for number in range(count):
        gain = (spreading * towards).sum(axis=1) / (noise + variance)
        best = int(np.argmax(np.where(free, gain / prices, -np.inf)))
        order[number], gains[number], free[best] = best, gain[best] / whole, False
        weights = towards[best].copy()
        shared = own @ weights
        divided = shared / (noise[best] + variance[best])
        spreading -= np.outer(divided, weights @ pool)
        towards -= np.outer(divided, weights)
        variance = variance - divided * shared
    return GreedyChoice(order, gains)


def spread(scores: Floats, candidates: Floats, known: Floats, count: int, prices: Floats) -> GreedyChoice:
    """Choose high scores far from what is known and from one another.

    Args:
        scores: (n,) not negative.
        candidates: (n, D) features.
        known: (m, D) features of the structures that are labelled already.
        count: k, at most n.
        prices: (n,) of the candidates' labels, in any unit.
    """
    least = np.full(len(candidates), np.inf)
    for row in known:
        np.minimum(least, _distances(candidates, row), out=least)
    if not len(known):  # the first is chosen by its score alone
        least[:] = 1.0
    order, gains = np.empty(count, np.int64), np.empty(count)
    free = np.ones(len(candidates), np.bool_)
    for number in range(count):
        product = scores * least
        best = int(np.argmax(np.where(free, product / prices, -np.inf)))
        order[number], gains[number], free[best] = best, product[best], False
        apart = _distances(candidates, candidates[best])
        least = apart if number == 0 and not len(known) else np.minimum(least, apart)
    return GreedyChoice(order, gains)


def _distances(rows: Floats, row: Floats) -> Floats:
    return np.linalg.norm(rows - row, axis=1)
