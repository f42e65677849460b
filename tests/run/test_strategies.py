"""Every strategy of the language, trained and scored for real: what its numbers are of, and what may be claimed."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from mfsweep.analysis.records import Records
from mfsweep.analysis.table import points
from mfsweep.prepare import prepare
from mfsweep.quantities import best_path
from mfsweep.run.kept import final_metrics, in_words
from mfsweep.run.mirror import Mirror
from mfsweep.run.perform import perform
from mfsweep.run.sweep import _job
from mfsweep.train import World, load_weights

SPEC = """\
name: strategies
data:
  source: bundled:mini-ccx
  labels:
    cc: {energy: "ccsd(t)_631gd.energy"}
    dft: {energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}
    xtb: {energy: "gfn2_xtb.energy", forces: "gfn2_xtb.forces"}
  splits:
    a: {size: 40, validation: 12, needs: [cc, dft, xtb]}
    b: {size: 40, validation: 12, needs: [cc, dft, xtb]}
    t: {size: 20, validation: 10, needs: [cc, dft, xtb]}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}
axes:
  strategy:
    direct: {parent: null, trainable: all, head: {}, result: finetune}
    pretrain: {parent: pretrain, trainable: all, head: {}, result: finetune}
    frozen: {parent: pretrain, trainable: readouts, head: {}, result: finetune}
    adapters: {parent: pretrain, trainable: lora, head: {}, result: finetune}
    middle: {parent: middle, trainable: all, head: {}, result: finetune}
    multihead: {parent: null, trainable: all, head: {}, result: joint}
    multihead_finetune: {parent: joint, trainable: all, head: {from: cc}, result: finetune}
    one_head: {parent: null, trainable: all, head: {}, result: merged}
    delta: {parent: null, trainable: all, head: {}, result: delta}
stages:
  pretrain:
    train: [{labels: dft, subset: b, size: 20}]
    <<: &recipe
      learning_rate: 0.03
      schedule: {factor: 0.5, patience_steps: 2, stop_steps: 4}
      max_steps: 30
      validate_every: 1
      batch: {max_atoms: 60, batches_per_step: 1}
  middle:
    start_from: pretrain
    train: [{labels: dft, subset: a, size: 20}]
    <<: *recipe
    max_steps: 2
  joint:
    train: [{labels: cc, subset: a, size: 20}, {labels: dft, subset: b, size: 20}]
    <<: *recipe
    evaluate: &scores
      - {labels: cc, subset: t}
      - {labels: cc, subset: t, checkpoint: best}
      - {labels: cc, subset: b, part: validation}
      - {labels: cc, subset: b, part: validation, checkpoint: best}
      - {labels: cc, subset: a, part: train}
  merged:
    train: [{labels: cc, subset: a, size: 20, head: both}, {labels: dft, subset: b, size: 20, head: both}]
    <<: *recipe
  delta:
    train: [{labels: {target: cc, minus: xtb}, subset: a, size: 20}]
    <<: *recipe
  finetune:
    start_from: "${strategy.parent}"
    train: [{labels: cc, subset: a, size: 20}]
    <<: *recipe
    continued: {learning_rate: 0.001, trainable: "${strategy.trainable}", heads: {cc: "${strategy.head}"}}
