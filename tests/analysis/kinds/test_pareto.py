from __future__ import annotations

import math

import pytest

from mfsweep.analysis.drawn import Absent
from mfsweep.analysis.kinds.pareto import ParetoPoint, front, label_cost
from mfsweep.analysis.selection import Spread
from mfsweep.errors import FitError

Y = "result.test.cc.energy_mae"
COSTS = {"cc": 100.0, "dft": 10.0, "xtb": 0.1}


def place(cost, error):
    return ParetoPoint((), cost, Spread(error, error, error, math.nan, 1, capped=False))


def cell(world, **sets):
    return world.cell({}, dict.fromkeys(sets, "0" * 20), {}, sets=sets)


def test_a_label_is_paid_for_once_however_many_stages_use_it(world):
    joint = [("cc", ["cc"], "a", 0, 30), ("dft", ["dft"], "b", 0, 100)]
    again = [("cc", ["cc"], "a", 0, 50), ("dft", ["dft"], "a", 0, 20)]
    assert label_cost(cell(world, joint=joint, finetune=again), COSTS) == 50 * 100 + 100 * 10 + 20 * 10


def test_ranges_that_do_not_touch_are_added(world):
    sets = [("dft", ["dft"], "b", 0, 25), ("xtb", ["xtb"], "b", 25, 100), ("dft", ["dft"], "b", 90, 100)]
    assert label_cost(cell(world, joint=sets), COSTS) == pytest.approx(25 * 10 + 75 * 0.1 + 10 * 10)


def test_a_derived_method_costs_its_parts(world):
    sets = [("cc-xtb", ["cc", "xtb"], "a", 0, 30), ("xtb", ["xtb"], "a", 0, 30)]
    assert label_cost(cell(world, joint=sets), COSTS) == pytest.approx(30 * 100 + 30 * 0.1)


def test_a_method_without_a_cost_is_refused(world):
    with pytest.raises(FitError, match="none for b3lyp; there are cc, dft, xtb"):
        label_cost(cell(world, joint=[("b3lyp", ["b3lyp"], "a", 0, 30)]), COSTS)


def test_the_front_holds_what_no_other_beats_in_both():
    places = [place(1, 9), place(2, 9), place(2, 5), place(3, 6), place(4, 1), place(4, 2)]
    assert [(one.cost, one.error.value) for one in front(places)] == [(1, 9), (2, 5), (4, 1)]


def test_errors_stand_over_costs_with_the_front(world, draw, legend):
    world.grid({"dft": 1.35, "xtb": 0.8}, seeds=(0, 1), noise=0.02)
    made = draw(kind="pareto", y=Y, costs=COSTS, lines=["label_method"], unit="core-hours")
    assert legend(made) == ["dft", "xtb", "Pareto front", "range of 2 replicates"]
    line = next(line for line in made.figure.axes[0].get_lines() if line.get_label() == "Pareto front")
    errors = list(line.get_ydata())
    assert errors == sorted(errors, reverse=True)
    assert min(line.get_xdata()) == pytest.approx(30 * 100), "direct training is the cheapest"
    assert made.figure.axes[0].get_xlabel() == "cost of labels (core-hours)"
    assert "cc 100, dft 10, xtb 0.1" in made.caption


def test_what_costs_nothing_is_left_out_and_said(world, draw):
    world.grid({"dft": 1.35}, finetune_sizes=(30,))
    made = draw(kind="pareto", y=Y, costs={"cc": 0, "dft": 6})
    assert "Left out: 1 setting that cost nothing." in made.caption
    assert isinstance(draw(kind="pareto", y=Y, costs={"cc": 0, "dft": 0}), Absent)
