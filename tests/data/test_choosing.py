"""Greedy choices, held against the same by brute force."""

from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.choosing import NOISE, PoolFeatures, spread, variance_reduction


def features(rows, atoms=None):
    return PoolFeatures(np.asarray(rows, float), np.full(len(rows), 7) if atoms is None else atoms)


def left(candidates, known, labelled):
    """Return the mean variance of the pool after some more labels, by its formula."""
    pool, atoms = np.concatenate([candidates.rows, known.rows]), np.concatenate([candidates.atoms, known.atoms])
    scale = np.sqrt((pool**2).sum(axis=1).mean())
    rows = np.concatenate([known.rows, candidates.rows[labelled]]) / scale
    noise = NOISE * atoms.mean() / np.concatenate([known.atoms, candidates.atoms[labelled]])
    covariance = np.linalg.inv(np.eye(pool.shape[1]) + rows.T @ np.diag(1 / noise) @ rows)
    return np.einsum("ij,jk,ik->i", pool / scale, covariance, pool / scale).mean()


@pytest.mark.parametrize("known", [0, 4])
@pytest.mark.parametrize("seed", range(3))
def test_each_choice_removes_the_most_variance_and_its_share_is_told(known, seed):
    rng = np.random.default_rng(seed)
    candidates = features(rng.normal(size=(12, 5)) * [3, 1, 1, 1, 0.1], rng.integers(3, 30, 12))
    held = features(rng.normal(size=(known, 5)), rng.integers(3, 30, known))
    chosen = variance_reduction(candidates, held, 4, np.ones(12))
    whole, order = left(candidates, held, []), []
    for best, gain in zip(chosen.order.tolist(), chosen.gain.tolist(), strict=True):
        before = left(candidates, held, order)
        others = {one: left(candidates, held, [*order, one]) for one in set(range(12)) - set(order)}
        assert others[best] == pytest.approx(min(others.values()), rel=1e-9)
        assert gain == pytest.approx((before - others[best]) / whole, rel=1e-6)
        order.append(best)


def test_a_copy_of_what_is_chosen_or_known_is_worth_little():
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(6, 8))
    rows[1] = rows[0]
    chosen = variance_reduction(features(rows), features(rows[[2]]), 6, np.ones(6))
    place = {one: number for number, one in enumerate(chosen.order.tolist())}
    assert sorted(place) == list(range(6)), "each once"
    assert max(place[0], place[1]) >= 4
    assert place[2] >= 3


def test_of_equal_use_the_cheap_one_is_chosen():
    prices, nothing = np.array([5.0, 1.0, 9.0, 2.0]), np.empty((0, 4))
    assert variance_reduction(features(np.eye(4)), features(nothing), 2, prices).order.tolist() == [1, 3]
    assert spread(np.ones(4), np.eye(4), nothing, 2, prices).order.tolist() == [1, 3]


def test_spread_takes_high_scores_far_from_what_is_known_and_chosen():
    line = np.array([[0.0], [1.0], [2.0], [9.0], [10.0]])
    alike = spread(np.ones(5), line, np.array([[0.0]]), 3, np.ones(5))
    assert alike.order.tolist() == [4, 2, 1], "farthest points: 10, then 2, then 1 and 9 at distance 1"
    scored = spread(np.array([1.0, 1, 1, 5, 1]), line, np.array([[0.0]]), 2, np.ones(5))
    assert scored.order.tolist() == [3, 2]
    assert scored.gain.tolist() == [45.0, 2.0]
    first = spread(np.array([1.0, 7, 2, 3, 4]), line, np.empty((0, 1)), 5, np.ones(5))
    assert first.order[0] == 1, "with nothing known the score decides"
    assert sorted(first.order.tolist()) == list(range(5))
