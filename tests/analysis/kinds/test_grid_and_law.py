from __future__ import annotations

from mfsweep.analysis.drawn import Absent
from mfsweep.analysis.transfer import FitRequest

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"
FIT = FitRequest("transfer", X, Y, ("label_method",))


def test_a_grid_shows_only_the_cells_that_are_meant(world, draw, legend):
    world.grid({"dft": 1.35, "xtb": 0.8}, pretrain_sizes=(25, 100))
    made = draw(kind="grid", y=Y, where={"pretrain_size": [0, 100]}, title="As in fig. 3?")
    assert legend(made) == ["direct", "100 dft", "100 xtb", "offsets only: 110"]
    assert made.caption.startswith("As in fig. 3? Error against the number of cc labels, geometric mean over seeds;")
    assert "Direct training: circles." in made.caption
    assert isinstance(draw(kind="grid", y="pretrain.validation.energy_mae"), Absent)


def test_a_law_is_fitted_to_the_cells_that_are_meant(world, draw, legend):
    world.grid({"dft": 1.35, "xtb": 0.8}, finetune_sizes=(30,))
    assert legend(draw(laws=[FIT], kind="law", fit="transfer"))[:2] == ["dft: m = 1.35", "xtb: m = 0.80"]
    made = draw(laws=[FIT], kind="law", fit="transfer", where={"label_method": "xtb"})
    assert legend(made)[0] == "points: m = 0.80"
    assert "pooled gradient 0.80" in made.figure.axes[0].get_title(loc="left")


def test_the_band_of_a_line_is_drawn(world, draw):
    world.grid({"dft": 1.35, "xtb": 0.8}, noise=0.1, shared=0.05)
    made = draw(laws=[FIT], kind="law", fit="transfer")
    assert len(made.figure.axes[0].collections) == 2
    assert "shaded its 95 % band" in made.caption
