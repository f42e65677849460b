"""The hard experiments of the source study, as they read in a spec: what they come to, and what they share."""

from __future__ import annotations

import pytest

from mfsweep.errors import SpecError
from mfsweep.models.mace import Mace
from mfsweep.plan.expand import expand
from mfsweep.plan.fits import check_search
from mfsweep.plan.graph import ModelFile, StageGraph, build
from mfsweep.spec.data import Content, Difference, Shuffled
from mfsweep.spec.load import load
from mfsweep.spec.stage import Head, Lora, LossWeights, Rates

HEAD = """\
name: hard
data:
  source: bundled:mini-ccx
  labels:
    cc: {energy: "ccsd(t)_631gd.energy"}
    dft: {energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}
    xtb: {energy: "gfn2_xtb.energy", forces: "gfn2_xtb.forces"}
  splits:
    a: {size: 120, validation: 60, needs: [cc, dft, xtb]}
    t: {size: 160, validation: 20, needs: [cc, dft, xtb]}
    b: {size: 300, validation: 80, needs: [dft, xtb]}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1}
resources: {workers: 1, gpus_per_worker: 0}
"""
FIG6 = """\
axes:
  n: [40, 120]
  method: [dft, xtb]
  variant:
    direct: {parent: null, use: [energy]}
    energy: {parent: pretrain, use: [energy]}
    forces: {parent: pretrain, use: [forces]}
    both: {parent: pretrain, use: [energy, forces]}
stages:
  pretrain: {train: [{labels: "${method}", subset: a, size: "${n}", use: "${variant.use}"}]}
  finetune:
    start_from: "${variant.parent}"
    train: [{labels: cc, subset: a, size: "${n}"}]
    continued: {learning_rate: 1.0e-4}
result: finetune
evaluate: [{labels: cc, subset: t}]
"""
FIG7 = """\
axes:
  variant:
    direct: {parent: null, trainable: all, head: {}}
    full: {parent: pretrain, trainable: all, head: {from: parent}}
    frozen: {parent: pretrain, trainable: readouts, head: {from: parent}}
    enlarged: {parent: pretrain, trainable: readouts, head: {from: fresh, hidden: [256]}}
stages:
  pretrain: {train: [{labels: dft, subset: b, size: 100}]}
  finetune:
    start_from: "${variant.parent}"
    train: [{labels: cc, subset: a, size: 40}]
    continued: {trainable: "${variant.trainable}", heads: {cc: "${variant.head}"}}
result: finetune
evaluate: [{labels: cc, subset: t}]
"""
FIG8 = """\
axes:
  n: [40, 120]
  strategy:
    direct: {parent: null, head: {}, result: finetune}
    pretrain: {parent: pretrain, head: {from: dft}, result: finetune}
    multihead: {parent: null, head: {}, result: joint}
    multihead_finetune: {parent: joint, head: {from: cc}, result: finetune}
    delta: {parent: null, head: {}, result: delta}
    merged: {parent: null, head: {}, result: merged}
stages:
  pretrain: {train: [{labels: dft, subset: a, size: "${n}"}]}
  joint:
    train: [{labels: cc, subset: a, size: "${n}"}, {labels: dft, subset: a, size: "${n}"}]
    select_on: validation.cc.energy_mae
  delta: {train: [{labels: {target: cc, minus: xtb}, subset: a, size: "${n}"}]}
  merged:
    train: [{labels: cc, subset: a, size: "${n}", head: one}, {labels: dft, subset: a, size: "${n}", head: one}]
    select_on: {validation.cc.energy_mae: 3, validation.dft.energy_mae: 1}
  finetune:
    start_from: "${strategy.parent}"
    train: [{labels: cc, subset: a, size: "${n}"}]
    continued: {learning_rate: 1.0e-4, heads: {cc: "${strategy.head}"}}
result: "${strategy.result}"
evaluate: [{labels: cc, subset: t}]
"""
FIG12B = """\
axes: {x: [0, 25, 300]}
stages:
  joint:
    train:
      - {labels: cc, subset: a, size: 40}
      - {labels: dft, subset: b, range: [0, "${x}"]}
      - {labels: xtb, subset: b, range: ["${x}", 300]}
result: joint
evaluate: [{labels: cc, subset: t}]
"""
ONE = """\
stages:
  only: {train: [{labels: dft, subset: b, size: 100}]}
result: only
evaluate: [{labels: dft, subset: t}]
"""


