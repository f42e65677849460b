from __future__ import annotations

import re

import pytest

from mfsweep.errors import SpecError
from mfsweep.plan.expand import expand
from mfsweep.plan.figures import check_figures
from mfsweep.plan.graph import build
from mfsweep.spec.data import Content
from mfsweep.spec.load import load

Y = "result.test.cc.energy_mae"


@pytest.fixture
def check(write_spec):
    def checked(section, text, *changes):
        added = f"resources:\n{section}:\n  one: {text}\n".removeprefix("resources:\n")
        spec = load(write_spec(("resources: {workers", f"{added}resources: {{workers"), *changes))
        check_figures(spec, build(spec, expand(spec), Content(digest="0" * 64)))

    return checked


@pytest.mark.parametrize(
    "figure",
    [
        f"{{kind: grid, y: {Y}, where: {{pretrain_size: [0, 40]}}}}",
        f"{{kind: curve, x: pretrain_size, y: [{Y}], lines: [finetune_size], reference: {{pretrain_size: 0}}}}",
        f"{{kind: bars, y: {Y}, bars: [pretrain_size], groups: [finetune_size]}}",
        "{kind: law, fit: transfer}",
        f"{{kind: pareto, y: {Y}, costs: {{cc: 100, dft: 1}}}}",
        "{kind: residuals, target: cc, methods: [dft, xtb]}",
        f"{{kind: table, rows: [pretrain_size], columns: [{Y}, pretrain.validation.energy_mae]}}",
        "{kind: gradients, fits: [transfer]}",
    ],
)
def test_a_figure_of_what_will_be_there_passes(check, figure):
    check("figures", figure)


@pytest.mark.parametrize(
    ("figure", "says"),
    [
        ("{kind: grid, y: result.test.cc.enrgy_mae}", "figures.one.y: got 'result.test.cc.enrgy_mae', expected a quantity"),
        (f"{{kind: grid, y: {Y}, where: {{pretrain_sise: 0}}}}", "Did you mean 'pretrain_size'?"),
        (f"{{kind: grid, y: {Y}, where: {{pretrain_size: [0, 41]}}}}", "figures.one.where.pretrain_size: got 41, expected a value of the axis: 0, 20, 40"),
        (f"{{kind: curve, x: pretrain, y: [{Y}]}}", "figures.one.x: got 'pretrain', expected an axis: pretrain_size"),
        (f"{{kind: curve, x: pretrain_size, y: [{Y}, finetune.test.dft.energy_mae]}}", "figures.one.y[1]: got"),
        (f"{{kind: curve, x: pretrain_size, y: [{Y}], lines: [size]}}", "figures.one.lines[0]: got 'size'"),
        (f"{{kind: curve, x: pretrain_size, y: [{Y}], reference: {{finetune_size: 21}}}}", "figures.one.reference.finetune_size: got 21"),
        (f"{{kind: bars, y: {Y}, bars: [sizes]}}", "figures.one.bars[0]"),
        ("{kind: law, fit: transfr}", "figures.one.fit: got 'transfr', expected one of the spec's fits: transfer. Did you mean"),
        (f"{{kind: pareto, y: {Y}, costs: {{cc: 100}}}}", "expected a cost of dft too: stage pretrain trains on it"),
        (f"{{kind: pareto, y: {Y}, costs: {{cc: 100, dtf: 1}}}}", "Did you mean 'dft'?"),
        ("{kind: residuals, target: cc, methods: [dft, xbt]}", "figures.one.methods[1]: got 'xbt', expected a label method of data.labels: cc, dft, xtb. Did you mean"),
        ("{kind: residuals, target: cc, methods: [dft, cc]}", "figures.one.methods[1]: got 'cc', expected another method than `target`"),
        (f"{{kind: table, rows: [finetune], columns: [{Y}]}}", "figures.one.rows[0]: got 'finetune'"),
        ("{kind: gradients, fits: [transfer, other]}", "figures.one.fits[1]: got 'other'"),
    ],
)  # fmt: skip
def test_a_figure_of_what_will_not_be_there_is_refused_with_its_place(check, figure, says):
    with pytest.raises(SpecError) as raised:
        check("figures", figure)
    assert says in str(raised.value)
    assert "small.yaml:" in str(raised.value)


def test_the_x_of_a_curve_is_an_axis_of_numbers(check):
    bundles = ("  pretrain_size: [0, 20, 40]", "  kind: {wide: {size: 20}, narrow: {size: 40}}")
    with pytest.raises(SpecError, match="an axis of numbers: it takes 'wide'"):
        check("figures", f"{{kind: curve, x: kind, y: [{Y}]}}", bundles, ("${pretrain_size}", "${kind.size}"))


def test_the_parts_of_a_derived_method_need_a_cost(check):
    delta = ("labels: cc, subset: a", "labels: {target: cc, minus: xtb}, subset: a")
    needs = ("needs: [cc, dft]", "needs: [cc, dft, xtb]")
    figure = f"{{kind: pareto, y: {Y}, costs: {{cc: 100, dft: 1}}}}"
    with pytest.raises(SpecError, match="a cost of xtb too: stage finetune trains on it"):
        check("figures", figure, delta, needs)
    check("figures", figure.replace("dft: 1", "dft: 1, xtb: 0"), delta, needs)


SIDES = "this: {pretrain_size: 40}, against: {pretrain_size: 0}"


@pytest.mark.parametrize(
    "claim",
    [
        f"{{says: so, y: {Y}, {SIDES}, expect: lower, where: {{finetune_size: 60}}}}",
        "{says: so, gradient: transfer, expect: higher}",
        "{says: so, gradient: transfer, this: {finetune_size: 20}, against: {finetune_size: 60}, expect: equal}",
    ],
)
def test_a_claim_on_what_will_be_there_passes(check, claim):
    check("claims", claim)


