from __future__ import annotations

import pytest
from matplotlib.colors import to_hex, to_rgb

Y = "result.test.cc.energy_mae"


def heights(picture):
    return [bar.get_height() for bar in picture.figure.axes[0].patches if bar.get_height()]


def test_bars_stand_in_their_groups(world, draw, legend):
    world.mixtures(noise=0.0)
    made = draw(kind="bars", y=Y, bars=["strategy"], groups=["aux"], where={"alpha": [0.5, None]})
    assert legend(made) == ["direct", "multihead joint", "range of 3 replicates"]
    axes = made.figure.axes[0]
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["-", "dft", "xtb"]
    assert heights(made) == pytest.approx([30, 12, 16])
    centres = [bar.get_x() + bar.get_width() / 2 for bar in axes.patches if bar.get_height()]
    assert centres == pytest.approx([0, 1, 2]), "a group without a kind of bar has no gap for it"
    assert axes.get_ylabel() == "cc test energy MAE (meV/atom)"
    assert axes.get_ylim()[0] == 0


def test_error_bars_span_the_replicates(world, draw):
    world.mixtures(noise=0.1)
    made = draw(kind="bars", y=Y, bars=["aux"], where={"alpha": 0.5})
    (low, high), *_ = [line.get_ydata() for line in made.figure.axes[0].get_lines()]
    assert low < heights(made)[0] < high
    assert made.caption == "Geometric mean over seeds; error bars: least and greatest replicate."


def test_a_capped_bar_is_white_and_the_legend_keeps_its_colour(world, draw):
    world.mixtures(capped=(0.5,))
    made = draw(kind="bars", y=Y, bars=["aux"], where={"alpha": 0.5})
    drawn = [bar for bar in made.figure.axes[0].patches if bar.get_height()]
    assert {to_hex(bar.get_facecolor()) for bar in drawn} == {"#ffffff"}
    blue = to_rgb(made.figure.legends[0].get_patches()[0].get_facecolor()[:3])
    assert blue[2] > blue[0]
    assert "White: a training was stopped by max_steps." in made.caption


def test_many_bars_take_two_columns(world, draw):
    world.grid({"dft": 1.35, "xtb": 0.8}, finetune_sizes=(30, 120, 500))
    assert draw(kind="bars", y=Y, bars=["label_method", "pretrain_size"], groups=["finetune_size"]).wide
    assert not draw(kind="bars", y=Y, bars=["pretrain_size"], groups=["label_method"]).wide


def test_a_caption_says_what_not_every_replicate_has(world, draw):
    world.mixtures(noise=0.0, methods=("dft",))
    world.cells.pop()
    made = draw(kind="bars", y=Y, bars=["aux"], where={"alpha": [0.5, 0.99]})
    assert "Left out: 2 trainings that not every replicate has." in made.caption
