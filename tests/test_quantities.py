"""Names of metrics: no two things share one, and short paths mean what has no longer name."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.quantities import MetricPath, Quantity, best_path, score_name
from mfsweep.spec.data import RESERVED, SUBSETS, TEST_SUBSET
from mfsweep.spec.stage import Evaluation

PARTS = ("train", "validation", "test")
NAMES = st.from_regex(r"\A[A-Za-z][A-Za-z0-9_-]{0,6}\Z").filter(lambda name: name not in RESERVED)
SCORES = st.tuples(st.sampled_from(PARTS), st.sampled_from(SUBSETS), NAMES, st.none() | NAMES, st.booleans())


def name_of(score):
    part, subset, method, head, best = score
    return score_name(part, subset, method, head, best=best)


@given(SCORES, SCORES)
def test_different_scores_have_different_names(one, other):
    assert (name_of(one) == name_of(other)) == (one == other)


@given(SCORES, st.sampled_from(Quantity))
def test_a_name_is_read_back_and_means_its_own_score_alone(score, quantity):
    path = MetricPath.parse(f"result.{name_of(score)}.{quantity}")
    assert str(path) == f"result.{name_of(score)}.{quantity}"
    part, _subset, method, head, best = score
    assert (path.part, path.best) == (part, best)
    every = [
        f"{score_name(p, s, m, h, best=b)}.{q}"
        for p, s, m, h, b, q in itertools.product(
            PARTS, SUBSETS, {method, "cc"}, {None, head, "dft"}, (True, False), (quantity, Quantity.LOSS)
        )
    ]
    every += [f"validation.{m}.{quantity}" for m in {method, "cc"}]
    assert path.among(every) == [f"{name_of(score)}.{quantity}"]


def test_the_stages_own_validation_has_a_name_that_no_score_has():
    own = {"validation.cc", best_path("validation.cc.loss").removesuffix(".loss")}
    scores = {
        score_name(*score[:-1], best=score[-1])
        for score in itertools.product(PARTS, SUBSETS, ("cc", "dft"), (None, "cc", "dft"), (True, False))
    }
    assert not own & scores


def test_a_score_on_the_test_subset_has_the_short_name():
    assert Evaluation(labels="cc", subset=TEST_SUBSET).name == "test.cc"
    assert Evaluation(labels="cc", subset=TEST_SUBSET, checkpoint="best").name == "test.cc@best"
    assert Evaluation(labels="cc", subset="c", head="dft").name == "test@c.cc@dft"


@pytest.mark.parametrize(
    ("path", "metrics", "meant"),
    [
        ("result.test.cc.energy_mae", ["test@c.cc", "test.cc"], ["test.cc"]),
        ("result.test@t.cc.energy_mae", ["test@c.cc", "test.cc"], ["test.cc"]),
        ("result.test@c.cc.energy_mae", ["test@c.cc", "test.cc"], ["test@c.cc"]),
        ("result.test.cc.energy_mae", ["test@c.cc"], ["test@c.cc"]),
        ("result.test.cc.energy_mae", ["test@c.cc", "test@b.cc"], ["test@c.cc", "test@b.cc"]),
        ("result.test@b.cc.energy_mae", ["test@c.cc", "test.cc"], []),
        ("result.test.cc.energy_mae", ["test.cc@dft", "test.cc@best"], []),
        ("result.test.energy_mae", ["test.cc@dft", "test@c.cc"], ["test@c.cc"]),
        ("result.test.energy_mae", ["test.cc@best"], ["test.cc@best"]),
        ("result.validation.cc.energy_mae", ["validation@b.cc", "validation.cc"], ["validation.cc"]),
        ("result.validation.energy_mae", ["validation.dft", "validation.dft@best", "validation@a.cc@dft"], ["validation.dft"]),
        ("result.train.energy_mae", ["train@a.cc", "train@a.dft@cc", "test.cc"], ["train@a.cc"]),
    ],
)  # fmt: skip
def test_a_short_path_means_what_needs_no_longer_name(path, metrics, meant):
    ending = ".energy_mae"
    assert MetricPath.parse(path).among([name + ending for name in metrics]) == [name + ending for name in meant]
