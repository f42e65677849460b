from __future__ import annotations

import itertools

import pytest
from matplotlib.colors import to_rgb

from mfsweep.analysis.colours import on_dark, to_oklch
from mfsweep.analysis.palette import HUES, INK, Palette, palette

VALUES = {"method": ("dft", "xtb"), "n": (25, 100, 300, 1000), "k": (30, 120)}
STUDY = Palette(frozenset({"cc", "dft", "xtb"}), VALUES)


def apart(one, other):
    a, b = (to_oklch(colour) for colour in (one, other))
    return abs(a.lightness - b.lightness) + abs(a.chroma - b.chroma) + abs((a.hue - b.hue + 180) % 360 - 180) / 360


def test_a_method_keeps_its_hue_whatever_else_is_drawn(world):
    world.grid({"dft": 1.35, "xtb": 0.8})
    of_study, alone = palette(world.cells, {"cc", "dft", "xtb"}), Palette(frozenset({"dft"}))
    assert of_study.look({"label_method": "dft"}).colour == alone.look({"": "dft"}).colour == HUES["dft"]


@pytest.mark.parametrize("fixed", [{"method": "dft"}, {"method": "xtb"}, {}])
@pytest.mark.parametrize("axis", ["n", "k"])
def test_the_values_of_an_axis_are_told_apart_by_colour_and_marker_on_light_and_dark(fixed, axis):
    looks = [STUDY.look({**fixed, axis: value}) for value in VALUES[axis]]
    assert len({look.marker for look in looks}) == len(looks)
    for one, other in itertools.combinations([look.colour for look in looks], 2):
        assert apart(one, other) > 0.08
        assert apart(on_dark(one), on_dark(other)) > 0.05


def test_a_series_without_a_size_is_black_as_direct_training_is():
    assert {
        STUDY.look({"n": nothing, **fixed}).colour for nothing in (0, None) for fixed in ({}, {"method": "dft"})
    } == {INK}


def test_two_axes_do_not_share_their_colours():
    colours = {STUDY.look({axis: value}).colour for axis in ("n", "k") for value in VALUES[axis]}
    assert len(colours) == len(VALUES["n"]) + len(VALUES["k"])


def test_a_second_axis_is_told_by_dashes_and_the_first_keeps_its_colour():
    looks = [STUDY.look({"n": 300, "k": value}) for value in VALUES["k"]]
    assert {look.colour for look in looks} == {STUDY.look({"n": 300}).colour}
    assert len({look.dashes for look in looks}) == 2


@pytest.mark.parametrize(
    "colour", ["#111111", "#767676", *HUES.values(), STUDY.look({"method": "dft", "n": 1000}).colour]
)
def test_a_colour_of_a_dark_page_can_be_seen_on_it(colour):
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in to_rgb(on_dark(colour))
    )
    assert (0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05) / (0.009 + 0.05) > 3, "WCAG: contrast of graphics"
