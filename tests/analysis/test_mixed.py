from __future__ import annotations

import pytest

from mfsweep.analysis.mixed import mixed
from mfsweep.analysis.records import Records
from mfsweep.analysis.report import write_report
from mfsweep.analysis.study import ReportStudy
from mfsweep.records import EvaluationRecord, Machine, Record

MACHINE = Machine(device="cuda", name="NVIDIA H100", driver="550.54", cuda="12.8", threads=4)
VERSIONS = {"python": "3.11.9", "torch": "2.13.0", "e3nn": "0.4.4", "numpy": "2.4.0", "ray": "2.60.0"}


@pytest.fixture
def made(world):
    """Return a grid of stages and scores, all made alike, and a function that changes how some were made."""
    world.grid({"dft": 1.0}, pretrain_sizes=(25, 100, 300))
    keys = sorted({key for cell in world.cells for key in cell.stages.values()})

    def change(key, versions=None, machine=None, *, score=False, **training):
        folder = world.store.stage(key)
        versions, machine = VERSIONS | (versions or {}), MACHINE.model_copy(update=machine or {})
        if score:
            asked = world.asked[key][0]
            own = folder.evaluation(asked).model_dump() | {"versions": versions, "machine": machine.model_dump()}
            folder.write_evaluation(EvaluationRecord.model_validate(own))
            return
        own = folder.record().model_dump() | {"versions": versions, "machines": [machine.model_dump()]}
        own["training"] |= training
        folder.write_record(Record.model_validate(own))

    for key in keys:
        change(key)
        if key in world.asked:
            change(key, score=True)
    return world, keys, change


def found(world):
    return mixed(Records(world.store, world.cells), world.cells)


def test_what_was_made_alike_is_not_spoken_of(made):
    assert found(made[0]) == []


@pytest.mark.parametrize(
    ("what", "change"),
    [(package, {"versions": {package: "9.9"}}) for package in VERSIONS if package != "ray"]
    + [
        ("model", {"machine": {"name": "NVIDIA A100"}}),
        ("driver", {"machine": {"driver": "570.1"}}),
        ("CUDA", {"machine": {"cuda": None}}),
        ("threads", {"machine": {"threads": 8}}),
        ("device", {"machine": {"device": "cpu"}}),
    ],
)
@pytest.mark.parametrize("score", [False, True])
def test_whatever_differs_is_named_with_its_stage(made, what, change, score):
    world, keys, make = made
    key = next(key for key in keys if key in world.asked)
    make(key, score=score, **change)
    (one,) = found(world)
    assert one.what.partition(" ")[0] == what
    assert one.is_version is ("versions" in change)
    value = str(next(iter(next(iter(change.values())).values()))).replace("None", "none")
    name = f"finetune {key}" + (" (test.cc)" if score else "")
    assert f"{what}" in one.sentence
    assert f"differs: {value} for {name}; " in one.sentence


def test_a_package_without_numbers_and_what_older_records_do_not_tell_are_left_out(made):
    world, keys, make = made
    make(keys[0], versions={"ray": "3.0"})
    folder = world.store.stage(keys[1])
    folder.write_record(folder.record().model_copy(update={"machines": [], "versions": {"torch": "2.13.0"}}))
    assert found(world) == []


def test_architectures_may_have_an_e3nn_each_and_no_torch_each(made):
    world, keys, make = made
    unscored = next(key for key in keys if key not in world.asked)
    make(unscored, versions={"e3nn": "0.6.0"}, model={"architecture": "allegro"})
    assert found(world) == []
    make(unscored, versions={"e3nn": "0.6.0", "torch": "2.12.0"}, model={"architecture": "allegro"})
    assert [one.what for one in found(world)] == ["torch"]


def test_a_group_of_two_kinds_of_machine_differs_from_one_of_one(made):
    world, keys, _ = made
    folder = world.store.stage(keys[0])
    other = MACHINE.model_copy(update={"name": "NVIDIA A100"})
    folder.write_record(folder.record().model_copy(update={"machines": [MACHINE, other]}))
    (one,) = found(world)
    assert "NVIDIA A100 and NVIDIA H100 for " in one.sentence


def test_the_report_names_it(made):
    world, keys, make = made
    folder = world.store.sweep("s")
    study = ReportStudy("s", "name: s", world.cells)
    write_report(world.store, study, folder)
    assert "ran alike" not in folder.report.read_text()
    make(keys[0], versions={"torch": "2.12.0"})
    write_report(world.store, study, folder)
    text = folder.report.read_text()
    assert "Not all stages ran alike" in text
    assert f"torch differs: 2.12.0 for pretrain {keys[0]}" in text or f"2.12.0 for finetune {keys[0]}" in text
