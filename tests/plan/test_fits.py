import pytest

from mfsweep.errors import SpecError
from mfsweep.plan.expand import expand
from mfsweep.plan.fits import check_fits
from mfsweep.plan.graph import build
from mfsweep.spec.data import Content
from mfsweep.spec.load import load

X, Y, GROUPS = "x: pretrain.validation.energy_mae", "y: result.test.cc.energy_mae", "group_by: [finetune_size]"
TRAIN = '[{labels: dft, subset: b, size: "${pretrain_size}"}]'
JOINT = (TRAIN, '[{labels: dft, subset: b, size: "${pretrain_size}"}, {labels: cc, subset: a}]')
SCORED_TWICE = ("{labels: cc, subset: t}", "{labels: cc, subset: t}, {labels: dft, subset: a, part: train, head: cc}")


@pytest.fixture
def check(write_spec):
    def checked(*changes):
        spec = load(write_spec(*changes))
        check_fits(spec, build(spec, expand(spec), Content(digest="0" * 64)))

    return checked


@pytest.mark.parametrize(
    "changes",
    [
        [],
        [(X, "x: pretrain.validation.dft.force_mae")],
        [(X, "x: finetune.validation.loss")],
        [(Y, "y: finetune.test.energy_rmse")],
        [(Y, "y: result.train.dft@cc.energy_mae"), SCORED_TWICE],
        [(Y, "y: result.train.energy_mae"), SCORED_TWICE],
        [(X, "x: pretrain.validation.loss"), JOINT],
        [(X, "x: pretrain.validation.cc.energy_mae"), JOINT],
        [(X, "x: pretrain.validation.energy_mae"), ("labels: dft, subset: b", 'labels: "${method}", subset: b'),
         ("axes:\n", "axes:\n  method: [dft, xtb]\n"), ("needs: [dft]", "needs: [dft, xtb]"),
         (GROUPS, "group_by: [method, finetune_size]")],
    ],
    ids=["as-it-is", "forces", "loss", "stage-of-result", "other-head", "only-one-there", "pooled-loss", "named", "method-axis"],
)  # fmt: skip
def test_a_fit_of_what_will_be_measured_passes(check, changes):
    check(*changes)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ([(X, "x: pretrian.validaton.energy_mae")], "fits.transfer.x: got 'pretrian.validaton.energy_mae', expected a part"),
        ([(X, "x: pretrian.validation.energy_mae")], "in place of 'pretrian'. Did you mean 'pretrain'?"),
        ([(X, "x: pretrain.validation.enrgy_mae")], "in place of 'enrgy_mae'. Did you mean 'energy_mae'?"),
        ([(X, "x: pretrain.energy_mae")], "expected `<stage|result>.<part>"),
        ([(X, "x: pretrain.validation.dtf.energy_mae")], "in place of 'dtf'. Did you mean 'dft'?"),
        ([(X, "x: pretrain.validation.cc.energy_mae")], "a method of the stage's validation errors (dft)"),
        ([(X, "x: pretrain.test.energy_mae")], "(validation); `evaluate:` of stage pretrain adds one"),
        ([(Y, "y: result.test.dft@cc.energy_mae"), SCORED_TWICE], "fits.transfer.y: got 'result.test.dft@cc.energy_mae'"),
        ([(Y, "y: result.test.cc.force_mae")], "a quantity that is measured there (energy_mae, "),
        ([(Y, "y: result.test.loss")], "a quantity that is measured there"),
        ([(X, "x: pretrain.validation.energy_mae"), JOINT], "as in pretrain.validation.cc.energy_mae: the stage has cc and dft"),
        ([("[0, 20, 40]", "[0]")], "a stage that some cell trains: pretrain is empty in each"),
        ([("    start_from: pretrain\n", ""), ("axes:\n  pretrain_size: [0, 20, 40]", "axes:"),
          ('"${pretrain_size}"', "20")], "or no result starts from it"),
        ([(GROUPS, "group_by: [label_method, finetune_size]")], "fits.transfer.group_by[0]: got 'label_method'"),
        ([(GROUPS, "group_by: [finetune_sise]")], "Did you mean 'finetune_size'?"),
    ],
)  # fmt: skip
def test_a_fit_of_what_no_stage_will_have_is_refused_with_its_place(check, changes, says):
    with pytest.raises(SpecError) as raised:
        check(*changes)
    assert says in str(raised.value)
    assert "small.yaml:" in str(raised.value)
    assert "fits.transfer." in str(raised.value)