result: "${strategy.result}"
evaluate: *scores
resources: {workers: 1, gpus_per_worker: 0}
"""
Y = "result.test.cc.energy_mae"
X = {
    "pretrain": "pretrain.validation.dft.energy_mae",
    "frozen": "pretrain.validation.dft.energy_mae",
    "adapters": "pretrain.validation.dft.energy_mae",
    "middle": "pretrain.validation.dft.energy_mae",
    "multihead": "result.validation.dft.energy_mae",
    "multihead_finetune": "joint.validation.dft.energy_mae",
    "one_head": "result.validation.dft.energy_mae",
    "direct": "result.validation.energy_mae",
    "delta": "result.validation.energy_mae",
}
"""What a law of each strategy would have on its x axis."""


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """Train and score every stage of the spec, one after another."""
    folder = tmp_path_factory.mktemp("strategies")
    path = folder / "strategies.yaml"
    path.write_text(SPEC)
    made = prepare(path, folder / "store")
    made.store.prepare()
    for node in made.graph.nodes.values():
        assert perform(_job(made, node), World.alone(), lambda _: True)
    return made.again()


def cell_of(plan, strategy):
    (cell,) = (cell for cell in plan.cells() if cell.values["strategy"] == strategy)
    return cell


@pytest.fixture(params=X)
def strategy(request):
    return request.param


def test_x_and_y_of_one_stage_are_of_one_checkpoint(plan, strategy):
    cell = cell_of(plan, strategy)
    (point,) = points(plan.store, [cell], X[strategy], Y)
    for key, step in ((point.x_key, point.x_step), (point.y_key, point.y_step)):
        folder = plan.store.stage(key)
        assert step == folder.record().selected.step == load_weights(folder.selected).step
    assert not point.apart


def test_a_score_by_the_best_checkpoint_is_of_the_heads_best_step(plan, strategy):
    cell = cell_of(plan, strategy)
    folder = plan.store.stage(cell.stages[cell.result])
    record = folder.record()
    for asked in cell.evaluations[cell.result]:
        kept = record.heads[asked["head"]] if asked.get("checkpoint") == "best" else record.selected
        assert folder.evaluation(asked).step == kept.step == load_weights(folder.path / kept.file).step


def test_no_two_numbers_share_a_name(plan, strategy):
    cell = cell_of(plan, strategy)
    key = cell.stages[cell.result]
    stage, node = Records(plan.store, plan.cells()).stage(key), plan.graph.nodes[key]
    made = [plan.store.stage(key).evaluation(evaluation.identity()) for evaluation in node.evaluations]
    record = stage.record
    assert len(stage.metrics) == len(record.metrics) + len(record.best_metrics) + sum(len(one.metrics) for one in made)
    assert final_metrics(plan.store, node) == stage.metrics
    for evaluation, one in zip(node.evaluations, made, strict=True):
        assert stage.metrics[f"{evaluation.name}.energy_mae"] == one.metrics["energy_mae"]
    assert stage.metrics["validation@b.cc.energy_mae"] not in {
        value for name, value in stage.metrics.items() if not name.startswith("validation@b.")
    }


def test_what_is_told_of_a_stage_is_what_its_record_has(plan, strategy):
    cell = cell_of(plan, strategy)
    key = cell.stages[cell.result]
    said, record = in_words(plan.store, plan.graph.nodes[key]), plan.store.stage(key).record()
    metrics = final_metrics(plan.store, plan.graph.nodes[key])
    assert said.startswith(f"step {record.selected.step}, ")
    for name in (
        *{f"validation.{method}" for method in plan.graph.nodes[key].training.methods},
        "test.cc",
        "test.cc@best",
    ):
        assert f"{name.replace('.', ' ')} {metrics[f'{name}.energy_mae']:.1f}" in said
    assert said.endswith(" meV/atom")


HEADS = {"direct": ("cc", "cc"), "delta": ("cc-xtb", "cc-xtb"), "one_head": ("both", "both")}
"""Strategy -> the heads behind x and y; of the others dft and cc."""


def test_a_lineage_has_converged_if_every_stage_of_it_has(plan, strategy):
    cell = cell_of(plan, strategy)
    (point,) = points(plan.store, [cell], X[strategy], Y)
    keys, found = (point.x_key, point.y_key), (point.x_converged, point.y_converged)
    for key, head, converged in zip(keys, HEADS.get(strategy, ("dft", "cc")), found, strict=True):
        *above, own = [plan.store.stage(node.key).record() for node in plan.graph.lineage(key)]
        whole = all({record.stop_reason, *record.head_reasons.values()} == {"converged"} for record in above)
        assert converged == (whole and own.head_reasons[head] == "converged")
    if strategy == "middle":
        middle = plan.store.stage(cell.stages["middle"]).record()
        assert (middle.stop_reason, point.y_converged) == ("max_steps", False)


def test_the_strategies_tell_every_case_apart(plan):
    """Or the other tests would hold of whatever is done."""
    records = [plan.store.stage(key).record() for key in plan.graph.nodes]
    assert {record.stop_reason for record in records} == {"converged", "max_steps"}
    assert {reason for record in records for reason in record.head_reasons.values()} == {
        "converged", "max_steps", "improving"
    }  # fmt: skip
    several = [record for record in records if len(record.heads) > 1]
    assert any(best.step != record.selected.step for record in several for best in record.heads.values())
    for record in several:
        values = [record.metrics[path] == record.best_metrics[path] for path in record.best_metrics]
        assert not all(values)
        assert not np.isnan(list(record.best_metrics.values())).any()


def test_no_final_number_of_a_run_has_the_name_of_a_curve(plan, strategy):
    cell = cell_of(plan, strategy)
    key, told = cell.stages[cell.result], {}
    tracker = SimpleNamespace(finish=lambda _key, _status, metrics, _files, tags: told.update(metrics, tags=tags))
    Mirror(tracker, plan.graph, plan.store).end(key, failed=False)
    record = plan.store.stage(key).record()
    curves = record.metrics.keys()  # each is in the metrics file at every validation
    assert not told.keys() & curves
    for name in curves:
        assert told[f"kept/{name}"] == record.metrics[name]
    for name, value in record.best_metrics.items() if len(record.heads) > 1 else ():
        assert told[f"kept/{best_path(name)}".replace("@", ":")] == value
    assert told["kept/step"] == record.selected.step
    assert told["stage/parameters"] == record.parameters
    assert told["stage/seconds"] == record.seconds
    assert told["tags"] == {"end": "converged" if record.converged() else "capped"}
    assert any(name.startswith("offsets_only/test.") for name in told)
    for node in plan.graph.lineage(key)[:-1]:
        for path, value in plan.store.stage(node.key).record().metrics.items():
            assert told[f"{node.name}/{path}"] == value
