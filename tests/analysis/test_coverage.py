"""A short form of evidence/coverage.py: too few draws to see a point, enough to see a fault."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from evidence import coverage
from evidence.coverage import MINI, PAPER, Design
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.analysis.pooled import alone, difference
from mfsweep.analysis.transfer import fit

LOWEST = 0.88
"""Of 100 draws at 95 %, fewer hold the truth once in 500."""


@pytest.mark.parametrize(
    "design",
    [
        MINI,
        dataclasses.replace(MINI, x_noise=0.2),
        dataclasses.replace(MINI, partitions=2, seeds=3),
        dataclasses.replace(MINI, sizes=(40, 75, 140, 300), partitions=1),
        dataclasses.replace(PAPER, finetunes=2, x_noise=0.2),
        dataclasses.replace(PAPER, finetunes=2, missing=1 / 6),
    ],
    ids=lambda design: design.text,
)
def test_the_interval_of_a_gradient_holds_the_truth(design):
    assert coverage.gradients("", design, 100, coverage.law_interval).held >= LOWEST


@pytest.mark.parametrize(("partitions", "seeds", "missing"), [(3, 1, 0), (3, 4, 0), (1, 3, 0), (3, 1, 1 / 6)])
def test_the_interval_of_a_ratio_holds_the_truth(partitions, seeds, missing):
    assert coverage.claims("", partitions, seeds, 3, missing, 100, coverage.claim_interval).held >= LOWEST


def test_moderated_intervals_hold_the_truth_and_are_narrower():
    alone, moderated = coverage.suites(20, 3, 600)
    assert min(alone.held, moderated.held) >= LOWEST
    assert moderated.half_width < 0.7 * alone.half_width


def test_the_truly_best_point_of_a_search_cannot_be_told_from_the_best():
    assert coverage.searches(8, 3, 100).held >= LOWEST


def test_partitions_of_one_pool_say_less_of_new_molecules_the_more_of_them_there_are():
    few, many = (list(coverage.pools(number, 100, coverage.claim_interval))[1] for number in (3, 20))
    assert few.held > many.held + 0.1


DESIGNS = st.builds(
    Design,
    sizes=st.lists(st.sampled_from([10, 20, 40, 80, 160, 320]), min_size=1, max_size=6, unique=True).map(tuple),
    finetunes=st.integers(1, 3),
    partitions=st.integers(1, 4),
    seeds=st.integers(1, 3),
    x_noise=st.sampled_from([0.0, 0.05, 2.0]),
    slopes=st.sampled_from([0.0, 0.5]),
    missing=st.sampled_from([0.0, 0.2, 0.6]),
)
ODD = {
    "as drawn": lambda point: point,
    "no sizes": lambda point: dataclasses.replace(point, x_size=0),
    "one y": lambda point: dataclasses.replace(point, y=1.0),
    "one x": lambda point: dataclasses.replace(point, x=5.0),
    "on a line": lambda point: dataclasses.replace(point, y=2 * point.x**0.9),
    "of size alone": lambda point: dataclasses.replace(point, x=point.x_size, y=3.0 * point.x_size),
}


@settings(max_examples=60, deadline=None)
@given(design=DESIGNS, seed=st.integers(0, 1000), odd=st.sampled_from(sorted(ODD)))
def test_whatever_the_points_a_law_is_fitted_or_refused_and_is_plain_data(design, seed, odd):
    rng = np.random.default_rng(seed)
    drawn = design.points(rng)
    points = dataclasses.replace(drawn, points=tuple(map(ODD[odd], drawn.points)))
    law = fit("any", points, resamples=10)
    assert law.sentences()
    json.dumps(law.as_rows(), allow_nan=False)
    halves = [dataclasses.replace(points, points=tuple(p for p in points if rng.random() < 0.6)) for _ in range(2)]
    if all(map(alone, halves)):
        assert difference(*halves).shown.freedom > 0
