import pytest

from mfsweep.errors import SpecError
from mfsweep.plan.expand import expand
from mfsweep.spec.load import load


def test_size_zero_vanishes_and_its_child_starts_fresh_with_the_fresh_recipe(write_spec):
    direct, *_, chained = expand(load(write_spec()))
    assert list(direct.stages) == ["finetune"]
    assert direct.stages["finetune"].parent is None
    assert direct.stages["finetune"].stage.learning_rate == 1e-3
    assert list(chained.stages) == ["pretrain", "finetune"]
    assert chained.stages["finetune"].parent == "pretrain"
    assert chained.stages["finetune"].stage.learning_rate == 1e-4


def test_continued_merges_into_nested_parts_of_the_recipe(write_spec):
    path = write_spec(
        (
            "    continued: {learning_rate: 1.0e-4}",
            "    schedule: {factor: 0.5, patience_steps: 7}\n    continued: {schedule: {factor: 0.25}}",
        ),
    )
    schedule = expand(load(path))[-1].stages["finetune"].stage.schedule
    assert (schedule.factor, schedule.patience_steps) == (0.25, 7)


def test_a_stage_that_the_result_does_not_need_vanishes(write_spec):
    cells = expand(load(write_spec(("result: finetune", "result: pretrain"), ("[0, 20, 40]", "[20, 40]"))))
    assert {tuple(cell.stages) for cell in cells} == {("pretrain",)}


def test_empty_sets_vanish_before_probabilities_are_shared(write_spec):
    path = write_spec(
        ('train: [{labels: cc, subset: a, size: "${finetune_size}"}]',
         'train: [{labels: cc, subset: a}, {labels: dft, subset: b, size: "${pretrain_size}", probability: "${alpha}"}]'),
        ("[20, 60]", "[20, 60]\n  alpha: [0.25]"), ('    train: [{labels: dft, subset: b, size: "${pretrain_size}"}]',
         '    train: [{labels: dft, subset: b, size: "${finetune_size}"}]'),
    )  # fmt: skip
    cells = expand(load(path))
    shares = {
        cell.values["pretrain_size"]: [(s.labels, s.probability) for s in cell.stages["finetune"].mixture.sets]
        for cell in cells
    }
    assert shares == {0: [("cc", 1.0)], 20: [("cc", 0.75), ("dft", 0.25)], 40: [("cc", 0.75), ("dft", 0.25)]}


MIXTURE = 'train: [{labels: cc, subset: a, size: "${finetune_size}"'


