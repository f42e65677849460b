from __future__ import annotations

import numpy as np

from mfsweep.analysis.data_figure import Drawing, Stairs, draw


def stairs(scale):
    return Stairs(np.linspace(-scale, scale, 11), np.full(10, 0.5 / scale))


def test_each_panel_shows_what_it_is_given():
    figure = draw(
        Drawing("x.h5", {3: 5, 5: 2}, {"cc": stairs(1.0), "dft": stairs(2.0)}, {("cc", "dft"): (stairs(0.5), 0.25)})
    )
    sizes, energies, differences = figure.axes
    assert sizes.patches[0].get_data().values.tolist() == [5, 0, 2]
    assert [text.get_text() for text in energies.get_legend().get_texts()] == ["cc", "dft"]
    assert [text.get_text() for text in differences.get_legend().get_texts()] == ["cc − dft: mean |·| 0.25"]


def test_panels_without_anything_are_left_out():
    assert len(draw(Drawing("x.h5", {3: 5}, {}, {})).axes) == 1
