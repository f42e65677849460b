"""A cell's strategy is told from its stages, whatever its axes and stages are called."""

from __future__ import annotations

import pytest
import strategies

from mfsweep.plan.strategies import minus, strategy
from mfsweep.prepare import prepare

NAMES = {
    "direct": "direct",
    "pretrain": "pre-training on dft",
    "frozen": "pre-training on dft, frozen backbone",
    "lora": "pre-training on dft, LoRA",
    "multihead": "multi-head with dft",
    "then_tuned": "multi-head with dft, then fine-tuning",
    "delta": "delta-learning on dft",
}


def names(tmp_path, *changes):
    """Return axis value -> the strategies that the stages tell."""
    path = strategies.written(tmp_path, ("bundled:mini-ccx", "missing.h5"), *changes)
    graph = prepare(path, tmp_path / "store", allow_missing_data=True).graph
    found = {}
    for planned in graph.cells:
        found.setdefault(planned.cell.values["strategy"], set()).add(strategy(graph, planned))
    return found, {planned.cell.values["strategy"]: minus(graph, planned) for planned in graph.cells}


def test_each_strategy_has_its_name_and_a_difference_says_what_it_needs(tmp_path):
    found, needs = names(tmp_path)
    assert found == {name: {expected} for name, expected in NAMES.items()}
    assert needs == {name: ("dft",) if name == "delta" else () for name in NAMES}


@pytest.mark.parametrize(
    ("changes", "which", "expected"),
    [
        ([("  finetune:\n", "  finetune:\n    heads: {cc: {from: fresh}}\n")], "pretrain", "pre-training on dft, fresh head"),
        (
            [("  finetune:\n", "  finetune:\n    heads: {cc: {from: fresh, hidden: [32]}}\n")],
            "frozen",
            "pre-training on dft, frozen backbone, fresh head of another width",
        ),
        ([("  finetune:\n", "  finetune:\n    heads: {cc: {from: fresh}}\n")], "direct", "direct"),
        (
            [('{labels: dft, subset: a, size: "${size}"}]\n    <<: *recipe', '{labels: dft, subset: a, size: "${size}", head: cc}]\n    <<: *recipe')],
            "multihead",
            "one head with dft",
        ),
        ([("labels: dft, subset: a", "labels: {shuffled: dft}, subset: a")], "pretrain", "pre-training on dft-shuffled"),
    ],
)  # fmt: skip
def test_what_changes_a_strategy_is_in_its_name(tmp_path, changes, which, expected):
    assert names(tmp_path, *changes)[0][which] == {expected}
