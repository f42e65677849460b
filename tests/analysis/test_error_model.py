from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from planted_errors import PRE, cells, log_error

from mfsweep.analysis.error_forms import choose, compare
from mfsweep.analysis.error_model import fit
from mfsweep.analysis.measured_cells import MeasuredCells, Way
from mfsweep.analysis.saturation import saturating
from mfsweep.errors import FitError

SLOPES = st.floats(-0.6, 0.1)
EFFECTS = st.tuples(st.floats(2, 8), SLOPES, SLOPES, st.floats(-0.03, 0.03))


@settings(max_examples=20, deadline=None)
@given(direct=EFFECTS, dft=EFFECTS, n_pre=st.floats(10, 1e5), n_ft=st.floats(10, 1e4))
def test_without_noise_the_truth_is_found_at_any_size(direct, dft, n_pre, n_ft):
    truth = {"": direct, "dft": dft}
    model = fit(cells(("dft",), truth=truth))
    found = model.predict(n_pre, n_ft, "dft", PRE)
    assert found.mean[0] == pytest.approx(log_error("dft", n_pre, n_ft, truth), abs=1e-6)
    assert found.sd_new[0] == pytest.approx(0, abs=1e-6)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), factor=st.floats(0.01, 100))
def test_another_unit_of_errors_moves_the_mean_and_nothing_else(seed, factor):
    made = cells(noise=0.1, seed=seed)
    one, other = (
        fit(own).predict([200.0, 5e3], 500, "xtb", PRE) for own in (made, replace(made, error=factor * made.error))
    )
    assert other.mean - one.mean == pytest.approx(np.log(factor), abs=1e-6)
    assert other.sd_new == pytest.approx(one.sd_new, rel=1e-4)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 99), sizes=st.lists(st.floats(30, 1e4), min_size=2, max_size=2))
def test_of_two_designs_one_is_below_the_other(seed, sizes):
    model = saturating(cells(noise=0.2, seed=seed))
    one, other = (sizes[0], 100.0, "dft", PRE), (sizes[1], 300.0, "xtb", PRE)
    assert model.below(one, other) + model.below(other, one) == pytest.approx(1)
    assert model.below(one, one) == 0.5


def test_replicates_of_larger_spread_widen_the_interval_of_a_new_one_and_not_the_lines_difference():
    made = cells(noise=0.05, replicates=5)
    shifted = replace(made, error=made.error * np.exp(np.array([one % 2 for one in made.replicate])))
    calm, spread = fit(made), fit(shifted)
    at = 1000.0, 100.0, "dft", PRE
    assert spread.predict(*at).sd_new > 3 * calm.predict(*at).sd_new
    other = 1000.0, 100.0, "xtb", PRE
    assert spread.below(at, other) == pytest.approx(calm.below(at, other), abs=1e-3)


def test_terms_that_sizes_cannot_tell_apart_are_left_out():
    both = fit(cells(("dft",))).terms
    assert both == {Way("direct training", ""): ((0, 0), (1, 0)), Way(PRE, "dft"): ((0, 0), (1, 0), (0, 1), (1, 1))}
    assert fit(cells(("dft",), n_ft=(60,))).terms[Way(PRE, "dft")] == ((0, 0), (0, 1))
    made = cells(("dft",), n_ft=(60, 120, 240))
    tied = made.only(np.array([way == "" or pre == 60 for way, pre in zip(made.method, made.n_pre, strict=True)]))
    tied = replace(tied, n_pre=np.where(tied.n_pre > 0, tied.n_ft, 0.0))
    assert fit(tied).terms[Way(PRE, "dft")] == ((0, 0), (1, 0))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"error": 0.0}, "error of a cell: expected a number above 0, got 0"),
        ({"error": np.nan}, "expected a number above 0, got nan"),
        ({"n_ft": 0.0}, "n_ft of a cell: expected a number above 0, got 0"),
        ({"n_pre": -1.0}, "n_pre of a cell: expected a number, 0 or above"),
        ({"n_pre": 0.0}, "pre-training on dft: cells with and without auxiliary labels are two ways"),
    ],
)
def test_numbers_without_a_logarithm_are_refused(change, said):
    made = cells(("dft",))
    ((name, value),) = change.items()
    values = getattr(made, name).copy()
    values[-1] = value
    with pytest.raises(FitError, match=said):
        replace(made, **{name: values})


def test_too_few_cells_and_an_unknown_way_are_refused():
    none = MeasuredCells
    with pytest.raises(FitError, match="no measured cell"):
        none(np.empty(0), np.empty(0), (), (), np.empty(0), ())
    with pytest.raises(FitError, match="10 cells cannot carry 10 effects of ways and sizes"):
        fit(cells(n_pre=(60, 300), replicates=1))
    with pytest.raises(
        FitError, match=r"pre-training on pbe: no cell was measured; there are direct training; pre-train"
    ):
        fit(cells()).predict(10, 10, "pbe", PRE)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 99), scale=st.sampled_from([100.0, 200.0, 400.0]))
def test_a_gain_that_is_used_up_is_seen_within_the_grids_step(seed, scale):
    made = cells(("dft",), n_pre=(12, 60, 300, 1800), noise=0.02, seed=seed, scale=scale, replicates=4)
    model = saturating(made)
    (known,) = model.alternatives.values()
    assert sum(one.weight for one in known) == pytest.approx(1)
    likely = sum(one.weight for one in known if scale / 4 < one.scale < scale * 4)
    assert likely > 0.9
    assert model.predict(18000.0, 240.0, "dft", PRE).mean[0] == pytest.approx(
        log_error("dft", 18000.0, 240.0, scale=scale), abs=0.15
    )


def test_a_straight_line_stays_one_and_two_sizes_say_nothing():
    way = Way(PRE, "dft")
    straight = saturating(cells(("dft",), n_pre=(12, 60, 300, 1800), noise=0.01))
    assert sum(one.weight for one in straight.alternatives[way] if one.scale > 1000) > 0.99
    two = saturating(cells(("dft",), n_pre=(60, 300), noise=0.05))
    assert len({one.weight for one in two.alternatives[way]}) == 1
    at, beyond = (two.predict(size, 240.0, "dft", PRE) for size in (300.0, 30000.0))
    assert beyond.sd > 2 * at.sd, "what is not known of the scale widens the interval"


def test_the_form_that_predicts_hidden_sizes_is_chosen():
    steep = {"": (6.0, -0.4, 0, 0), "dft": (6.3, -0.5, -0.6, 0.08)}
    sizes = {"n_pre": (12, 60, 300, 1800), "n_ft": (60, 120, 240), "methods": ("dft",), "noise": 0.01}
    chosen = choose(cells(truth=steep, **sizes))
    assert chosen.model.form == "product"
    errors = {one.form: one.error for one in chosen.scores}
    assert errors["product"] < errors["sizes"]
    assert "chosen by the 8 settings of the largest sizes" in chosen.sentences[0]
    flat = {"": (6.0, -0.4, 0, 0), "dft": (6.3, -0.5, -0.3, 0)}
    assert choose(cells(truth=flat, **sizes)).model.form == "sizes"


def test_where_no_size_can_be_hidden_it_is_said():
    made = cells(n_pre=(60, 300))
    assert [one.hidden for one in compare(made)] == [()] * 4
    assert "hiding the largest size takes three sizes" in choose(made).sentences[0]
