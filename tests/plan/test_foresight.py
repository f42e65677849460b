"""What cannot end well is told when a spec is planned, with its line."""

from __future__ import annotations

import pytest

from mfsweep.plan.expand import expand
from mfsweep.plan.foresight import foreseen
from mfsweep.plan.graph import build
from mfsweep.prepare import prepare
from mfsweep.spec.data import Content
from mfsweep.spec.load import load
from mfsweep.sweep.search_costs import at_most

CLAIM = (
    "resources:",
    (
        "claims:\n  better: {says: it helps, y: result.test.cc.energy_mae, this: {pretrain_size: 40}, "
        "against: {pretrain_size: 0}, expect: lower}\nresources:"
    ),
)


@pytest.fixture
def told(write_spec):
    def tell(*changes):
        spec = load(write_spec(*changes))
        return foreseen(spec, build(spec, expand(spec), Content(digest="0" * 64)))

    return tell


@pytest.mark.parametrize(
    "sizes", ["[0, 10, 20, 30, 40]", "[20, 30, 40]\n  seed: [0, 1]", "[0, 20, 30, 40]\n  split_seed: [1, 2]"]
)
def test_three_distinct_x_of_four_pretrainings_are_enough(told, sizes):
    assert told(("[0, 20, 40]", sizes)) == []


def test_a_law_of_three_pretrainings_is_foreseen(told):
    (said,) = told(("[0, 20, 40]", "[0, 20, 30, 40]"))
    assert "fits.transfer: 3 pre-trainings in 2 of 2 groups, and a line needs 4" in said
    assert "no law comes out" in said


@pytest.mark.parametrize(
    ("sizes", "seeds", "count"), [("[0, 20, 40]", "[0]", 2), ("[0, 20]", "[0, 1, 2]", 1), ("[20, 40]", "[0, 1]", 2)]
)
def test_a_law_with_too_few_distinct_x_is_foreseen_whatever_the_replicates(told, sizes, seeds, count):
    (said,) = told(("[0, 20, 40]", f"{sizes}\n  seed: {seeds}"))
    assert "small.yaml:30: fits.transfer: " in said.replace(":31:", ":30:")
    assert f"{count} distinct value" in said
    assert "needs 3" in said


def test_a_claim_on_one_replicate_is_foreseen(told):
    many = ("[0, 20, 40]", "[0, 10, 20, 30, 40]")
    (said,) = told(many, CLAIM)
    assert "claims.better: one replicate" in said
    assert told(many, CLAIM, ("[20, 60]", "[20, 60]\n  seed: [0, 1]")) == []
    assert told(many, CLAIM, ("[20, 60]", "[20, 60]\n  split_seed: [0, 1]")) == []


def test_a_validation_set_of_one_structure_is_foreseen(write_spec, tmp_path):
    plan = prepare(write_spec(("a: {size: 60, validation: 20", "a: {size: 60, validation: 1")), tmp_path / "store")
    assert [warning for warning in plan.warnings if "is one structure" in warning and "splits.a.validation" in warning]


def test_a_search_tells_how_far_it_may_go(write_spec, tmp_path):
    path = write_spec(
        ("[0, 20, 40]", "{low: 20, high: 40}\n  seed: [0, 1]"),
        ("resources:", "search: {trials: 5, objective: validation.cc.energy_mae}\nresources:"),
    )
    reach = at_most(prepare(path, tmp_path / "store"))
    # two studies (finetune_size) of five points with two seeds each, a pre-training and a fine-tuning in each
    assert (reach.points, reach.cells, reach.stages) == (10, 20, {"pretrain": 20, "finetune": 20})
