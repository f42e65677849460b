from __future__ import annotations

import pytest

from mfsweep.analysis.curves import curves
from mfsweep.analysis.figures import Residual, error_figure, law_figure, save, svg
from mfsweep.analysis.gain import outcomes
from mfsweep.analysis.palette import INK
from mfsweep.analysis.table import points
from mfsweep.analysis.transfer import fit
from mfsweep.quantities import MetricPath

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"


def law_of(world, x=X):
    return fit("transfer", points(world.store, world.cells, x, Y, ["label_method", "finetune_size"]))


def legend_of(figure):
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_the_law_is_drawn_with_y_equals_x_and_the_residual_of_its_methods(world):
    residuals = [Residual("dft", "cc", 18.2), Residual("xtb", "cc", 47.3)]
    figure = law_figure(law_of(world.grid({"dft": 1.35}, noise=0.05)), residuals)
    axes = figure.axes[0]
    assert legend_of(figure)[-3:] == ["mean |cc − dft|: 18.2", "pooled: m = 1.40", "y = x"]
    low, high = axes.get_ylim()
    assert low < 18.2 < high
    diagonal = next(line for line in axes.get_lines() if line.get_label() == "y = x")
    assert list(diagonal.get_xdata()) == list(diagonal.get_ydata())
    left, right = axes.get_xlim()
    assert max(left, low) < min(right, high)
    assert axes.get_xlabel() == "pretrain: dft validation energy MAE (meV/atom)"


def test_y_equals_x_is_not_drawn_across_units(world):
    figure = law_figure(law_of(world.grid({"dft": 1.35}, noise=0.05), x="pretrain.validation.force_mae"))
    assert "y = x" not in legend_of(figure)
    assert "meV/Å" in figure.axes[0].get_xlabel()


def test_capped_points_are_hollow_and_the_legend_says_so(world):
    world.grid({"dft": 1.35}, finetune_sizes=(30,), noise=0.05, capped=(25, 100))
    figure = law_figure(law_of(world))
    faces = [line.get_markerfacecolor() for line in figure.axes[0].get_lines() if len(line.get_xdata()) == 1]
    assert faces.count("white") == 2
    assert legend_of(figure)[-1] == "not converged"


def test_direct_training_is_black_and_the_null_model_is_dotted(world):
    world.grid({"dft": 1.35})
    figure = error_figure(curves(outcomes(world.store, world.cells, Y)), MetricPath.parse(Y), "cc", 110.0)
    lines = {line.get_label(): line for line in figure.axes[0].get_lines()}
    assert lines["direct"].get_color() == INK
    assert lines["offsets only: 110"].get_linestyle() == ":"
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["30", "120"]


@pytest.mark.parametrize("grid", [{"pretrain_sizes": (25,)}, {"finetune_sizes": (30,)}, {"direct": False}])
def test_a_poor_grid_still_gives_both_figures(world, grid, tmp_path):
    world.grid({"dft": 1.35}, **grid)
    figures = {
        "law": law_figure(law_of(world)),
        "error": error_figure(curves(outcomes(world.store, world.cells, Y)), MetricPath.parse(Y), "cc"),
    }
    for stem, figure in figures.items():
        for path in save(figure, tmp_path, stem):
            assert path.stat().st_size > 1000


def test_a_level_far_from_the_points_is_marked_at_the_edge_and_leaves_them_the_panel(world):
    world.grid({"dft": 1.35}, noise=0.05)
    figure = error_figure(curves(outcomes(world.store, world.cells, Y)), MetricPath.parse(Y), "cc", 1e5)
    axes = figure.axes[0]
    assert axes.get_ylim()[1] < 1500
    assert "offsets only: 1e+05 ↑" in legend_of(figure)


def test_error_bars_stand_side_by_side_and_the_legend_says_what_they_are(world):
    world.grid({"dft": 1.35}, seeds=(0, 1, 2), noise=0.1)
    figure = error_figure(curves(outcomes(world.store, world.cells, Y)), MetricPath.parse(Y), "cc", 110.0)
    bars = [line.get_xdata()[0] for line in figure.axes[0].get_lines() if line.get_marker() == "_"]
    assert len(set(bars)) == len(bars) == 10
    assert legend_of(figure)[-1] == "range of 3 replicates"


def test_the_band_goes_through_the_whole_panel(world):
    figure = law_figure(law_of(world.grid({"dft": 1.35, "xtb": 0.8}, noise=0.1, shared=0.1)))
    axes = figure.axes[0]
    for band in axes.collections:
        xs = band.get_paths()[0].vertices[:, 0]
        assert (xs.min(), xs.max()) == pytest.approx(axes.get_xlim())
    assert len(axes.xaxis.get_minorticklocs()) > 3


def test_an_empty_law_is_still_a_picture(world):
    world.cell({"label_method": "dft", "finetune_size": 30}, {"pretrain": "0" * 20, "finetune": "1" * 20}, {})
    assert "<svg" in svg(law_figure(law_of(world)))


def test_the_same_law_gives_the_same_bytes(world):
    law = law_of(world.grid({"dft": 1.35}))
    assert svg(law_figure(law)) == svg(law_figure(law))
