from __future__ import annotations

from mfsweep.analysis.transfer import FitRequest

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"


def test_a_table_has_a_row_a_setting_and_a_column_a_metric(world, draw):
    world.mixtures(noise=0.0, capped=(0.99,))
    made = draw(
        kind="table", rows=["strategy", "aux", "alpha"], columns=[Y, "result.test.dft.energy_mae"],
        where={"alpha": [0.5, 0.99, None], "aux": ["dft", None]}, title="Table 1",
    )  # fmt: skip
    assert made.head == ["strategy", "aux", "alpha", "cc test energy MAE (meV/atom)", "dft test energy MAE (meV/atom)"]
    assert made.rows[0] == ("direct", "-", "-", "30 ± 0", "")
    assert made.rows[1][:4] == ("multihead joint", "dft", "0.5", "12 ± 0")
    assert made.rows[2][3].endswith("*")
    assert made.caption == (
        "Table 1. Geometric mean over seeds, ± standard error. *: a training was stopped by max_steps."
    )
    (path,) = made.save(world.store.root)
    text = path.read_text().splitlines()
    assert len(text) == 4
    assert text[1] == "direct,-,-,30 ± 0,"


def test_one_replicate_has_no_standard_error(world, draw):
    world.mixtures(noise=0.0, seeds=(0,))
    assert draw(kind="table", rows=["strategy"], columns=[Y], where={"strategy": "direct"}).rows == [("direct", "30")]


def test_gradients_are_rows_of_groups(world, draw):
    world.grid({"dft": 1.35, "xtb": 0.8}, seeds=(0, 1))
    made = draw(laws=[FitRequest("transfer", X, Y, ("label_method",))], kind="gradients", fits=["transfer"])
    assert [row[:3] for row in made.rows][:2] == [("transfer", "dft", "1.35"), ("transfer", "xtb", "0.80")]
    assert made.rows[-1][1] == "pooled"