@pytest.fixture
def graph_of(tmp_path):
    def make(body, *changes, files=None) -> StageGraph:
        text = HEAD + body
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        path = tmp_path / "hard.yaml"
        path.write_text(text)
        spec = load(path)
        return build(spec, expand(spec), Content(digest="0" * 64), files)

    return make


def result_of(graph, **values):
    (cell,) = (c for c in graph.cells if values.items() <= c.cell.values.items())
    return graph.nodes[cell.keys[cell.cell.result]]


def test_use_leaves_out_a_loss_term_and_shares_the_direct_stage(graph_of):
    graph = graph_of(FIG6)
    losses = {
        node.values["variant"]: node.training.recipe.loss["xtb"]
        for node in graph.nodes.values()
        if node.name == "pretrain" and node.values["method"] == "xtb" and node.values["n"] == 40
    }
    assert losses == {
        "energy": LossWeights(energy=1, forces=0),
        "forces": LossWeights(energy=0, forces=1),
        "both": LossWeights(energy=1, forces=1),
    }
    assert result_of(graph, n=40, method="dft", variant="direct") is result_of(
        graph, n=40, method="xtb", variant="direct"
    )
    assert len(graph.nodes) == 2 * 2 * 3 * 2 + 2


def test_a_use_of_all_labels_is_the_stage_without_one(graph_of):
    assert graph_of(ONE).nodes.keys() == graph_of(ONE, ("size: 100", "size: 100, use: [forces, energy]")).nodes.keys()


def test_variants_of_fine_tuning_share_their_parent(graph_of):
    graph = graph_of(FIG7)
    assert sum(node.name == "pretrain" for node in graph.nodes.values()) == 1
    found = {v: result_of(graph, variant=v).training for v in ("direct", "full", "frozen", "enlarged")}
    assert {v: training.recipe.trainable for v, training in found.items()} == {
        "direct": None, "full": None, "frozen": "readouts", "enlarged": "readouts"
    }  # fmt: skip
    assert {v: training.heads for v, training in found.items()} == {
        "direct": None, "full": None, "frozen": None, "enlarged": {"cc": Head(source="fresh", hidden=(256,))}
    }  # fmt: skip


def test_strategies_stand_side_by_side_and_a_named_head_that_is_the_rule_changes_no_key(graph_of):
    graph, plain = graph_of(FIG8), graph_of(FIG8, (', heads: {cc: "${strategy.head}"}', ""))
    assert result_of(graph, n=40, strategy="pretrain").key == result_of(plain, n=40, strategy="pretrain").key
    assert {planned.cell.values["strategy"]: list(planned.keys) for planned in graph.cells} == {
        "direct": ["finetune"],
        "pretrain": ["pretrain", "finetune"],
        "multihead": ["joint"],
        "multihead_finetune": ["joint", "finetune"],
        "delta": ["delta"],
        "merged": ["merged"],
    }
    assert all(node.evaluations[0].name == "test.cc" for node in graph.nodes.values() if node.evaluations)


def test_a_difference_is_a_method_of_its_own_and_is_scored_as_base_plus_correction(graph_of):
    node = result_of(graph_of(FIG8), n=40, strategy="delta")
    assert node.training.methods == ("cc-xtb",)
    assert node.training.data.derived == {"cc-xtb": Difference(target="cc", minus="xtb")}
    assert node.training.recipe.loss == {"cc-xtb": LossWeights(energy=100, forces=0)}
    (evaluation,) = node.evaluations
    assert (evaluation.labels, evaluation.head, evaluation.offsets, evaluation.base) == (
        "cc",
        "cc-xtb",
        "cc-xtb",
        "xtb",
    )


def test_one_head_learns_two_methods_with_their_own_offsets(graph_of):
    node = result_of(graph_of(FIG8), n=40, strategy="merged")
    assert (node.training.methods, node.training.head_names) == (("cc", "dft"), ("one",))
    assert (node.evaluations[0].head, node.evaluations[0].offsets) == ("one", "cc")
    assert node.training.recipe.select_on == {"validation.cc.energy_mae": 3, "validation.dft.energy_mae": 1}


