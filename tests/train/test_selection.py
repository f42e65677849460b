from __future__ import annotations

import pytest
import torch

from mfsweep.errors import TrainingError
from mfsweep.quantities import Quantity
from mfsweep.train.selection import selection

QUANTITIES = {"cc": [Quantity.LOSS, Quantity.ENERGY_MAE], "dft": [Quantity.LOSS, Quantity.FORCE_MAE]}


def test_a_head_is_judged_by_select_on_if_that_names_its_method():
    kept = selection("validation.cc.energy_mae", ["cc", "dft"], QUANTITIES)
    assert kept.metrics == {"cc": "validation.cc.energy_mae", "dft": "validation.dft.loss"}


def test_an_only_head_is_judged_by_the_total_loss():
    assert selection(None, ["cc"], QUANTITIES).metrics == {"cc": "validation.loss"}


def test_each_head_keeps_its_own_best():
    kept = selection(None, ["cc", "dft"], QUANTITIES)
    for step, (cc, dft) in enumerate([(3.0, 1.0), (1.0, 2.0), (2.0, 0.5)], 1):
        metrics = {"validation.loss": cc + dft, "validation.cc.loss": cc, "validation.dft.loss": dft}
        kept = kept.updated(step, metrics, torch.tensor([float(step)]))
    assert (kept.selected.step, kept.heads["cc"].step, kept.heads["dft"].step) == (3, 2, 3)
    assert kept.heads["cc"].parameters.item() == 2.0
    assert kept.heads["cc"].metrics["validation.dft.loss"] == 2.0


def test_the_first_of_equal_values_is_kept():
    kept = selection(None, ["cc"], QUANTITIES)
    for step in (1, 2):
        kept = kept.updated(step, {"validation.loss": 1.0}, torch.zeros(1))
    assert kept.selected.step == 1


def test_a_metric_that_no_training_of_these_methods_gives_is_refused():
    with pytest.raises(TrainingError, match=r"select_on: 'validation.dft.energy_mea'.* Did you mean"):
        selection("validation.dft.energy_mea", ["cc", "dft"], QUANTITIES)
    with pytest.raises(TrainingError, match="no metric of this training"):
        selection("test.cc.energy_mae", ["cc"], QUANTITIES)
