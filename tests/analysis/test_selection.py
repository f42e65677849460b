from __future__ import annotations

import math

import pytest

from mfsweep.analysis.records import Records
from mfsweep.analysis.selection import averaged, grouped, label, measure, select, spread
from mfsweep.errors import FitError

Y = "result.test.cc.energy_mae"


def add(world, values, error, *, size=30, converged=True, parent=None):
    seed = values.get("seed", 0)
    key = world.stage([("cc", "a", size)], seed=seed, converged=converged, parent=parent, recipe={"name": str(values)})
    world.evaluate(key, "cc", {"energy_mae": error})
    return world.cell(values, {"finetune": key}, {"finetune": {"cc": size}})


def measured(world):
    return measure(Records(world.store, world.cells), world.cells, Y)


def test_cells_are_selected_by_a_value_several_values_or_an_absent_axis(world):
    for values in ({"n": 1, "kind": "x"}, {"n": 2, "kind": "x"}, {"n": 3}):
        add(world, values, 1.0)
    assert [cell.values["n"] for cell in select(world.cells, {"n": 2})] == [2]
    assert [cell.values["n"] for cell in select(world.cells, {"n": (1, 3)})] == [1, 3]
    assert [cell.values["n"] for cell in select(world.cells, {"kind": None})] == [3]
    assert len(select(world.cells, {})) == 3


def test_replicates_give_a_geometric_mean_and_its_error(world):
    for seed, error in enumerate((1.0, 4.0)):
        add(world, {"n": 1, "seed": seed}, error)
    one = spread(measured(world))
    assert one.value == pytest.approx(2.0)
    assert (one.low, one.high, one.replicates) == (pytest.approx(1.0), pytest.approx(4.0), 2)
    assert one.error == pytest.approx(2.0 * math.log(4) / 2)
    assert math.isnan(spread(measured(world)[:1]).error)


def test_a_stage_that_cells_share_counts_once_and_replicates_weigh_the_same(world):
    for seed, errors in enumerate([(1.0, 9.0), (27.0, 27.0)]):
        first = add(world, {"n": 1, "seed": seed}, errors[0])
        world.cell({"n": 1, "seed": seed, "other": 5}, first.stages, first.sizes)
        add(world, {"n": 1, "seed": seed, "other": 6}, errors[1])
    assert spread(measured(world)).value == pytest.approx(9.0)
    assert (spread(measured(world)).replicates, spread(measured(world)).left_out) == (2, 0)


def test_every_replicate_averages_over_the_same_settings(world):
    for seed in range(3):
        add(world, {"n": 1, "seed": seed}, 1.0)
    add(world, {"n": 2, "seed": 0}, 9.0)
    one = spread(measured(world))
    assert (one.value, one.low, one.high, one.replicates) == (pytest.approx(1), pytest.approx(1), pytest.approx(1), 3)
    assert one.left_out == 1


def test_a_stage_below_a_capped_one_is_capped(world):
    parent = world.stage([("dft", "b", 100)], converged=False)
    add(world, {"n": 1}, 1.0, parent=parent)
    add(world, {"n": 2}, 1.0)
    assert [one.converged for one in measured(world)] == [False, True]
    assert spread(measured(world)).capped


def test_groups_stand_in_the_order_of_numbers_or_of_the_spec(world):
    for n, kind in ((100, "z"), (20, "z"), (100, "a"), (20, "a")):
        add(world, {"n": n, "kind": kind}, 1.0)
    assert list(grouped(measured(world), ["kind", "n"])) == [("z", 20), ("z", 100), ("a", 20), ("a", 100)]
    assert list(grouped(measured(world), [])) == [()]


def test_a_caption_names_what_is_averaged(world):
    for n in (1, 2):
        for model_size in (8, 16):
            add(world, {"n": n, "model_size": model_size, "same": 1}, 1.0)
    assert averaged(measured(world), ["n"]) == "model size and seeds"


def test_values_read_as_words():
    assert label(("multihead_finetune", 1000, 0.5, None, True)) == "multihead finetune, 1,000, 0.5, -, yes"


def test_a_misspelt_metric_is_refused(world):
    add(world, {"n": 1}, 1.0)
    with pytest.raises(FitError, match="Did you mean 'energy_mae'"):
        measure(Records(world.store, world.cells), world.cells, "result.test.cc.energy_mea")