def test_ranges_share_out_one_shuffle_and_empty_ones_vanish(graph_of):
    graph = graph_of(FIG12B)
    sets = {
        x: [(s.labels, s.size, s.range) for s in result_of(graph, x=x).training.sets] for x in (0, 25, 300)
    }  # fmt: skip
    assert sets == {
        0: [("cc", 40, None), ("xtb", 300, None)],
        25: [("cc", 40, None), ("dft", 25, None), ("xtb", "all", (25, 300))],
        300: [("cc", 40, None), ("dft", 300, None)],
    }


def test_shuffled_labels_are_a_method_of_their_own(graph_of):
    graph = graph_of(
        ONE,
        ("labels: dft, subset: b", "labels: {shuffled: dft}, subset: b"),
        ("labels: dft, subset: t", "labels: dft, subset: t, head: dft-shuffled"),
    )
    (node,) = graph.nodes.values()
    assert node.training.data.derived == {"dft-shuffled": Shuffled(shuffled="dft")}
    assert node.key not in graph_of(ONE).nodes


def test_methods_told_apart_by_vectors_are_another_model_under_the_same_rules(graph_of):
    """Rule 9 chooses the row of the table that a method starts from, as it chooses a head."""
    plain, graph = graph_of(FIG8), graph_of(FIG8, ("correlation: 1}", "correlation: 1, conditioning: embedding}"))
    assert not graph.nodes.keys() & plain.nodes.keys()
    assert [node.training.heads for node in graph.nodes.values()] == [
        node.training.heads for node in plain.nodes.values()
    ]
    unnamed = [("correlation: 1}", "correlation: 1, conditioning: embedding}"), ('[{labels: cc, subset: a, size: "${n}"}, {labels: dft', '[{labels: xtb, subset: a, size: "${n}"}, {labels: dft'), ("{from: cc}", "{}"), ("select_on: validation.cc.energy_mae", "select_on: validation.dft.energy_mae")]  # fmt: skip
    with pytest.raises(SpecError, match="a parent with a head 'cc', or with one head only: it has dft, xtb; name one"):
        graph_of(FIG8, *unnamed)


def test_adapters_and_rates_are_part_of_the_recipe(graph_of):
    trained = 'continued: {trainable: lora, learning_rate: {backbone: 1.0e-4, readouts: 1.0e-3}, heads: {cc: "${variant.head}"}}'
    node = result_of(
        graph_of(FIG7, ('continued: {trainable: "${variant.trainable}", heads: {cc: "${variant.head}"}}', trained)),
        variant="full",
    )
    assert node.training.recipe.lora == Lora()
    assert node.training.recipe.learning_rate == Rates(backbone=1e-4, readouts=1e-3)


MODEL = Mace(channels=4, max_L=0, max_ell=1, correlation=1)
FILE = ("stages:\n  only: {", "stages:\n  only: {start_from: file:model.pt, ")


def test_a_model_file_is_a_parent_by_content(graph_of):
    file = ModelFile("f" * 64, MODEL, {"pbe": None}, "model: ...")
    (node,) = graph_of(ONE, FILE, files={"model.pt": file}).nodes.values()
    assert (node.training.parent, node.training.file) == (None, "f" * 64)
    assert node.key not in graph_of(ONE).nodes


