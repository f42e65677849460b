"""Names of scores in a plan: each says what it is of, and none is another's."""

from __future__ import annotations

import itertools

import pytest

from mfsweep.errors import SpecError
from mfsweep.plan.expand import expand
from mfsweep.plan.graph import build
from mfsweep.plan.metrics import check_path, measured_by
from mfsweep.spec.data import Content
from mfsweep.spec.load import load

ASKED = "evaluate: [{labels: cc, subset: t}]"
SPLITS = (
    "    b: {size: rest, validation: 20, needs: [dft]}",
    "    b: {size: 60, validation: 20, needs: [cc, dft, xtb]}\n    c: {size: 20, validation: 10, needs: [cc, dft, xtb]}",
)
NEEDS = ("needs: [cc, dft]}", "needs: [cc, dft, xtb]}")
SETS = {
    "direct": ("    start_from: pretrain\n", ""),
    "pretrain": ("", ""),
    "frozen": ("learning_rate: 1.0e-4}", "trainable: readouts}"),
    "adapters": ("learning_rate: 1.0e-4}", "trainable: lora}"),
    "multihead": ('[{labels: cc, subset: a, size: "${finetune_size}"}]', '[{labels: cc, subset: a, size: "${finetune_size}"}, {labels: dft, subset: b, size: 20}]\n    heads: {cc: {from: fresh}, dft: {from: fresh}}'),
    "one head": ('[{labels: cc, subset: a, size: "${finetune_size}"}]', '[{labels: cc, subset: a, size: "${finetune_size}", head: both}, {labels: dft, subset: b, size: 20, head: both}]'),
    "delta": ('[{labels: cc, subset: a, size: "${finetune_size}"}]', '[{labels: {target: cc, minus: xtb}, subset: a, size: "${finetune_size}"}]'),
}  # fmt: skip
"""How each strategy of the language changes the small spec."""


@pytest.fixture
def planned(write_spec):
    """Give a function that plans the small spec with some evaluations of its result."""

    def plan(evaluations, *changes):
        spec = load(write_spec(SPLITS, NEEDS, (ASKED, f"evaluate: {evaluations}"), *changes))
        return spec, build(spec, expand(spec), Content(digest="0" * 64))

    return plan


def everything(strategy):
    """Return an evaluation of each part of each subset, by both checkpoints."""
    places = [("test", "t"), ("test", "c"), *itertools.product(("train", "validation"), ("a", "b"))]
    return "[" + ", ".join(
        f"{{labels: cc, subset: {subset}, part: {part}, checkpoint: {checkpoint}}}"
        for (part, subset), checkpoint in itertools.product(places, ("selected", "best"))
    ) + "]"  # fmt: skip


def change(strategy):
    old, new = SETS[strategy]
    changes = [(old, new)] if old else []
    if strategy == "direct":  # no axis is left over
        changes += [("  pretrain_size: [0, 20, 40]\n", ""), ('size: "${pretrain_size}"', "size: 20"),
                    ("    continued: {learning_rate: 1.0e-4}\n", ""), ("x: pretrain.validation.energy_mae", "x: result.validation.energy_mae")]  # fmt: skip
    return changes


@pytest.mark.parametrize("strategy", SETS)
def test_no_two_metrics_of_a_stage_share_a_name(planned, strategy):
    spec, graph = planned(everything(strategy), *change(strategy))
    measured = measured_by(spec, graph)
    for key, names in measured.items():
        assert len(set(names)) == len(names)
        scores = {name.rpartition(".")[0] for name in names if not name.startswith("validation.")}
        assert len(scores) == len(graph.nodes[key].evaluations)
    result = measured[next(node.key for node in graph.nodes.values() if node.name == "finetune")]
    names = {name.rpartition(".")[0] for name in result}
    assert {"test.cc", "test@c.cc", "train@a.cc", "train@b.cc", "validation@a.cc", "validation@b.cc"} <= names
    assert {f"{name}@best" for name in ("test.cc", "validation@b.cc")} <= names


