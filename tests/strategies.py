"""A sweep of six strategies without its trainings: errors, times and caps are planted."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from finished import evaluate, record

from mfsweep.analysis.comparison.equal_cost import EqualIn, at_equal_cost
from mfsweep.analysis.comparison.settings import StrategySetting, TrainingWork
from mfsweep.analysis.gain import FinishedCell
from mfsweep.prepare import Plan, prepare
from mfsweep.quantities import MetricPath
from mfsweep.records import CellRecord, Machine

SPEC = """\
name: strategies
data:
  source: bundled:mini-ccx
  labels:
    cc: {energy: "ccsd(t)_631gd.energy"}
    dft: {energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}
  splits:
    folds: 4
    fold: "${fold}"
    a: {size: 80, validation: 20, needs: [cc, dft]}
    t: {size: rest, needs: [cc, dft]}
    b: {size: rest, validation: 20, needs: [dft]}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}
axes:
  size: [20, 80]
  strategy:
    direct: {result: finetune, parent: null, trainable: all}
    pretrain: {result: finetune, parent: pretrain, trainable: all}
    frozen: {result: finetune, parent: pretrain, trainable: readouts}
    lora: {result: finetune, parent: pretrain, trainable: lora}
    multihead: {result: joint}
    then_tuned: {result: finetune, parent: joint, trainable: all}
    delta: {result: delta}
  fold: [0, 1, 2, 3]
stages:
  pretrain:
    train: [{labels: dft, subset: a, size: "${size}"}]
    <<: &recipe {max_steps: 4, validate_every: 2}
  joint:
    train: [{labels: cc, subset: a, size: "${size}"}, {labels: dft, subset: a, size: "${size}"}]
    <<: *recipe
  finetune:
    start_from: "${strategy.parent}"
    train: [{labels: cc, subset: a, size: "${size}"}]
    <<: *recipe
    continued: {trainable: "${strategy.trainable}"}
  delta:
    train: [{labels: {target: cc, minus: dft}, subset: a, size: "${size}"}]
    <<: *recipe
result: "${strategy.result}"
evaluate: [{labels: cc, subset: t}]
resources: {workers: 1, gpus_per_worker: 0}
"""
SECONDS = {"pretrain": 150, "joint": 300, "finetune": 100, "delta": 120}
"""Of a stage of 20 labels; one of 80 takes four times as long."""
ERRORS = {"direct": 40, "pretrain": 20, "frozen": 30, "lora": 24, "multihead": 21, "then_tuned": 19, "delta": 10}
"""With 20 labels; with 80 half of it."""


def written(folder: Path, *changes: tuple[str, str], name: str = "strategies.yaml") -> Path:
    """Write the spec with some of its text replaced."""
    text = SPEC
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path = folder / name
    path.write_text(text)
    return path


def train(plan: Plan, *, capped=(), noise=0.03, left_out=()) -> Plan:
    """Write the records that a run of a plan would leave; `capped` and `left_out` are (strategy, size, fold)."""
    plan.store.prepare()
    rng = np.random.default_rng(5)
    for planned in plan.graph.cells:
        values = planned.cell.values
        strategy, size, fold = values["strategy"], values["size"], values.get("fold", 0)
        if (strategy, size, fold) in left_out:
            continue
        for stage, key in planned.keys.items():
            is_capped = stage == planned.cell.result and (strategy, size, fold) in capped
            measured = record(
                plan.graph.nodes[key],
                seconds=SECONDS[stage] * size / 20,
                stop_reason="max_steps" if is_capped else "converged",
                metrics={"validation.loss": 1.0},
                machines=[Machine(device="cpu", name="a CPU", threads=1)],
            )
            plan.store.stage(key).write_record(measured)
        error = ERRORS[strategy] * (size / 20) ** -0.5 * math.exp(0.3 * fold + noise * rng.normal())
        node = plan.graph.nodes[planned.keys[planned.cell.result]]
        for evaluation in node.evaluations:
            evaluate(plan.store, node, evaluation, error)
    return plan


def trained(folder: Path, *changes: tuple[str, str], name: str = "strategies.yaml", **planted) -> Plan:
    """Write the spec, and the records of its run into `store` beside it."""
    return train(prepare(written(folder, *changes, name=name), folder / "store"), **planted)


Y = "result.test.cc.energy_mae"
EQUAL = EqualIn("compute", lambda one: one.work.seconds, lambda cost: f"{cost:.6g} s")
SPREAD = (0.8, 1.0, 1.25)
"""Of the error, by replicate."""


def setting(number, strategy, seconds, error, *, capped=()):
    def outcome(seed):
        cell = CellRecord(values={}, stages={}, result="result", sizes={}, evaluations={})
        return FinishedCell(
            cell=cell, key=f"{number}-{seed}", error=error * SPREAD[seed], path=MetricPath.parse(Y), method="cc",
            learned=("cc",), target="", direct=strategy == "direct", seed=seed, split_seed=0, converged=seed not in capped,
            offsets_only=None, within_formula=None,
        )  # fmt: skip

    return StrategySetting(
        number=number, strategy=strategy, base=strategy, axes=(), needs=(), labels={"cc": number + 1}, method="cc",
        family="one", target="", outcomes=tuple(map(outcome, range(len(SPREAD)))), work=TrainingWork(seconds, frozenset(), is_gpu=False),
    )  # fmt: skip


def compared(curves, **capped):
    """Compare curves, strategy -> its (seconds, error), at equal training time."""
    made = [(name, *knot) for name, knots in curves.items() for knot in knots]
    found = [setting(n, name, *knot, capped=capped.get(name, ())) for n, (name, *knot) in enumerate(made)]
    return at_equal_cost(found, "direct", Y, EQUAL)
