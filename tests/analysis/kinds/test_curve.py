from __future__ import annotations

import pytest

from mfsweep.analysis.drawn import Absent
from mfsweep.analysis.style import INK

Y = "result.test.cc.energy_mae"
AUX = "result.test.dft.energy_mae"


def line_of(picture, label):
    return next(line for line in picture.figure.axes[0].get_lines() if line.get_label() == label)


def lines_with(picture, count):
    return [line for line in picture.figure.axes[0].get_lines() if len(line.get_xdata()) == count]


def test_each_metric_and_value_is_a_line_over_the_axis(world, draw, legend):
    world.mixtures()
    made = draw(kind="curve", x="alpha", y=[Y, AUX], lines=["aux"], reference={"strategy": "direct"})
    lines = ["dft: cc test energy MAE", "xtb: cc test energy MAE", "dft: dft test energy MAE"]
    assert legend(made) == [*lines, "direct", "range of 3 replicates"]
    places = [list(line.get_xdata()) for line in lines_with(made, 5)]
    assert places == [pytest.approx([0.01, 0.1, 0.5, 0.9, 0.99], abs=0.0025)] * 3
    assert min(map(min, places)) > 0, "beside one another, and none at another alpha"
    assert made.figure.legends[0].get_title().get_text() == "aux"
    axes = made.figure.axes[0]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("alpha", "energy MAE (meV/atom)")
    assert (axes.get_xscale(), axes.get_yscale()) == ("linear", "log")


def test_the_reference_is_one_black_dashed_line_and_not_a_point_of_the_curve(world, draw):
    world.mixtures(noise=0.0)
    made = draw(kind="curve", x="alpha", y=[Y], lines=["aux"], reference={"strategy": "direct"}, where={"aux": "dft"})
    line = line_of(made, "direct")
    assert line.get_ydata()[0] == pytest.approx(30.0)
    assert (line.get_color(), line.get_linestyle()) == (INK, "--")
    assert "Dashed: direct." in made.caption


def test_a_line_has_its_own_reference_where_they_differ(world, draw, legend):
    world.mixtures(noise=0.0)
    made = draw(kind="curve", x="alpha", y=[Y], lines=["aux"], reference={"alpha": 0.5})
    assert legend(made)[2:4] == ["dft, alpha 0.5", "xtb, alpha 0.5"]
    assert line_of(made, "dft, alpha 0.5").get_ydata()[0] == pytest.approx(12)
    assert 0.5 not in lines_with(made, 4)[0].get_xdata()


def test_bars_span_the_replicates_and_capped_ones_are_hollow(world, draw, legend):
    world.mixtures(capped=(0.99,))
    made = draw(kind="curve", x="alpha", y=[Y], where={"aux": "dft"}, log=True)
    faces = [line.get_markerfacecolor() for line in lines_with(made, 1)]
    assert [isinstance(face, str) and face == "white" for face in faces] == [False] * 4 + [True]
    assert legend(made)[-2:] == ["not converged", "range of 3 replicates"]
    assert "least and greatest replicate" in made.caption
    assert all(low < high for low, high in (line.get_ydata() for line in lines_with(made, 2)))
    assert made.figure.axes[0].get_xscale() == "log"


def test_nothing_measured_is_no_figure(world, draw):
    world.cell({"alpha": 0.5}, {"joint": "0" * 20}, {}, result="joint")
    made = draw(kind="curve", x="alpha", y=[Y])
    assert isinstance(made, Absent)
    assert made.reason == f"none of 1 cells has {Y} yet"
