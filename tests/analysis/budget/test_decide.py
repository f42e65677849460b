from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_errors import PRICES, cells, log_error, study

from mfsweep.analysis.budget import say
from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.decide import decide
from mfsweep.analysis.budget.regret import TELLING
from mfsweep.analysis.budget.targets import Target, aim
from mfsweep.errors import FitError

MEASURED = study(cells(noise=0.05))
DECIDED = decide(MEASURED, PRICES)
BUDGETS = st.floats(400, 1e6)


@settings(max_examples=20, deadline=None)
@given(BUDGETS, st.floats(1, 10))
def test_more_money_never_buys_a_larger_error_and_is_never_overspent(budget, factor):
    one, other = DECIDED.at(budget), DECIDED.at(factor * budget)
    assert one.best.cost <= budget * (1 + 1e-9)
    assert other.best.error <= one.best.error * (1 + 1e-12)
    assert one.best.cost == pytest.approx(
        sum(PRICES.labels[method] * number for method, number in one.best.labels.items()) + one.best.training
    )


@settings(max_examples=20, deadline=None)
@given(BUDGETS)
def test_what_is_taken_is_the_least_of_all_that_is_paid_for(budget):
    one, catalogue = DECIDED.at(budget), DECIDED.catalogue
    paid = catalogue.cost <= budget
    assert catalogue.mean[one.place] == catalogue.mean[paid].min()
    if one.runner_up is not None:
        assert one.runner_up.way != one.best.way
        assert one.runner_up.error >= one.best.error
        assert 0.5 <= one.probability <= 1
    assert 0 <= one.regret < 1


@settings(max_examples=6, deadline=None)
@given(BUDGETS, st.floats(0.01, 100))
def test_another_currency_and_another_unit_of_errors_change_no_advice(budget, factor):
    labels = {method: factor * cost for method, cost in PRICES.labels.items()}
    dearer = decide(MEASURED, Prices(labels, "EUR", hour=factor * 3600), factor * budget).best
    best = DECIDED.at(budget).best
    assert (dearer.way, dearer.n_pre, dearer.n_ft) == (best.way, best.n_pre, best.n_ft)
    hours = decide(MEASURED, PRICES.at("core-hours"), budget / 3600).best
    assert (hours.way, hours.n_pre, hours.n_ft, hours.error) == (best.way, best.n_pre, best.n_ft, best.error)


def test_without_noise_the_truly_best_design_is_found():
    decision = decide(study(cells()), PRICES, 3000.0)
    catalogue = decision.catalogue
    truth = np.array([log_error(*(one[2], one[0], one[1])) for one in map(catalogue.sized, range(len(catalogue.mean)))])
    paid = catalogue.cost <= 3000
    assert truth[decision.place] == pytest.approx(truth[paid].min(), abs=1e-9)
    assert decision.regret == pytest.approx(0, abs=1e-6)


def test_the_front_grows_dearer_and_better():
    front = DECIDED.front
    assert len(front) > 5
    assert (np.diff([one.cost for one in front]) > 0).all()
    assert (np.diff([one.error for one in front]) < 0).all()


def test_a_price_at_which_the_answer_changes_does_change_it():
    assert DECIDED.changes
    for change in DECIDED.changes:
        labels = {**PRICES.labels, change.method: change.price}
        assert decide(MEASURED, replace(PRICES, labels=labels), DECIDED.budget).best.way == change.way
        assert change.way != DECIDED.best.way


@pytest.fixture(scope="module")
def decisions():
    """Give decisions by grids that leave much or little open, each with the upper ends of all intervals."""
    grids = (
        {},
        {"n_pre": (60, 600), "n_ft": (60, 240, 900)},
        {"methods": ("dft",), "n_pre": (60, 600), "n_ft": (60, 240), "replicates": 1},
        {"n_pre": (60, 600), "n_ft": (60, 240)},
    )
    made = [decide(study(cells(noise=0.05, seed=seed, **grid)), PRICES) for seed, grid in enumerate(grids)]
    return [(one, one.catalogue.high(np.arange(len(one.catalogue.mean)))) for one in made]


@given(data=st.data())
def test_the_cheapest_of_all_designs_that_reach_a_target_are_found(decisions, data):
    decision, high = data.draw(st.sampled_from(decisions))
    catalogue = decision.catalogue
    among = data.draw(st.sampled_from([catalogue.mean, high]))
    low, most = float(among.min()), float(np.quantile(among, 0.5))
    target = np.exp(low + data.draw(st.floats(-0.05, 1.0)) * (most - low))
    for found, ends in zip(decision.cheapest(target), (catalogue.mean, high), strict=True):
        reach = np.exp(ends) <= target * (1 + 1e-9)
        assert (found is None) == (not reach.any())
        if found is not None:
            assert found.cost == catalogue.cost[reach].min()
            assert (found.error if ends is catalogue.mean else found.high) <= target * (1 + 1e-8)


