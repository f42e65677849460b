from __future__ import annotations

import itertools
import json

import pytest

from mfsweep.analysis.gain import outcomes
from mfsweep.analysis.records import Records
from mfsweep.analysis.selection import measure
from mfsweep.analysis.table import lookup, points

Y = "result.test.cc.energy_mae"


@pytest.mark.parametrize("ended", [*itertools.product(["converged", "max_steps", "improving"], repeat=3)])
def test_a_number_has_converged_if_all_that_it_starts_from_has(world, ended):
    """Over every chain of three stages: pre-training, a stage between, fine-tuning."""
    keys, parent = [], None
    for method, reason in zip(("dft", "xtb", "cc"), ended, strict=True):
        parent = world.stage(
            [(method, "a", 30)],
            parent=parent,
            metrics={f"validation.{method}.energy_mae": 9.0},
            converged=reason != "max_steps",
            reasons={method: reason},
        )
        keys.append(parent)
    world.evaluate(keys[-1], "cc", {"energy_mae": 5.0})
    cell = world.cell({}, dict(zip(("pretrain", "middle", "finetune"), keys, strict=True)), {"finetune": {"cc": 30}})
    records = Records(world.store, world.cells)
    expected = [all(reason == "converged" for reason in ended[: place + 1]) for place in range(3)]
    assert [records.converged(key) for key in keys] == expected
    for x, of_x in (("pretrain.validation.dft.energy_mae", 0), ("middle.validation.xtb.energy_mae", 1)):
        (point,) = points(records, world.cells, x, Y)
        assert (point.x_converged, point.y_converged) == (expected[of_x], expected[2])
    assert [one.converged for one in measure(records, [cell], Y)] == [expected[2]]
    assert [one.converged for one in outcomes(records, [cell], Y)] == [expected[2]]


def test_a_head_is_judged_by_itself_and_a_child_by_all_heads_of_its_parent(world):
    reasons = {"cc": "converged", "dft": "improving"}
    metrics = {"validation.loss": 1.0, "validation.cc.energy_mae": 5.0, "validation.dft.energy_mae": 3.0}
    joint = world.stage([("cc", "a", 30), ("dft", "b", 90)], metrics=metrics, reasons=reasons)
    child = world.stage([("cc", "a", 30)], parent=joint)
    records = Records(world.store, world.cells)
    names = ("validation.cc", "validation.dft", "validation.dft@best", "validation", None)
    assert [records.converged(joint, name) for name in names] == [True, False, False, False, False]
    assert not records.converged(child)


def test_one_head_of_two_methods_is_behind_both(world):
    sets = [("cc", "a", 30), ("dft", "a", 30)]
    for reason, converged in (("improving", False), ("converged", True)):
        key = world.stage(sets, heads=["one", "one"], reasons={"one": reason}, recipe={"name": reason})
        world.evaluate(key, "cc", {"energy_mae": 5.0}, head="one", own=True)
        world.cell({"reason": reason}, {"merged": key}, {"merged": {"cc": 30}}, result="merged")
        assert Records(world.store, world.cells).converged(key, "test.cc") == converged


def test_a_score_of_another_subset_is_not_taken_for_the_stages_own_validation(world):
    """Nor any other of one quantity: each has a name, and each name one number."""
    key = world.stage(
        [("cc", "a", 30)], metrics={"validation.cc.energy_mae": 96.0}, best_metrics={"validation.cc.energy_mae": 96.0}
    )
    scores = list(
        itertools.product(
            [("validation", "a"), ("validation", "b"), ("train", "a"), ("train", "b"), ("test", "t"), ("test", "c")],
            [None, "best"],
        )
    )
    for number, ((part, subset), checkpoint) in enumerate(scores):
        world.evaluate(key, "cc", {"energy_mae": 100.0 + number}, part=part, subset=subset, checkpoint=checkpoint)
    cell = world.cell({}, {"finetune": key}, {"finetune": {"cc": 30}})
    stage = Records(world.store, world.cells).stage(key)
    assert sorted(stage.metrics.values()) == [96.0, 96.0, *(100.0 + number for number in range(len(scores)))]
    for number, ((part, subset), checkpoint) in enumerate(scores):
        path = f"result.{part}@{subset}.cc{f'@{checkpoint}' if checkpoint else ''}.energy_mae"
        assert lookup(world.store, cell, path) == 100.0 + number
    assert lookup(world.store, cell, "result.validation.cc.energy_mae") == 96.0


def test_a_metric_knows_the_weights_behind_it(world):
    metrics = {"validation.cc.energy_mae": 5.0, "validation.dft.energy_mae": 7.0}
    best = {"validation.cc.energy_mae": 4.0, "validation.dft.energy_mae": 3.0}
    steps = {"cc": 40, "dft": 100}
    key = world.stage([("cc", "a", 30), ("dft", "b", 90)], metrics=metrics, best_metrics=best, best_steps=steps)
    world.evaluate(key, "cc", {"energy_mae": 6.0}, step=80)
    world.evaluate(key, "cc", {"energy_mae": 6.5}, checkpoint="best", step=40)
    world.cell({}, {"joint": key}, {"joint": {"cc": 30, "dft": 90}}, result="joint")
    stage = Records(world.store, world.cells).stage(key)
    assert {name: tuple(weights) for name, weights in stage.weights.items()} == {
        "validation": (None, 80),
        "validation.cc": ("cc", 80),
        "validation.dft": ("dft", 80),
        "validation.cc@best": ("cc", 40),
        "validation.dft@best": ("dft", 100),
        "test.cc": ("cc", 80),
        "test.cc@best": ("cc", 40),
    }
    x = "joint.validation.dft{}.energy_mae"
    (same,) = points(world.store, world.cells, x.format(""), Y)
    (apart,) = points(world.store, world.cells, x.format("@best"), Y)
    assert (same.x, same.x_step, same.y_step, same.apart) == (7.0, 80, 80, False)
    assert (apart.x, apart.x_step, apart.y_step, apart.apart) == (3.0, 100, 80, True)


def test_a_record_of_before_is_read(world):
    """Without reasons of heads, best metrics, or steps of evaluations."""
    key = world.stage([("cc", "a", 30)], metrics={"validation.cc.energy_mae": 5.0, "validation.loss": 1.0})
    world.evaluate(key, "cc", {"energy_mae": 6.0}, part="train", subset="a")
    cell = world.cell({}, {"finetune": key}, {"finetune": {"cc": 30}})
    folder = world.store.stage(key)
    for path in (folder.record_path, *folder.evaluations.glob("*.json")):
        content = json.loads(path.read_text())
        for name in ("head_reasons", "best_metrics", "step"):
            content.pop(name, None)
        path.write_text(json.dumps(content | ({"name": "train.cc"} if "name" in content else {})))
    records = Records(world.store, world.cells)
    assert records.converged(key)
    assert records.stage(key).weights["train@a.cc"] == ("cc", 80)
    assert lookup(records, cell, "result.validation.cc@best.energy_mae") == 5.0
    assert lookup(records, cell, "result.train.cc.energy_mae") == 6.0


def test_folds_are_replicates_of_one_setting_and_partitions_of_their_own(world):
    made = [
        world.stage([("cc", "a", 10)], split_seed=seed, folds=5, fold=fold) for seed, fold in ((0, 1), (0, 2), (1, 1))
    ]
    records = Records(world.store, world.cells)
    assert len({records.setting(key) for key in made}) == 1
    assert len({records.stage(key).split_seed for key in made}) == 3
    assert records.stage(world.stage([("cc", "a", 10)], split_seed=1)).split_seed == 1
