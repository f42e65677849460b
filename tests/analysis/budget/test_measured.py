from __future__ import annotations

import pytest

from mfsweep.analysis.budget.measured import DIRECT, measured
from mfsweep.analysis.measured_cells import Way
from mfsweep.analysis.records import Records
from mfsweep.errors import FitError

Y = "result.test.cc.energy_mae"


def read(world, path=Y):
    return measured(Records(world.store, world.cells), world.cells, path)


def test_cells_that_differ_in_sizes_and_seeds_alone_are_of_one_way(world):
    world.grid({"dft": 1.2, "xtb": 0.8}, seeds=(0, 1), noise=0.05)
    found = read(world)
    ways = {way: len(members) for way, members in found.cells.members.items()}
    assert ways == {Way(DIRECT, ""): 4, Way("pre-training", "dft"): 16, Way("pre-training", "xtb"): 16}
    assert (found.target, found.device, found.replicates) == ("cc", "cpu", "2 seeds of one partition")
    cells, place = found.cells, found.cells.members[Way("pre-training", "dft")][0]
    assert (cells.n_pre[place], cells.n_ft[place]) == (25, 30)
    assert found.hours[place] == pytest.approx(2 * 12.5 / 3600), "a cell has two stages here"
    assert len(set(cells.pretraining)) == 4 + 2 * 2 * 4, "fine-tunings of one pre-training share its error"


def test_what_has_not_converged_is_left_out_and_said(world):
    world.grid({"dft": 1.2}, capped=(25,))
    found = read(world)
    assert len(found.cells.error) == 2 + 2 * 3
    assert found.left_out == ["2 cells of 10 left out: not converged (docs/fairness.md#rule-10)."]


def test_if_nothing_has_converged_nothing_is_said(world):
    world.grid({"dft": 1.2}, capped=(25, 100, 300, 1000), direct=False)
    with pytest.raises(FitError, match=r"none of 8 cells has converged \(docs/fairness.md#rule-10\)"):
        read(world)


def test_recipes_that_differ_are_ways_that_are_named_by_their_axes(world):
    for rate in ("high", "low"):
        for size in (30, 60):
            key = world.stage([("cc", "a", size)], recipe={"rate": rate}, seed=0)
            world.evaluate(key, "cc", {"energy_mae": 10.0})
            own = {"finetune": [("cc", ["cc"], "a", 0, size)]}
            values = {"learning_rate": rate, "size": size}
            world.cell(values, {"finetune": key}, {"finetune": {"cc": size}}, sets=own)
    assert set(read(world).cells.members) == {
        Way("direct training (learning rate high)", ""),
        Way("direct training (learning rate low)", ""),
    }


def test_differences_and_mixtures_are_strategies_of_their_own(world):
    world.delta(60, 12.0)
    world.delta(120, 10.0)
    world.mixtures(alphas=(0.5,), methods=("dft",), seeds=(0,))
    found = read(world)
    delta, joint = Way("delta-learning", "xtb"), Way("joint training", "dft")
    assert set(found.cells.members) == {delta, joint, Way(DIRECT, "")}
    members = found.cells.members[delta]
    assert found.cells.n_pre[members].tolist() == found.cells.n_ft[members].tolist() == [60, 120]


def test_methods_in_varying_proportion_are_left_out(world):
    world.grid({"dft": 1.2})
    for dft in (0, 100, 300):
        sets = [("cc", "a", 60), ("dft", "b", dft + 1), ("xtb", "b", 301 - dft)]
        key = world.stage(sets)
        world.evaluate(key, "cc", {"energy_mae": 10.0})
        own = {"joint": [(method, [method], subset, 0, size) for method, subset, size in sets]}
        world.cell({"x": dft}, {"joint": key}, {"joint": {}}, result="joint", sets=own)
    found = read(world)
    assert Way("joint training", "dft and xtb") not in found.cells.members
    assert found.left_out == [
        "joint training on dft and xtb: left out, its auxiliary methods stand in several proportions."
    ]


def without_target(world, size, error):
    """Add a cell that is trained on dft alone and tested on cc, as a head for dft predicts it."""
    key = world.stage([("dft", "b", size)])
    world.evaluate(key, "cc", {"energy_mae": error}, head="dft", own=True)
    own = {"pretrain": [("dft", ["dft"], "b", 0, size)]}
    world.cell({"pretrain_size": size}, {"pretrain": key}, {"pretrain": {"dft": size}}, result="pretrain", sets=own)


def test_cells_without_a_label_of_the_target_are_left_out_and_said(world):
    for size, error in ((50, 40.0), (200, 0.0)):
        without_target(world, size, error)
    with pytest.raises(FitError, match=f"no cell trains on cc labels, which {Y} is an error of"):
        read(world)
    world.grid({"dft": 1.2}, capped=(25,))
    found = read(world)
    assert set(found.cells.members) == {Way(DIRECT, ""), Way("pre-training", "dft")}
    assert found.left_out == [
        "2 cells of 12 left out: not converged (docs/fairness.md#rule-10).",
        "2 cells of 12 left out: they train on no cc label.",
    ]


def test_what_is_not_measured_is_said(world):
    with pytest.raises(FitError, match="none of 0 cells is trained yet: `mfsweep run`"):
        read(world)
    world.grid({"dft": 1.2})
    with pytest.raises(FitError, match=r"result.test.cc.force_mae: the trained stages have no such metric"):
        read(world, "result.test.cc.force_mae")
    key = world.finetune(500, {"seed": 0}, None, 1.0)
    world.evaluate(key, "cc", {"energy_mae": 0.0})
    own = {"finetune": [("cc", ["cc"], "a", 0, 500)]}
    world.cell({"finetune_size": 500}, {"finetune": key}, {"finetune": {"cc": 500}}, sets=own)
    with pytest.raises(FitError, match=f"stage {key} has 0, which has no logarithm"):
        read(world)
