from __future__ import annotations

import pytest

from mfsweep.analysis.gallery import gallery
from mfsweep.analysis.study import ReportStudy, analyse
from mfsweep.analysis.transfer import FitRequest

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"
FIT = FitRequest("transfer", X, Y, ("finetune_size",))


def study(world, *fits):
    return ReportStudy("demo", "name: demo", world.cells, fits)


def test_a_study_has_its_laws_and_one_result_for_each_target(world):
    world.grid({"dft": 1.35})
    analysis = analyse(
        world.store, study(world, FIT, FitRequest("again", X, "finetune.test.energy_mae")), resamples=200
    )
    assert [law.name for law in analysis.laws] == ["transfer", "again"]
    assert [str(result.path) for result in analysis.results] == [Y], "one target, however it is written"
    assert analysis.results[0].offsets_only == pytest.approx(110)


def test_without_fits_the_test_error_is_shown(world):
    world.grid({"dft": 1.35})
    (result,) = analyse(world.store, study(world)).results
    assert str(result.path) == Y
    for key in {cell.stages["finetune"] for cell in world.cells}:
        world.evaluate(key, "dft", {"energy_mae": 9.0}, head="cc")
        world.evaluate(key, "dft", {"energy_mae": 8.0})
    results = analyse(world.store, study(world), resamples=200).results
    assert {str(result.path) for result in results} == {Y, "result.test.dft.energy_mae"}


def test_the_test_error_of_a_head_of_another_name_is_shown(world):
    world.delta(30, 20.0)
    (result,) = analyse(world.store, study(world)).results
    assert str(result.path) == Y
    assert [curve.label for curve in result.curves] == ["cc-xtb"]


def test_a_study_without_any_record_is_empty_and_does_not_fail(world):
    world.cell({"finetune_size": 30}, {"pretrain": "0" * 20, "finetune": "1" * 20}, {})
    analysis = analyse(world.store, study(world, FIT))
    assert analysis.results == ()
    assert analysis.laws[0].refusal


def test_a_fit_of_nothing_is_refused_with_the_reason_and_the_others_are_made(world):
    bad = [
        FitRequest("misspelt", "pretrain.validation.energy_mea", Y),
        FitRequest("unscored", X, "result.test.dft.energy_mae"),
    ]
    asked = study(world.grid({"dft": 1.35}), *bad, FIT)
    analysis = analyse(world.store, asked, resamples=200)
    *refused, made = analysis.laws
    assert "Did you mean 'energy_mae'" in refused[0].refusal
    assert "no such metric" in refused[1].refusal
    assert made.pooled.gradient == pytest.approx(1.35)
    assert [str(result.path) for result in analysis.results] == [Y]
    assert [picture.stem for picture in gallery(asked, analysis)] == [
        "error.test.cc.energy_mae",
        "law.transfer",
    ]


def test_x_on_the_test_set_stands_beside_x_on_the_validation_set(world):
    world.grid({"dft": 1.35}, pretrain_sizes=(25, 50, 100, 400))
    assert analyse(world.store, study(world, FIT), resamples=200).laws[0].beside == {}
    for key, n in {
        cell.stages["pretrain"]: cell.values["pretrain_size"] for cell in world.cells if "pretrain" in cell.stages
    }.items():
        world.evaluate(key, "dft", {"energy_mae": (300 * n**-0.45) ** 0.5})
    (law,) = analyse(world.store, study(world, FIT), resamples=200).laws
    assert law.beside["pretrain.test.energy_mae"].gradient == pytest.approx(2.7)
    assert "Against pretrain.test.energy_mae: pooled gradient 2.70" in " ".join(law.sentences())


def test_a_joint_training_is_its_own_x_and_y(world):
    for n in (10, 50, 200, 1000):
        key = world.stage([("cc", "a", 30), ("dft", "b", n)], metrics={"validation.dft.energy_mae": 100 / n**0.5})
        world.evaluate(key, "cc", {"energy_mae": 40 / n**0.25})
        world.cell({"n": n}, {"joint": key}, {"joint": {"cc": 30, "dft": n}}, result="joint")
    request = FitRequest("joint", "result.validation.dft.energy_mae", Y)
    (law,) = analyse(world.store, study(world, request)).laws
    assert law.pooled.gradient == pytest.approx(0.5)
    assert law.pooled.group == "pooled"