@pytest.mark.parametrize(
    ("claim", "says"),
    [
        (f"{{says: so, y: {Y}x, {SIDES}, expect: lower}}", "claims.one.y: got"),
        (f"{{says: so, y: {Y}, this: {{pretrain: 40}}, against: {{pretrain_size: 0}}, expect: lower}}", "claims.one.this.pretrain: got 'pretrain'"),
        (f"{{says: so, y: {Y}, this: {{pretrain_size: 40}}, against: {{pretrain_size: 1}}, expect: lower}}", "claims.one.against.pretrain_size: got 1, expected a value of the axis"),
        (f"{{says: so, y: {Y}, {SIDES}, where: {{finetune: 60}}, expect: lower}}", "claims.one.where.finetune"),
        (f"{{says: so, y: {Y}, against: {{pretrain_size: 0}}, expect: lower}}", "expected cells that `against` does not mean too"),
        (f"{{says: so, y: {Y}, {SIDES}, where: {{pretrain_size: 20}}, expect: lower}}", "claims.one.this: got {pretrain_size: 40}, expected values that some cell has together"),
        ("{says: so, gradient: transfr, expect: lower}", "expected one of the spec's fits: transfer"),
        ("{says: so, gradient: transfer, this: {finetune_size: 20}, against: {finetune_size: 20}, expect: equal}", "claims.one.this: got {finetune_size: 20}, expected cells that `against` does not mean too"),
        ("{says: so, gradient: transfer, against: {finetune_size: 20}, expect: equal}", "claims.one.this: got {}, expected cells that `against`"),
        ("{says: so, gradient: transfer, this: {finetune_size: 20}, where: {finetune_size: 60}, expect: lower}", "claims.one.this: got {finetune_size: 20}, expected values that some cell has together"),
        ("{says: so, gradient: transfer, this: {pretrain_size: 40}, expect: lower}", "expected an axis of fits.transfer.group_by: finetune_size"),
    ],
)  # fmt: skip
def test_a_claim_on_what_will_not_be_there_is_refused_with_its_place(check, claim, says):
    with pytest.raises(SpecError) as raised:
        check("claims", claim)
    assert says in str(raised.value)
    assert "small.yaml:" in str(raised.value)


def test_a_claim_whose_cells_never_pair_is_refused(check):
    grid = "axes:\n  pretrain_size: [0, 20, 40]\n  finetune_size: [20, 60]\n"
    blocks = "axes:\n- {pretrain_size: [0], finetune_size: [20]}\n- {pretrain_size: [40], finetune_size: [60]}\n"
    with pytest.raises(SpecError, match=r"claims.one.against: got .* in all axes but those of `this` and `against`"):
        check("claims", f"{{says: so, y: {Y}, {SIDES}, expect: lower}}", (grid, blocks))


@pytest.mark.parametrize(
    ("claim", "said"),
    [
        (f"{{says: so, y: {Y}, {SIDES}, expect: at_most}}", "`expect: at_most` needs `bound`"),
        (f"{{says: so, y: {Y}, {SIDES}, expect: value}}", "`expect: value` needs `value`"),
        (f"{{says: so, y: {Y}, {SIDES}, expect: lower, bound: 1.1}}", "`bound` says nothing with `expect: lower`"),
        (f"{{says: so, y: {Y}, {SIDES}, expect: at_least, bound: 0.9, margin: 0.1}}", "`margin` says nothing"),
        (f"{{says: so, y: {Y}, {SIDES}, expect: value, value: -0.85}}", "a ratio is above 0"),
        (f"{{says: so, y: {Y}, {SIDES}, expect: value, value: 1}}", "that is no effect"),
        (f"{{says: so, y: {Y}, {SIDES}, expect: lower, over: {{}}}}", "`over`: of a metric `y`"),
        ("{says: so, gradient: transfer, over: {pretrain_size: 0}, expect: higher}", "`over`: of a metric `y`"),
        (f"{{says: so, y: {Y}, {SIDES}, expect: lower, over: {{finetune_size: 7}}}}", "claims.one.over.finetune_size: got 7"),
    ],
)  # fmt: skip
def test_what_a_kind_of_claim_needs_and_what_says_nothing_in_it(check, claim, said):
    with pytest.raises(SpecError, match=re.escape(said)):
        check("claims", claim)


@pytest.mark.parametrize(
    "kind",
    [
        "expect: at_most, bound: 1.1",
        "expect: at_least, bound: 0.91",
        "expect: equal, margin: 0.2",
        "expect: value, value: 0.15",
        "expect: lower, over: {finetune_size: 20}, where: {finetune_size: 60}",
    ],
)
def test_every_kind_of_claim_passes(check, kind):
    check("claims", f"{{says: so, y: {Y}, {SIDES}, {kind}}}")


def test_a_spec_without_figures_or_claims_passes(write_spec):
    spec = load(write_spec())
    check_figures(spec, build(spec, expand(spec), Content(digest="0" * 64)))


def test_values_of_a_searched_axis_are_not_known_yet(write_spec):
    claim = "{says: so, gradient: transfer, this: {finetune_size: 20}, against: {finetune_size: 60}, expect: equal}"
    search = "search: {objective: validation.cc.energy_mae, trials: 2}\n"
    added = ("resources: {workers", f"{search}claims:\n  one: {claim}\nresources: {{workers")
    spec = load(write_spec(added, ("finetune_size: [20, 60]", "finetune_size: {low: 20, high: 60}")))
    known = spec.at([{"pretrain_size": 20, "finetune_size": 33}])
    check_figures(known, build(known, expand(known), Content(digest="0" * 64)))