@pytest.mark.parametrize(
    ("body", "changes", "place", "says"),
    [
        (FIG6, [("method: [dft, xtb]", "method: [cc, xtb]")], "stages.pretrain.train[0].use", "cc has no forces"),
        (FIG6, [("stages:\n  pretrain: {", "stages:\n  pretrain: {loss: {dft: {energy: 0, forces: 1}}, ")], "stages.pretrain.train[0].use", "nothing would be trained"),
        (FIG7, [("head: {from: fresh, hidden: [256]}", "head: {from: dtf}")], "stages.finetune.heads.cc.from", "a head of the parent: dft. Did you mean 'dft'?"),
        (FIG7, [("head: {from: fresh, hidden: [256]}", "head: {from: parent, hidden: [256]}")], "stages.finetune.heads.cc.hidden", "the parent's width [16]"),
        (FIG7, [('heads: {cc: "${variant.head}"}', "heads: {dft: {from: fresh}}")], "stages.finetune.heads.dft", "a readout head that a labelled set trains: cc"),
        (FIG7, [("correlation: 1}", "correlation: 1, conditioning: embedding}")], "stages.finetune.heads.cc.hidden", "all heads share a readout as wide as"),
        (FIG8, [("correlation: 1}", "correlation: 1, conditioning: embeding}")], "model.conditioning", "Did you mean 'embedding'?"),
        (FIG8, [("architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1}", "architecture: allegro, conditioning: embedding}")], "model.conditioning", "allegro takes no vectors of methods (mace or painn does)"),
        (FIG7, [('continued: {trainable: "${variant.trainable}"', 'trainable: readouts\n    continued: {trainable: "${variant.trainable}"')], "stages.finetune.trainable", "it would stay random"),
        (FIG7, [('trainable: "${variant.trainable}"', "trainable: readouts, learning_rate: {backbone: 1, readouts: 0}")], "stages.finetune.continued.learning_rate", "nothing is left to train"),
        (FIG8, [("minus: xtb", "minus: xbt")], "stages.delta.train[0].labels", "Did you mean 'xtb'?"),
        (FIG8, [("minus: xtb", "minus: cc")], "stages.delta.train[0].labels", "the difference of two label methods"),
        (FIG8, [("validation.dft.energy_mae: 1", "validation.xtb.energy_mae: 1")], "stages.merged.select_on.validation.xtb.energy_mae", "a method this stage trains on"),
        (FIG8, [("validation.dft.energy_mae: 1", "test.cc.energy_mae: 1")], "stages.merged.select_on.test.cc.energy_mae", "test labels touch nothing"),
        (FIG8, [("minus: xtb}, subset: a", "minus: xtb}, subset: t"), ("  splits:", "  allow_auxiliary_on_test: [xtb]\n  splits:")], "stages.delta.train[0]", "predictions are compared with the cc labels of these structures"),
        (FIG12B, [('range: ["${x}", 300]', 'range: ["${x}", 301]')], "stages.joint.train[2].range", "at most the 300 training structures"),
        (FIG12B, [("size: 40}", "size: 40, probability: 0.7}"), ('range: [0, "${x}"]', 'range: [0, "${x}"], probability: 0.5')], "stages.joint.train", "probabilities that sum to 1"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_refused_at_its_place(graph_of, body, changes, place, says):
    with pytest.raises(SpecError) as caught:
        graph_of(body, *changes)
    assert f": {place}: got " in str(caught.value)
    assert says in str(caught.value)


def test_a_model_file_of_another_size_is_refused_with_the_model_to_write(graph_of):
    file = ModelFile("f" * 64, MODEL.but(channels=8), {"pbe": None}, "{architecture: mace, channels: 8}")
    with pytest.raises(
        SpecError, match=r"model: got .*from which stage 'only' starts: \{architecture: mace, channels: 8\}"
    ):
        graph_of(ONE, FILE, files={"model.pt": file})


@pytest.mark.parametrize(
    ("objective", "says"),
    [
        ("test.dft.energy_mae", "test labels touch nothing"),
        ("result.validation.loss", "validation.<method>.<quantity>"),
        ("validation.loss", "weighted by what may be searched"),
        ("validation.dft.energy_mea", "Did you mean 'energy_mae'?"),
        ("validation.cc.energy_mae", "in place of 'cc'"),
    ],
)
def test_a_search_lowers_a_validation_metric_of_the_result(tmp_path, objective, says):
    body = ONE.replace("size: 100", 'size: 100, probability: "${alpha}"')
    path = tmp_path / "hard.yaml"
    path.write_text(
        HEAD + f"axes: {{alpha: {{low: 0.1, high: 1.0}}}}\nsearch: {{objective: {objective}, trials: 2}}\n" + body
    )
    spec = load(path).at([{"alpha": 1.0}])
    with pytest.raises(SpecError, match=r"search\.objective: got ") as caught:
        check_search(spec, build(spec, expand(spec), Content(digest="0" * 64)))
    assert says in str(caught.value)


TWO = FIG8.replace(
    'delta: {train: [{labels: {target: cc, minus: xtb}, subset: a, size: "${n}"}]}',
    'delta: {train: [{labels: {target: cc, minus: xtb}, subset: a, size: "${n}"}, {labels: {target: cc, minus: dft}, subset: a, size: "${n}"}]}',
)
ON_T = "evaluate: [{labels: cc, subset: t}]"


def test_of_two_differences_of_one_target_the_base_names_the_one(graph_of):
    with pytest.raises(SpecError, match="one of the differences of cc by its `base`: xtb or dft"):
        graph_of(TWO)
    by_base = TWO.replace(ON_T, "").replace(
        "delta: {train", "delta: {evaluate: [{labels: cc, subset: t, base: dft}], train"
    )
    (evaluation,) = result_of(graph_of(by_base), n=40, strategy="delta").evaluations
    assert (evaluation.head, evaluation.offsets, evaluation.base) == ("cc-dft", "cc-dft", "dft")


def test_a_delta_head_that_is_named_predicts_base_plus_correction_too(graph_of):
    named = FIG8.replace(ON_T, "").replace(
        "delta: {train", "delta: {evaluate: [{labels: cc, subset: t, head: cc-xtb}], train"
    )
    (evaluation,) = result_of(graph_of(named), n=40, strategy="delta").evaluations
    assert (evaluation.head, evaluation.offsets, evaluation.base) == ("cc-xtb", "cc-xtb", "xtb")


def test_a_base_is_what_a_difference_was_taken_against(graph_of):
    with pytest.raises(SpecError, match="base: cc', expected what a difference of cc"):
        graph_of(FIG8, (ON_T, "evaluate: [{labels: cc, subset: t, base: cc}]"))


def test_a_probability_of_one_leaves_nothing_for_the_other_sets(graph_of):
    body = FIG12B.replace("size: 40}", "size: 40, probability: 1}")
    assert [s.labels for s in result_of(graph_of(body), x=25).training.sets] == ["cc"]


def test_the_rate_of_a_frozen_backbone_changes_no_key(graph_of):
    written = 'trainable: "${variant.trainable}"'
    one = graph_of(FIG7, (written, "trainable: readouts, learning_rate: 0.001"))
    two = graph_of(FIG7, (written, "trainable: readouts, learning_rate: {backbone: 0.1, readouts: 0.001}"))
    three = graph_of(FIG7, (written, "learning_rate: {backbone: 0, readouts: 0.001}"))
    assert one.nodes.keys() == two.nodes.keys() == three.nodes.keys()


def test_the_loss_of_another_cells_difference_may_stand_there(graph_of):
    body = FIG8.replace(
        "  delta: {train", "  delta: {loss: {cc-xtb: {energy: 10, forces: 0}, cc-dft: {energy: 1, forces: 0}}, train"
    )
    body = body.replace("minus: xtb}", 'minus: "${minus}"}').replace(
        "  n: [40, 120]\n", "  n: [40, 120]\n  minus: [xtb, dft]\n"
    )
    assert result_of(graph_of(body), n=40, strategy="delta", minus="dft").training.recipe.loss["cc-dft"] == LossWeights(
        energy=1, forces=0
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([('dft: {energy: "wb97x_631gd.energy", forces', 'cc2: {energy: "ccsd(t)_631gd.energy"}\n    dft: {energy: "wb97x_631gd.energy", forces')], "a key of its own: cc has the energies"),
        ([("    dft: {energy", "    fresh: {energy")], "says where a head comes from"),
        ([("labels: dft, subset: b", "labels: dft, head: parent, subset: b")], "says where a head comes from"),
        ([("stages:\n  only: {", "stages:\n  only: {learning_rate: {backbone: 0, readouts: 1}, ")], "it would stay random"),
    ],
)  # fmt: skip
def test_names_and_rates_that_would_mislead_are_refused(graph_of, changes, says):
    with pytest.raises(SpecError, match=says):
        graph_of(ONE, *changes)
