from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special, stats

from mfsweep.analysis.suite import FEWEST, needed_text, prior, settled
from mfsweep.report_records import ClaimRecord


def claim(name, logs, **fields):
    logs = np.asarray(logs)
    error = float(logs.std(ddof=1) / math.sqrt(len(logs)))
    fixed = {"says": name, "measure": "ratio", "low": None, "high": None, "verdict": "cannot tell", "detail": ""}
    own = {"estimate": math.exp(logs.mean()), "error": error, "freedom": len(logs) - 1, "replicates": len(logs)}
    return ClaimRecord.model_validate({"name": name, "usable": True, "evidence": name, **fixed, **own, **fields})


def draws(rng, number, *, spread=0.25, varies=0.0, mean=0.0):
    deviations = spread * np.exp(varies * rng.normal(size=number))
    return [mean + deviation * rng.normal(size=3) for deviation in deviations]


def test_the_prior_of_variances_is_found_again():
    # s2 = s0 * d0 / chi2(d0) * chi2(d) / d, with the d0 and s0 of which it is made.
    rng = np.random.default_rng(1)
    true = 0.0625 * 8 / rng.chisquare(8, 20_000)
    found = prior(true * rng.chisquare(2, 20_000) / 2, [2] * 20_000)
    assert found.variance == pytest.approx(0.0625, rel=0.05)
    assert found.freedom == pytest.approx(8, rel=0.15)
    alike = prior(0.0625 * rng.chisquare(200, 50) / 200, [2] * 50)
    assert math.isinf(alike.freedom)


def test_the_moments_of_log_variances_are_those_of_the_prior():
    # Smyth (2004), section 6.2: E e = log s0 + psi terms, var e = trigamma(d / 2) + trigamma(d0 / 2).
    s2, d = np.array([0.01, 0.02, 0.3, 0.05, 0.4, 0.001]), np.full(6, 2.0)
    found = prior(s2, d)
    e = np.log(s2) - special.digamma(1) + np.log(1)
    assert special.polygamma(1, found.freedom / 2) == pytest.approx(e.var(ddof=1) - special.polygamma(1, 1))
    expected = e.mean() + special.digamma(found.freedom / 2) - math.log(found.freedom / 2)
    assert math.log(found.variance) == pytest.approx(expected)


def test_a_suite_narrows_intervals_and_leaves_each_claims_own_beside():
    rng = np.random.default_rng(2)
    made = settled([claim(str(place), own) for place, own in enumerate(draws(rng, 20))])
    shared = np.median([math.log(one.high / one.low) for one in made])
    own = np.median([math.log(one.plain_high / one.plain_low) for one in made])
    assert shared < 0.7 * own
    assert {one.suite for one in made} == {20}
    first = draws(np.random.default_rng(2), 20)[0]
    half = stats.sem(first) * stats.t.ppf(0.975, 2)
    assert made[0].plain_low == pytest.approx(math.exp(first.mean() - half))


def test_a_few_claims_say_nothing_of_their_variances():
    made = settled([claim(str(place), own) for place, own in enumerate(draws(np.random.default_rng(3), FEWEST - 1))])
    assert {one.suite for one in made} == {0}


@pytest.mark.parametrize("varies", [0.0, 0.3])
def test_moderated_intervals_hold_the_truth_as_often_as_they_say(varies):
    rng = np.random.default_rng(4)
    held = []
    for _ in range(40):
        for one in settled([claim(str(place), own) for place, own in enumerate(draws(rng, 30, varies=varies))]):
            low, high = one.low, one.high
            held.append(low is None or low <= 1 <= high)
    assert np.mean(held) == pytest.approx(0.95, abs=0.025)


def test_a_result_that_is_stated_twice_counts_once():
    rng = np.random.default_rng(5)
    claims = [claim(str(place), own) for place, own in enumerate(draws(rng, 8, mean=-0.6))]
    again = claims[0].model_copy(update={"name": "again", "says": "in other words"})
    once, twice = settled(claims), settled([*claims, again])
    assert twice[:-1] == once
    assert twice[-1].adjusted_p == once[0].adjusted_p


def test_adjusted_p_values_are_those_of_benjamini_and_hochberg():
    made = settled([claim(str(place), own) for place, own in enumerate(draws(np.random.default_rng(6), 6, mean=-0.3))])
    assert [one.adjusted_p for one in made] == pytest.approx(stats.false_discovery_control([one.p for one in made]))


def test_what_is_not_usable_keeps_its_numbers_and_gets_no_verdict_and_no_p_value():
    rng = np.random.default_rng(7)
    capped = claim("capped", [-3.0, -3.1, -2.9], usable=False)
    made = settled([capped, *(claim(str(place), own) for place, own in enumerate(draws(rng, 6)))])
    assert (made[0].verdict, made[0].p, made[0].adjusted_p, made[0].suite) == ("cannot tell", None, None, 0)


def test_to_settle_claims_again_changes_nothing():
    made = settled([claim(str(place), own) for place, own in enumerate(draws(np.random.default_rng(8), 9))])
    assert settled(made) == made


def test_what_would_decide_is_said_of_what_is_not_decided():
    (wide,) = settled([claim("wide", [-0.6, 0.1, -0.3])])
    assert needed_text(wide) == ""  # not judged yet
    rng = np.random.default_rng(9)
    made = settled([claim(str(place), own) for place, own in enumerate(draws(rng, 12, mean=-0.1))])
    for one in made:
        assert bool(needed_text(one)) == (one.verdict == "cannot tell")
