"""A finished stage is trained again and compared; trained in this process, where a run would start Ray."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest
from conftest import SPEC

from mfsweep.errors import StoreError
from mfsweep.files import write_json
from mfsweep.prepare import prepare
from mfsweep.records import Record
from mfsweep.run import sweep
from mfsweep.run.perform import perform
from mfsweep.run.sweep import Failure, RunSummary
from mfsweep.store import StoreFolder
from mfsweep.sweep.audit import Audit, audit
from mfsweep.train.world import World


def train(plan):
    """Train what the store of a plan lacks, parents first, as its trials would."""
    missing = [node for key, node in plan.graph.nodes.items() if key not in plan.done]
    for node in missing:
        perform(sweep._job(plan, node), World.alone(), lambda _: True)
    return RunSummary(len(missing), 0, 0, 0, interrupted=False, failures=())


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A sweep of one pre-training and one fine-tuning, trained."""
    folder = tmp_path_factory.mktemp("audited")
    path = folder / "small.yaml"
    path.write_text(SPEC.replace("[0, 20, 40]", "[20]").replace("[20, 60]", "[20]"))
    plan = prepare(path, folder / "store")
    plan.store.prepare()
    train(plan)
    return plan.again()


def key_of(plan, name):
    return next(key for key, node in plan.graph.nodes.items() if node.name == name)


@pytest.mark.parametrize("name", ["pretrain", "finetune"])
def test_a_stage_comes_out_the_same_bit_for_bit_and_nothing_is_kept(trained, name):
    before = sorted(path for path in trained.store.root.rglob("*") if "edges" not in path.parts)
    found = audit(trained, train, key=key_of(trained, name)[:8])
    assert found.same_bits
    assert found.passed
    assert found.differences == {}
    assert found.otherwise == ()
    (said,) = found.sentences()
    assert said.startswith(f"{name} ")
    assert said.endswith("came out the same, bit for bit")
    after = sorted(path for path in trained.store.root.rglob("*") if "edges" not in path.parts)
    assert [path for path in after if path not in before and path != trained.store.scratch] == []


def test_a_record_that_does_not_come_out_again_is_told_with_what_differs(trained):
    folder = trained.store.stage(key_of(trained, "pretrain"))
    text = folder.record_path.read_text()
    record = json.loads(text)
    name = next(path for path in record["metrics"] if path.endswith("energy_mae"))
    record["metrics"][name] *= 1.5
    record["selected"]["sha256"] = "0" * 64
    record["versions"]["numpy"] = "1.0"
    write_json(folder.record_path, record)
    try:
        found = audit(trained, pretend(trained, text), key=folder.key)
    finally:
        folder.record_path.write_text(text)
    assert not found.passed
    assert list(found.differences) == [name]
    assert found.largest == pytest.approx(1 / 3)
    said = "\n".join(found.sentences())
    assert "came out otherwise: metrics differ by up to 0.33" in said
    assert "numpy 1.0 then, " in said
    assert json.loads(json.dumps(found.as_json()))["passed"] is False
    assert replace(found, tolerance=0.5).passed


def test_a_metric_that_is_not_there_any_more_is_null_in_json():
    found = Audit(
        "k", "pretrain", same_bits=False, differences={"test.cc.x": (1.0, math.nan)}, otherwise=(), tolerance=0.01
    )
    assert not found.passed
    plain = json.loads(json.dumps(found.as_json(), allow_nan=False))
    assert plain["differences"] == {"test.cc.x": {"record": 1.0, "now": None}}
    assert plain["largest_relative_difference"] is None


def test_the_choice_is_of_what_is_done_and_repeats_with_its_seed(trained):
    chosen = {audit(trained, pretend(trained), seed=seed).key for seed in range(8)}
    assert chosen == set(trained.done)
    assert audit(trained, pretend(trained), seed=3).key == audit(trained, pretend(trained), seed=3).key


def pretend(plan, text=None):
    """Return a training that copies what the store has, or comes to the record of a text."""

    def copy(small):
        for key in small.graph.nodes.keys() - small.done:
            folder, own = plan.store.stage(key), small.store.stage(key)
            own.write_record(Record.model_validate_json(text) if text else folder.record())
        return RunSummary(1, 0, 0, 0, interrupted=False, failures=())

    return copy


def test_what_cannot_be_audited_is_said(trained, write_spec, tmp_path):
    empty = prepare(write_spec(name="empty.yaml"), tmp_path / "empty")
    StoreFolder(tmp_path / "empty").prepare()
    with pytest.raises(StoreError, match=r"no stage of .*empty\.yaml is done: there is nothing to audit"):
        audit(empty, train)

    def fail(small):
        key = key_of(trained, "pretrain")
        failure = Failure(key, "pretrain", small.store.stage(key).log, "the loss is not finite")
        return RunSummary(0, 0, 1, 0, interrupted=False, failures=(failure,))

    with pytest.raises(StoreError, match="failed when it was trained again: the loss is not finite"):
        audit(trained, fail, key=key_of(trained, "pretrain"))
