from __future__ import annotations

import pytest
import torch

from mfsweep.errors import TrainingError
from mfsweep.quantities import Quantity
from mfsweep.train.selection import selection

HEADS = {"cc": {"cc": 0.25}, "dft": {"dft": 0.75}}
QUANTITIES = {"cc": [Quantity.LOSS, Quantity.ENERGY_MAE], "dft": [Quantity.LOSS, Quantity.FORCE_MAE]}


def names(kept):
    return {head: judge.name for head, judge in kept.judges.items()}


def test_a_head_is_judged_by_select_on_if_that_names_its_method():
    kept = selection("validation.cc.energy_mae", HEADS, QUANTITIES)
    assert names(kept) == {"cc": "validation.cc.energy_mae", "dft": "validation.dft.loss"}


def test_an_only_head_is_judged_by_the_total_loss():
    assert names(selection(None, {"cc": {"cc": 1.0}}, QUANTITIES)) == {"cc": "validation.loss"}


def test_a_weighted_mean_selects_and_judges_no_head_alone():
    wanted = {"validation.cc.energy_mae": 3.0, "validation.dft.loss": 1.0}
    kept = selection(wanted, HEADS, QUANTITIES)
    assert kept.select_on.name == "0.75 validation.cc.energy_mae + 0.25 validation.dft.loss"
    assert kept.select_on.value({"validation.cc.energy_mae": 2.0, "validation.dft.loss": 6.0}) == 3.0
    assert names(kept) == {"cc": "validation.cc.loss", "dft": "validation.dft.loss"}
    own = {"validation.cc.energy_mae": 1.0, "validation.cc.loss": 1.0}
    assert names(selection(own, HEADS, QUANTITIES))["cc"] == selection(own, HEADS, QUANTITIES).select_on.name


def test_a_head_of_two_methods_is_judged_by_their_weighted_mean():
    heads = {"both": {"cc": 0.1, "dft": 0.3}, "xtb": {"xtb": 0.6}}
    kept = selection(None, heads, QUANTITIES | {"xtb": [Quantity.LOSS]})
    assert kept.judges["both"].value({"validation.cc.loss": 4.0, "validation.dft.loss": 8.0}) == pytest.approx(7.0)
    assert names(kept)["xtb"] == "validation.xtb.loss"
    only = selection("validation.dft.force_mae", heads, QUANTITIES | {"xtb": [Quantity.LOSS]})
    assert names(only)["both"] == "validation.dft.force_mae"


def test_each_head_keeps_its_own_best():
    kept = selection(None, HEADS, QUANTITIES)
    for step, (cc, dft) in enumerate([(3.0, 1.0), (1.0, 2.0), (2.0, 0.5)], 1):
        metrics = {"validation.loss": cc + dft, "validation.cc.loss": cc, "validation.dft.loss": dft}
        kept = kept.updated(step, metrics, torch.tensor([float(step)]))
    assert (kept.selected.step, kept.heads["cc"].step, kept.heads["dft"].step) == (3, 2, 3)
    assert kept.heads["cc"].parameters.item() == 2.0
    assert kept.heads["cc"].metrics["validation.dft.loss"] == 2.0


def test_the_first_of_equal_values_is_kept():
    kept = selection(None, {"cc": {"cc": 1.0}}, QUANTITIES)
    for step in (1, 2):
        kept = kept.updated(step, {"validation.loss": 1.0}, torch.zeros(1))
    assert kept.selected.step == 1


def test_a_metric_that_no_training_of_these_methods_gives_is_refused():
    with pytest.raises(TrainingError, match=r"select_on: 'validation.dft.energy_mea'.* Did you mean"):
        selection("validation.dft.energy_mea", HEADS, QUANTITIES)
    with pytest.raises(TrainingError, match=r"'validation.xtb.loss' is no metric"):
        selection({"validation.loss": 1.0, "validation.xtb.loss": 1.0}, HEADS, QUANTITIES)
    with pytest.raises(TrainingError, match="no metric of this training"):
        selection("test.cc.energy_mae", {"cc": {"cc": 1.0}}, QUANTITIES)