def test_what_is_written_out_as_the_default_is_the_default(planned):
    _, short = planned("[{labels: cc, subset: t}]")
    _, written = planned("[{labels: cc, subset: t, part: test, checkpoint: selected}]")
    identities = [[e.identity() for node in graph.nodes.values() for e in node.evaluations] for graph in (short, written)]  # fmt: skip
    assert identities[0] == identities[1]
    assert "checkpoint" not in identities[0][0]


def test_another_checkpoint_is_another_evaluation(planned):
    _, graph = planned("[{labels: cc, subset: t}, {labels: cc, subset: t, checkpoint: best}]")
    for node in graph.nodes.values():
        if node.name == "finetune":
            assert [e.name for e in node.evaluations] == ["test.cc", "test.cc@best"]
            assert len({e.key for e in node.evaluations}) == 2


def test_a_clash_is_refused_with_both_places(planned):
    zero_shot = "[{labels: xtb, subset: t, head: cc}, {labels: xtb, subset: t, head: cc, offsets: cc}]"
    with pytest.raises(SpecError) as raised:
        planned(zero_shot)
    said = str(raised.value)
    assert ": evaluate[1]: got 'xtb on t', expected one evaluation of stage 'finetune' called test.xtb@cc: " in said
    assert "evaluate[0] on line " in said
    assert "differs in offsets" in said


def test_a_clash_of_a_stages_own_evaluation_with_the_results_names_both(planned):
    own = (
        "    start_from: pretrain\n",
        "    start_from: pretrain\n    evaluate: [{labels: xtb, subset: t, head: cc, offsets: cc}]\n",
    )
    with pytest.raises(SpecError, match=r"evaluate\[1\]: got 'xtb on t'.*stages\.finetune\.evaluate\[0\] on line \d+"):
        planned("[{labels: cc, subset: t}, {labels: xtb, subset: t, head: cc}]", own)


def test_a_short_name_never_means_what_another_cell_asked_for(planned):
    """The subset is an axis: its cells share their stages, and `test.cc` would be the score on t in both."""
    where = ("  finetune_size: [20, 60]", "  finetune_size: [20, 60]\n  where: {held: {subset: t}, other: {subset: c}}")
    with pytest.raises(SpecError) as raised:
        planned('[{labels: cc, subset: "${where.subset}"}]', where)
    said = str(raised.value)
    assert "evaluate[0]: got 'cc on c', expected one on 't' beside it" in said
    assert "A path to this one says test@c.cc" in said
    both = '[{labels: cc, subset: t}, {labels: cc, subset: "${where.subset}"}]'
    spec, graph = planned(both, where)
    check_path(spec, graph, measured_by(spec, graph), ("fits",), "result.test@c.cc.energy_mae")


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("result.test@b.cc.energy_mae", "a subset of which its test part is scored (t, c)"),
        ("result.train.cc.energy_mae", "as in result.train@a.cc.energy_mae: the stage has train@a.cc and train@b.cc there"),
        ("result.test.cc@best.energy_mae", "(cc) in place of 'cc@best'; `checkpoint: best` in the spec's `evaluate:` adds it"),
        ("result.validation@b.dft.energy_mae", "a method of the stage's validation errors (cc) in place of 'dft'"),
    ],
)  # fmt: skip
def test_a_path_that_names_no_score_says_what_there_is(planned, path, says):
    asked = "{labels: cc, subset: t}, {labels: cc, subset: c}, {labels: cc, subset: b, part: validation}"
    spec, graph = planned(f"[{asked}, {{labels: cc, subset: a, part: train}}, {{labels: cc, subset: b, part: train}}]")
    with pytest.raises(SpecError) as raised:
        check_path(spec, graph, measured_by(spec, graph), ("fits",), path)
    assert says in str(raised.value)


@pytest.mark.parametrize("place", ["labels", "head"])
def test_nothing_is_called_as_the_best_checkpoint(planned, place):
    changes = {
        "labels": [("    xtb: {energy", "    best: {energy"), ("needs: [cc, dft, xtb]", "needs: [cc, dft]")],
        "head": [("labels: cc, subset: a", "labels: cc, head: best, subset: a")],
    }
    with pytest.raises(SpecError, match=r"another name.*: 'best' ends the names of scores"):
        planned("[{labels: cc, subset: t}]", *changes[place])
