from __future__ import annotations

import pytest

from mfsweep.analysis.curves import curves
from mfsweep.analysis.gain import outcomes

Y = "result.test.cc.energy_mae"


def test_direct_training_comes_first_then_methods_with_growing_sizes(world):
    world.grid({"xtb": 1.0, "dft": 1.0}, pretrain_sizes=(1000, 25))
    made = curves(outcomes(world.store, world.cells, Y))
    assert [curve.label for curve in made] == ["direct", "25 dft", "1,000 dft", "25 xtb", "1,000 xtb"]
    assert [knot.size for knot in made[0].knots] == [30, 120]


def test_replicates_are_one_knot_with_its_spread(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(25,), finetune_sizes=(30,), seeds=(0, 1, 2), noise=0.2)
    direct = curves(outcomes(world.store, world.cells, Y))[0]
    (knot,) = direct.knots
    assert knot.replicates == 3
    assert knot.low < knot.error < knot.high


def test_direct_cells_that_share_a_stage_count_once(world):
    key = world.finetune(30, {}, None, 60.0)
    for method in ("dft", "xtb"):
        world.cell({"label_method": method}, {"finetune": key}, {"finetune": {"cc": 30}})
    (direct,) = curves(outcomes(world.store, world.cells, Y))
    assert direct.knots[0].replicates == 1


def test_a_variant_of_equal_sizes_has_a_curve_of_its_own(world):
    parent = world.stage([("dft", "b", 100)])
    for variant, error in (("full", 20.0), ("frozen", 30.0)):
        key = world.stage([("cc", "a", 30)], parent=parent, recipe={"trainable": variant})
        world.evaluate(key, "cc", {"energy_mae": error})
        sizes = {"pretrain": {"dft": 100}, "finetune": {"cc": 30}}
        world.cell({"variant": variant}, {"pretrain": parent, "finetune": key}, sizes)
    made = curves(outcomes(world.store, world.cells, Y))
    assert {curve.label: curve.knots[0].error for curve in made} == {
        "100 dft, variant=full": pytest.approx(20),
        "100 dft, variant=frozen": pytest.approx(30),
    }


def test_sizes_of_a_stage_that_vanished_are_not_counted(world):
    key = world.finetune(30, {}, None, 60.0)
    world.cell({}, {"finetune": key}, {"pretrain": {"dft": 0}, "finetune": {"cc": 30}})
    (direct,) = curves(outcomes(world.store, world.cells, Y))
    assert direct.direct
    assert direct.auxiliary == {}


def test_delta_learning_is_a_curve_over_the_labels_of_its_target(world):
    for size, error in ((30, 20.0), (120, 10.0)):
        world.cell({"n": size}, {"finetune": world.finetune(size, {}, None, 2 * error)}, {"finetune": {"cc": size}})
        world.delta(size, error)
    direct, delta = curves(outcomes(world.store, world.cells, Y))
    assert (direct.label, delta.label) == ("direct", "cc-xtb")
    assert (delta.direct, delta.auxiliary) == (False, {})
    assert {knot.size: knot.error for knot in delta.knots} == pytest.approx({30: 20.0, 120: 10.0})
