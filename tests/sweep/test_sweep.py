"""A sweep and a store in a program of one's own; whole runs are in cli/test_run.py and test_notebook.py."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from finished import finish

import mfsweep
from mfsweep.errors import FitError, SpecError, StoreError
from mfsweep.prepare import prepare

SIZES = ("pretrain_size: [0, 20, 40]", "pretrain_size: [0, 20]")


@pytest.fixture
def sweep(write_spec, tmp_path):
    """Give a sweep of four cells, all of it finished; the fine-tuning of one has lost its record."""
    made = mfsweep.Sweep(str(write_spec(SIZES)), str(tmp_path / "store"))
    plan = made.plan()
    plan.store.prepare()
    finish(plan)
    plan.store.sweep(plan.name).write_cells(plan.cells())
    plan.store.stage(plan.graph.cells[-1].keys["finetune"]).record_path.unlink()
    return made


def test_a_frame_has_a_row_for_each_cell_with_what_it_was_and_what_it_measured(sweep):
    frame = sweep.frame()
    assert list(frame.columns[:4]) == ["sweep", "result_stage", "pretrain_size", "finetune_size"]
    assert len(frame) == len(sweep.plan().graph.cells) == 4
    last = frame[(frame.pretrain_size == 20) & (frame.finetune_size == 60)].iloc[0]
    assert (last["pretrain.size.dft"], last["result.size.cc"]) == (20, 60)
    assert pd.isna(last["result.test.cc.energy_mae"]), "it is not trained"
    done = frame[(frame.pretrain_size == 20) & (frame.finetune_size == 20)].iloc[0]
    assert (done["result.stop_reason"], done["result.offsets_only.test.cc.energy_mae"]) == ("max_steps", 200.0)
    stages = {row.key: row for row in sweep.status()}
    assert done["result.test.cc.energy_mae"] == stages[done["result.key"]].evaluations["test.cc"].metrics["energy_mae"]
    none = frame[frame.pretrain_size == 0]
    assert none["pretrain.key"].isna().all(), "without pre-training structures the stage vanishes"


def test_a_store_gives_the_same_rows_without_a_spec(sweep, tmp_path):
    store = mfsweep.Store(tmp_path / "store")
    assert store.sweep_names() == ["small"]
    pd.testing.assert_frame_equal(store.frame(), sweep.frame())
    pd.testing.assert_frame_equal(sweep.results().frame(), sweep.frame())
    with pytest.raises(StoreError, match="nothing was run under the name 'other'"):
        store.frame("other")


def test_a_store_that_is_not_there_names_the_one_beside_it(sweep, tmp_path):
    with pytest.raises(StoreError, match=r"no such folder.*Did you mean 'store'\?"):
        mfsweep.Store(tmp_path / "stor")


def test_every_state_of_a_stage_is_told(sweep):
    states = [row.state for row in sweep.status()]
    assert sorted(set(states)) == ["begun", "done", "trained"], "a parent without its weights is not done"
    assert len(states) == len(sweep.plan().graph.nodes)


def test_a_spec_that_was_read_is_a_sweep_too(write_spec, tmp_path):
    spec = mfsweep.load_spec(str(write_spec(SIZES)))
    sweep = mfsweep.Sweep(spec, tmp_path / "store", resources={"workers": 2})
    assert sweep.plan().spec.experiment.resources.workers == 2
    keys = prepare(write_spec(SIZES), tmp_path / "store").graph.nodes.keys()
    assert sweep.plan().graph.nodes.keys() == keys
    assert sweep.estimate().overview.to_do.stages == len(keys)
    with pytest.raises(SpecError, match=r"small\.yaml:\d+: resources\.workers"):
        mfsweep.Sweep(spec, tmp_path / "store", resources={"workers": 0}).plan()


def test_predictions_are_read_back_by_the_name_of_their_score(sweep, tmp_path):
    plan = sweep.plan()
    node = plan.graph.nodes[plan.graph.cells[0].keys["finetune"]]
    folder = plan.store.stage(node.key)
    arrays = {"index": [3, 5], "formula": [0, 1], "atoms": [2, 4], "energy_reference": [-1.0, -2.0]}
    np.savez(folder.evaluation_paths(node.evaluations[0].identity())[1], energy_predicted=[-0.9, -2.4], **arrays)
    store = mfsweep.Store(tmp_path / "store")
    found = store.predictions(node.key[:10])
    assert list(found) == ["test.cc"]
    np.testing.assert_allclose(found["test.cc"].energy_error, [0.05, -0.1])
    assert found["test.cc"].forces_predicted is None
    folder.evaluation_paths(node.evaluations[0].identity())[1].write_bytes(b"PK no archive")
    with pytest.raises(StoreError, match="the predictions cannot be read"):
        store.predictions(node.key)


def test_the_best_stage_is_that_of_the_frame(sweep, tmp_path):
    frame = sweep.frame()
    metric = "result.test.cc.energy_mae"
    for one in (sweep, mfsweep.Store(tmp_path / "store")):
        found = one.best(metric)
        assert frame.set_index("result.key")[metric][found.key] == frame[metric].min()
        assert found.said.startswith(f"the lowest {metric} (")
    with pytest.raises(StoreError, match=r"no cell has a stage 'pretran'.*Did you mean 'pretrain'"):
        sweep.best("pretran.validation.dft.energy_mae")


def test_damage_in_the_store_is_told_and_set_aside(sweep, tmp_path):
    record = sweep.plan().store.stage(sweep.frame()["result.key"].dropna().iloc[0]).record_path
    record.write_text("{")
    told = []
    mfsweep.Sweep(sweep.spec, mfsweep.Store(tmp_path / "store"), warn=told.append).status()
    assert any(str(record) in text for text in told)
    store = mfsweep.Store(tmp_path / "store")
    verified = store.verify()
    assert record in [one.damage.path for one in verified.findings]
    assert record not in [one.damage.path for one in store.mend(verified).findings]
    assert not record.exists()
    assert store.usage().total[0] > 0


def test_a_law_through_numbers_at_hand():
    x = np.geomspace(5, 80, 6)
    law = mfsweep.fit_transfer(np.tile(x, 2), np.concatenate([0.5 * x**0.8, 2 * x**0.8]), group=["a"] * 6 + ["b"] * 6)
    assert [line.gradient for line in law.lines] == pytest.approx([0.8, 0.8])
    with pytest.raises(FitError, match="of one length, got x 2, y 1"):
        mfsweep.fit_transfer([1.0, 2.0], [1.0])
    with pytest.raises(FitError, match="point 1, column y: expected a number above 0"):
        mfsweep.fit_transfer([1.0, 2.0], [1.0, float("nan")])