@pytest.mark.parametrize(
    ("changes", "place", "says"),
    [
        ([("start_from: pretrain", "start_from: pretrian")], "stages.finetune.start_from", "Did you mean 'pretrain'?"),
        ([("result: finetune", "result: fintune")], "result", "Did you mean 'finetune'?"),
        ([("[0, 20, 40]", "[0, twenty]")], "axes.pretrain_size[1]", "got 'twenty', expected a whole number or 'all' or 'labelled', as stages.pretrain.train[0].size takes it"),
        ([("  finetune_size: [20, 60]", "  finetune_size: [20, 60]\n  colour: [red]")], "axes.colour", "an axis that some ${colour} refers to"),
        ([('size: "${finetune_size}"', 'size: "${finetune_sise}"')], "stages.finetune.train[0].size", "Did you mean ${finetune_size}?"),
        ([("max_steps: 4\n    validate_every: 2\n  finetune", "max_stepz: 4\n  finetune")], "stages.pretrain.max_stepz", "Did you mean 'max_steps'?"),
        ([("{learning_rate: 1.0e-4}", "{learning_rte: 1.0e-4}")], "stages.finetune.continued.learning_rte", "Did you mean 'learning_rate'?"),
        ([("{learning_rate: 1.0e-4}", "{train: []}")], "stages.finetune.continued.train", "holds for both cases"),
        ([("  pretrain:\n", "  pretrain:\n    start_from: finetune\n")], "stages.finetune", "do not start from themselves"),
        ([("[20, 60]", "[0, 20]")], "result", "a stage with training structures"),
        ([(MIXTURE, MIXTURE + ", probability: 0.5")], "stages.finetune.train", "probabilities that sum to 1"),
        ([(MIXTURE, MIXTURE + ", probability: 1.5")], "stages.finetune.train[0].probability", "at most 1"),
        ([(MIXTURE, MIXTURE + "}, {labels: cc, subset: a, size: 20")], "stages.finetune.train[1]", "each pair of labels and subset once"),
        ([(MIXTURE, MIXTURE + ", range: [0, 10]")], "stages.finetune.train[0]", "`size` or `range`, not both"),
        ([('size: "${finetune_size}"', 'range: [20, "${finetune_size}"]'), ("[20, 60]", "[10, 60]")], "stages.finetune.train[0]", "i <= j"),
        ([(MIXTURE, MIXTURE + ", use: [energies]")], "stages.finetune.train[0].use[0]", "'energy' or 'forces'"),
        ([("labels: cc, subset: a, size", "labels: {target: cc, mines: xtb}, subset: a, size")], "stages.finetune.train[0].labels.mines", "Did you mean 'minus'?"),
        ([("    start_from: pretrain", "    start_from: pretrain\n    trainable: readout")], "stages.finetune.trainable", "'readouts'"),
        ([("    start_from: pretrain", "    start_from: pretrain\n    heads: {cc: {fro: dft}}")], "stages.finetune.heads.cc.fro", "Did you mean 'from'?"),
        ([("    start_from: pretrain", "    start_from: pretrain\n    learning_rate: {backbone: 0, readouts: 0}")], "stages.finetune.learning_rate", "nothing would be left to train"),
        ([(MIXTURE, MIXTURE + ", head: one"), ("}]\n    max_steps: 4\n    validate_every: 2\n    continued", "}, {labels: cc, subset: b}]\n    max_steps: 4\n    continued")], "stages.finetune.train[1].head", "one readout head"),
        ([("architecture: mace", "architecture: mase")], "model.architecture", "Did you mean 'mace'?"),
        ([("channels: 4", "chanels: 4")], "model.chanels", "Did you mean 'channels'?"),
        ([("model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}", "model: {architecture: allegro, chanels: 4}")], "model.chanels", "one of architecture, r_max"),
    ],
)  # fmt: skip
def test_a_wrong_stage_is_refused_at_its_place(write_spec, changes, place, says):
    path = write_spec(*changes)
    with pytest.raises(SpecError) as caught:
        expand(load(path))
    assert f": {place}: got " in str(caught.value)
    assert says in str(caught.value)


def test_an_error_of_some_cells_only_names_the_cell(write_spec):
    with pytest.raises(SpecError, match=r"train\[0\]: got .* \(in the cell with \{'pretrain_size': 20\}\)"):
        expand(load(write_spec(('size: "${pretrain_size}"', 'range: ["${pretrain_size}", 10]'))))


def test_a_bundle_fills_several_fields(write_spec):
    path = write_spec(
        ("[20, 60]", "[20, 60]\n  variant:\n    direct: {parent: null}\n    chain: {parent: pretrain}"),
        ("start_from: pretrain", 'start_from: "${variant.parent}"'),
    )
    cells = expand(load(path))
    assert {(cell.values["variant"], cell.stages["finetune"].parent) for cell in cells} == {
        ("direct", None),
        ("chain", None),  # size 0: nothing to start from
        ("chain", "pretrain"),
    }


FOLDED = ("  splits:\n", '  splits:\n    folds: 3\n    fold: "${fold}"\n')


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ([FOLDED], "data.splits.fold: got '${fold}', expected an axis `fold`, in every block of the axes"),
        ([("[20, 60]", "[20, 60]\n  fold: [0, 1]")], "axes.fold: got [0, 1], expected data.splits to have `folds: K`"),
        ([FOLDED, ("[20, 60]", "[20, 60]\n  fold: [0, 3]")], "axes.fold: got 3, expected a fold from 0 to 2"),
        ([("  splits:\n", "  splits:\n    folds: 3\n")], "or neither"),
        ([("  splits:\n", "  splits:\n    folds: 3\n    fold: 3\n")], "fold: expected one of 0 to 2, got 3"),
        ([("  splits:\n", "  splits:\n    folds: 1\n    fold: 0\n")], "data.splits.folds"),
    ],
)
def test_folds_that_there_are_not_are_refused_with_their_place(write_spec, changes, said):
    with pytest.raises(SpecError) as raised:
        expand(load(write_spec(*changes)))
    assert said in str(raised.value)
