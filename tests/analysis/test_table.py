from __future__ import annotations

import csv
import io

import pytest

from mfsweep.analysis.table import lookup, points, points_csv
from mfsweep.errors import FitError
from mfsweep.quantities import MetricPath

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"


def test_validation_metrics_come_from_the_record_and_test_metrics_from_the_evaluations(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(25,), finetune_sizes=(30,))
    direct, cell = world.cells
    assert lookup(world.store, cell, "pretrain.validation.dft.energy_mae") == pytest.approx(300 * 25**-0.45)
    assert lookup(world.store, cell, "pretrain.validation.loss") == pytest.approx(300 * 25**-0.45 / 9)
    assert lookup(world.store, direct, "result.test.cc.energy_mae") == pytest.approx(60)
    assert lookup(world.store, direct, "finetune.test.energy_mae") == pytest.approx(60)


def test_a_stage_that_vanished_or_is_not_trained_has_no_value(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(25,), finetune_sizes=(30,))
    direct, cell = world.cells
    assert lookup(world.store, direct, X) is None
    untrained = cell.model_copy(update={"stages": {**cell.stages, "finetune": "0" * 20}})
    assert lookup(world.store, untrained, Y) is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("pretrain.energy_mae", "expected `<stage|result>"),
        ("pretrain.validatoin.dft.energy_mae", "Did you mean 'validation'"),
        ("pretrain.validation.dft.energy_mea", "Did you mean 'energy_mae'"),
        ("pretrain.validation.dtf.energy_mae", "Did you mean 'pretrain.validation.dft.energy_mae'"),
        ("pretrain.test.dft.energy_mae", "they have pretrain.validation.dft.energy_mae"),
    ],
)
def test_a_path_of_nothing_is_refused_with_what_there_is(world, path, said):
    world.grid({"dft": 1.0}, pretrain_sizes=(25,), finetune_sizes=(30,))
    with pytest.raises(FitError) as raised:
        lookup(world.store, world.cells[1], path)
    assert said in str(raised.value)
    with pytest.raises(FitError):
        points(world.store, world.cells, path, Y)


def test_a_stage_or_axis_that_no_cell_has_is_refused_with_the_nearest(world):
    world.grid({"dft": 1.0})
    with pytest.raises(FitError, match=r"no cell has a stage 'pretrian'.*Did you mean 'pretrain'"):
        points(world.store, world.cells, "pretrian.validation.energy_mae", Y)
    with pytest.raises(FitError, match=r"no axis 'finetune_sise'.*Did you mean 'finetune_size'"):
        points(world.store, world.cells, X, Y, ["finetune_sise"])


def test_a_path_without_method_is_refused_where_the_stage_has_two(world):
    metrics = {"validation.dft.energy_mae": 3.0, "validation.cc.energy_mae": 2.0}
    key = world.stage([("cc", "a", 10), ("dft", "b", 90)], metrics=metrics)
    cell = world.cell({}, {"joint": key}, {"joint": {"cc": 10, "dft": 90}}, result="joint")
    assert lookup(world.store, cell, "result.validation.dft.energy_mae") == 3.0
    with pytest.raises(FitError, match=r"has dft and cc there; name one, as in joint\.validation\.dft"):
        lookup(world.store, cell, "joint.validation.energy_mae")


def test_another_head_is_asked_for_by_name_and_never_taken_by_chance(world):
    key = world.stage([("dft", "b", 90)])
    cell = world.cell({}, {"pretrain": key}, {"pretrain": {"dft": 90}}, result="pretrain")
    world.evaluate(key, "cc", {"energy_mae": 18.0}, head="dft")
    assert lookup(world.store, cell, "result.test.cc@dft.energy_mae") == 18.0
    assert lookup(world.store, cell, "result.test.energy_mae") == 18.0
    world.evaluate(key, "cc", {"energy_mae": 9.0})
    assert lookup(world.store, cell, "result.test.energy_mae") == 9.0


def test_what_another_study_on_the_store_asked_of_a_stage_is_not_read(world):
    key = world.stage([("cc", "a", 30)])
    cell = world.cell({}, {"finetune": key}, {"finetune": {"cc": 30}})
    world.evaluate(key, "cc", {"energy_mae": 6.0}, subset="c", ours=False)
    world.evaluate(key, "dft", {"energy_mae": 7.0}, head="cc", ours=False)
    with pytest.raises(FitError, match="no such metric"):
        lookup(world.store, cell, Y)
    world.evaluate(key, "cc", {"energy_mae": 5.0})
    assert lookup(world.store, cell, Y) == 5.0
    assert lookup(world.store, cell, "result.test.energy_mae") == 5.0


def test_points_leave_out_and_count_direct_unfinished_and_zero_cells(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(25, 100), finetune_sizes=(30,))
    pretrain = world.cells[1].stages["pretrain"]
    world.cell({"finetune_size": 7}, {"pretrain": pretrain, "finetune": "1" * 20}, {})
    world.cell({"finetune_size": 8}, {"pretrain": pretrain, "finetune": world.finetune(8, {}, pretrain, 0.0)}, {})
    unscored = world.stage([("cc", "a", 9)], parent=pretrain)
    world.cell({"finetune_size": 9}, {"pretrain": pretrain, "finetune": unscored}, {})
    found = points(world.store, world.cells, X, Y, ["finetune_size"])
    assert (len(found), found.vanished, found.unfinished, found.not_positive) == (2, 1, 2, 1)
    assert [point.group for point in found] == [(30,), (30,)]
    assert found.labels == {(30,): "finetune_size=30"}


def test_points_know_their_stages_seeds_and_convergence(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(25, 100), finetune_sizes=(30,), seeds=(3,), capped=(25,), direct=False)
    found = list(points(world.store, world.cells, X, Y))
    assert [point.x_key for point in found] == [world.cells[1].stages["pretrain"], world.cells[0].stages["pretrain"]]
    assert {(point.seed, point.split_seed, point.x_method, point.y_method) for point in found} == {(3, 0, "dft", "cc")}
    assert [point.converged for point in found] == [True, False]


def test_replicates_share_a_setting_and_other_sizes_do_not(world):
    for axis in ("seed", "split_seed"):
        world.grid({"dft": 1.0}, pretrain_sizes=(25, 100), finetune_sizes=(30,), seeds=(0, 1), seed_axis=axis)
    found = list(points(world.store, world.cells, X, Y))
    assert len({point.x_setting for point in found}) == 2
    assert len({point.y_setting for point in found}) == 2
    assert len({point.x_key for point in found}) == 2 * 3


def test_groups_are_ordered_by_number_not_by_text(world):
    world.grid({"dft": 1.0}, finetune_sizes=(1000, 30, 200))
    assert list(points(world.store, world.cells, X, Y, ["finetune_size"]).labels) == [(30,), (200,), (1000,)]


def test_the_csv_holds_every_point_with_its_stage_keys(world):
    world.grid({"dft": 1.0}, pretrain_sizes=(25, 100), finetune_sizes=(30,))
    found = points(world.store, world.cells, X, Y)
    rows = list(csv.DictReader(io.StringIO(points_csv(found))))
    assert [float(row["x"]) for row in rows] == [point.x for point in found]
    assert [(row["x_key"], row["y_key"]) for row in rows] == [(point.x_key, point.y_key) for point in found]
    assert {row["pretrain_size"] for row in rows} == {"25", "100"}


def test_a_path_reads_back_as_it_was_written():
    for path in (X, Y, "joint.validation.loss", "pretrain.test.cc@dft.energy_mae"):
        assert str(MetricPath.parse(path)) == path