def test_sizes_beyond_those_that_were_trained_are_told_with_their_distance():
    best = DECIDED.at(1e5).best
    assert max(best.beyond.values()) <= 10
    assert best.distance >= np.log10(max(best.beyond.values())) - 1e-9
    assert any("extrapolates" in text for text in say.warnings(DECIDED.at(1e5)))
    inside = decide(MEASURED, PRICES, 1e9, reach=1.0)
    assert not inside.best.beyond
    assert not any("extrapolates" in text for text in say.warnings(inside))


def test_sizes_that_were_never_varied_apart_stay_together():
    made = cells(("dft",), n_pre=(60,), n_ft=(60, 120, 240))
    tied = replace(made, n_pre=np.where(made.n_pre > 0, 2 * made.n_ft, 0.0))
    catalogue = decide(study(tied), PRICES).catalogue
    pre = catalogue.n_pre > 0
    assert pre.any()
    assert catalogue.n_pre[pre] == pytest.approx(2 * catalogue.n_ft[pre])


@pytest.mark.parametrize(
    ("measured", "prices", "budget", "said"),
    [
        (
            MEASURED,
            PRICES,
            1.0,
            "1 core-seconds buy nothing that these cells can speak of: one cc label costs 6. The che",
        ),
        (
            MEASURED,
            PRICES,
            50.0,
            "50 core-seconds buy nothing .* The cheapest design is direct training with 60 cc labels",
        ),
        (
            MEASURED,
            Prices({"cc": 6.0, "dft": 1.0}, "core-seconds"),
            None,
            "no cost of a xtb label is known .*--cost xtb=",
        ),
        (study(cells(("dft",), n_pre=(60,), n_ft=(60,))), PRICES, None, "measured at one size"),
        (study(cells(n_pre=(60, 300), n_ft=(60,), replicates=1)), PRICES, None, "cells cannot carry"),
    ],
    ids=["no label", "no design", "no cost", "equal sizes", "too few"],
)
def test_what_cannot_be_answered_is_said(measured, prices, budget, said):
    with pytest.raises(FitError, match=said):
        decide(measured, prices, budget)


def test_one_replicate_labels_that_cost_nothing_and_a_target_out_of_reach_are_said():
    one = decide(study(cells(replicates=1, noise=0.05)), replace(PRICES, labels={"cc": 6.0, "dft": 1.0, "xtb": 0.0}))
    assert any("One replicate" in text for text in say.warnings(one))
    assert "Labels of xtb cost nothing here." in say.rests_on(one)
    target = Target.parse("cc=1e-6 meV/atom")
    (said,) = say.aims(one, [aim(one, target)])
    assert "no design within 10 times the trained sizes gets there" in said


def test_training_without_a_price_is_left_out_and_said():
    gpu = replace(MEASURED, device="cuda")
    decision = decide(gpu, PRICES)
    assert decision.best.training == 0
    assert any(text.startswith("Training is not counted: a GPU-hour has no price") for text in say.rests_on(decision))
    counted = decide(gpu, replace(PRICES, hour=100.0), decision.budget)
    assert counted.best.training == pytest.approx(0.1)


@settings(max_examples=10)
@given(st.integers(0, 1000), st.sampled_from([("dft",), ("dft", "xtb")]))
def test_with_few_degrees_of_freedom_no_expected_loss_is_told(seed, methods):
    few = cells(methods, n_pre=(60, 600), n_ft=(60, 240), replicates=1, noise=0.5, seed=seed)
    decision = decide(study(few), PRICES, 3000.0)
    assert decision.catalogue.model.fitted.freedom < TELLING
    (said,) = (text for text in say.sure(decision) if "xpected loss" in text)
    assert said.startswith("Too few cells to tell the expected loss")
    assert said.endswith(f"as likely as not below {decision.median_loss:,.1%} of the error.")
    found = say.as_json(decision, [])
    json.dumps(found, allow_nan=False)
    assert found["regret"] is None
    assert np.isfinite(decision.regret)


def test_everything_is_plain_data():
    found = say.as_json(DECIDED, [aim(DECIDED, Target.parse("cc=20meV/atom"))])
    again = json.loads(json.dumps(found, allow_nan=False))
    assert again["recommended"]["labels"] == DECIDED.best.labels
    assert again["probability_to_beat_runner_up"] == DECIDED.probability
