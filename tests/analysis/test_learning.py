from __future__ import annotations

import pytest

from mfsweep.analysis.learning import learning_curves
from mfsweep.analysis.records import Records
from mfsweep.analysis.report.training import blocks
from mfsweep.analysis.study import ReportStudy, analyse


def test_a_learning_curve_goes_over_sizes_and_seeds_are_averaged(world):
    world.grid({"dft": 1.35, "xtb": 0.8}, seeds=(0, 1), finetune_sizes=(30, 120), capped=(25,))
    curves = learning_curves(Records(world.store, world.cells), world.cells)
    assert list(curves) == [("pretrain", "dft"), ("pretrain", "xtb")], "two fine-tune sizes are no curve"
    (curve,) = curves["pretrain", "dft"]
    assert curve.values == {}
    assert curve.means == pytest.approx({n: 300 * n**-0.45 for n in (25, 100, 300, 1000)})
    assert [(one.size, one.converged) for one in curve.trainings][:3] == [(25, False), (25, False), (100, True)]


def test_what_else_differs_makes_another_curve_and_is_named(world):
    for variant, factor in (("small", 1.0), ("large", 0.5)):
        for n in (10, 100, 1000):
            key = world.stage(
                [("dft", "b", n)], metrics={"validation.dft.energy_mae": factor * 100 / n}, recipe={"v": variant}
            )
            world.cell({"model": variant, "n": n}, {"pretrain": key}, {"pretrain": {"dft": n}}, result="pretrain")
    study = ReportStudy("demo", "name: demo", world.cells)
    pictures, *_ = blocks(study, analyse(world.store, study))
    assert [one.stem for one in pictures.pictures] == ["learning.pretrain.dft"]
    assert [one.get_text() for one in pictures.pictures[0].figure.legends[0].get_texts()] == ["large", "small"]
