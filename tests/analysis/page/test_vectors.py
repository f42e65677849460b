from __future__ import annotations

import re

from matplotlib.figure import Figure

from mfsweep.analysis.figures import svg
from mfsweep.analysis.page.vectors import colours, inline


def picture():
    figure = Figure()
    axes = figure.add_subplot()
    axes.plot([0, 1], [0, 1], "o", color="#0072b2", markerfacecolor="white", label="x")
    axes.bar([0], [1], facecolor="#d55e00", hatch="//")
    axes.legend()
    return svg(figure)


def test_every_colour_of_a_figure_is_a_variable_that_the_page_sets():
    text = inline(picture(), "one", "a & b")
    assert 'aria-label="a &amp; b"' in text
    assert not re.search(r"#[0-9a-f]{6}\b", text), "a colour that would not follow the page"
    known = {name for name, _, _ in colours([picture()])}
    assert set(re.findall(r"var\(--([\w-]+)\)", text)) == known
    assert {"c-0072b2", "c-d55e00", "c-ffffff"} <= known
    assert {name: dark for name, _, dark in colours([picture()])}["c-ffffff"] == "var(--paper)"


def test_two_figures_of_a_page_share_no_id():
    ids = [set(re.findall(r'\bid="([^"]+)"', inline(picture(), name, ""))) for name in ("one", "two")]
    assert ids[0]
    assert not ids[0] & ids[1]
    used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', inline(picture(), "one", "")))
    assert used
    assert used <= ids[0]
