"""Every mistake in a ready spec is told at its line, in the words of the language, and a hint leads to no other error."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from conftest import SPEC
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mutations import Mutation, gone, misspelt, spots, wrong_reference, wrong_type

from mfsweep.errors import MfsweepError, SpecError
from mfsweep.prepare import prepare

SPECS = sorted((Path(__file__).parents[1] / "search_spaces").glob("**/*.yaml"))
FORBIDDEN = re.compile(
    r"Input should|Extra inputs|Field required|\bvalid (tuple|integer|number|string|list|dictionary|boolean)|LabelKeys|"
    r"<block|<scalar|\btuple\b|\bdict\b|NoneType|\bNone\b|\bTrue\b|\bFalse\b|pydantic|Traceback|instance of|_type\b|"
    r"a value of another kind"
)
HINT = re.compile(r"(?:in place of '([^']+)'\.)? Did you mean '([^']+)'\?")
USER_NAMES = {"axes", "stages", "labels", "fits", "figures", "claims", "where", "this", "against", "loss", "heads",
              "costs", "reference", "select_on", "sources"}  # fmt: skip
"""Fields whose keys are names of the user's: another name may be right, or wrong where it is used."""
QUICK = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def told(text: str, folder: Path) -> list[str]:
    """Return what is wrong with a spec, a line each; its data are not at hand."""
    path = folder / "spec.yaml"
    path.write_text(re.sub(r"bundled:mini-\w+", "missing.h5", text))
    try:
        prepare(path, folder / "store", allow_missing_data=True)
    except MfsweepError as error:
        return str(error).splitlines()
    return []


def lines(found: list[str]) -> list[int]:
    return [int(match[1]) for one in found if (match := re.match(r".*?spec\.yaml:(\d+): ", one))]


def check(mutation: Mutation, found: list[str], *, at_line: bool) -> None:
    for one in found:
        assert re.match(r".*?spec\.yaml:\d+: ", one), one
        assert not FORBIDDEN.search(one), one
    if found and at_line:
        assert mutation.line in lines(found), (mutation.place, mutation.line, found)


@st.composite
def mutated(draw, kind):
    path = draw(st.sampled_from(SPECS))
    text = path.read_text()
    made = [mutation for spot in spots(text) if (mutation := kind(text, spot))]
    assume(made)
    return draw(st.sampled_from(made))


def names_a_user(mutation: Mutation) -> bool:
    """Return whether what was changed is a name that the spec itself gives."""
    parents = [step for step in mutation.place[:-1] if isinstance(step, str)]
    return bool(parents) and (parents[-1] in USER_NAMES or parents[0] == "axes")


@QUICK
@given(mutated(misspelt))
def test_a_misspelt_field_is_told_at_its_line_with_the_right_name(tmp_path_factory, mutation):
    found = told(mutation.text, tmp_path_factory.mktemp("m"))
    check(mutation, found, at_line=not names_a_user(mutation))
    if not names_a_user(mutation):
        assert any(f"Did you mean '{mutation.was}'?" in one for one in found), found


@QUICK
@given(mutated(wrong_type))
def test_a_mapping_in_place_of_a_value_is_told_at_its_line(tmp_path_factory, mutation):
    check(mutation, told(mutation.text, tmp_path_factory.mktemp("m")), at_line=True)


@QUICK
@given(mutated(lambda text, spot: wrong_type(text, spot, "no such thing")))
def test_a_text_in_place_of_a_value_is_told_at_its_line(tmp_path_factory, mutation):
    of_axis = mutation.place[0] in ("axes", "data") or names_a_user(mutation)
    check(mutation, told(mutation.text, tmp_path_factory.mktemp("m")), at_line=not of_axis)


@QUICK
@given(mutated(lambda text, spot: wrong_type(text, spot, "true")))
def test_true_in_place_of_a_value_is_told_at_its_line(tmp_path_factory, mutation):
    of_axis = mutation.place[0] in ("axes", "claims", "figures")
    check(mutation, told(mutation.text, tmp_path_factory.mktemp("m")), at_line=not of_axis)


@QUICK
@given(mutated(gone))
def test_a_field_that_is_gone_ends_in_plain_words(tmp_path_factory, mutation):
    check(mutation, told(mutation.text, tmp_path_factory.mktemp("m")), at_line=False)


@QUICK
@given(mutated(wrong_reference))
def test_a_wrong_reference_is_told_where_it_stands(tmp_path_factory, mutation):
    found = told(mutation.text, tmp_path_factory.mktemp("m"))
    check(mutation, found, at_line=True)
    assert [one for one in found if re.search(r"Did you mean '?\$\{", one) and mutation.now[:2] in one], found
    assert not [one for one in found if ": axes" in one], found


@QUICK
@given(mutated(lambda text, spot: wrong_type(text, spot, str(spot.node.value) + "s")))
def test_a_hint_leads_to_no_other_error(tmp_path_factory, mutation):
    found = told(mutation.text, tmp_path_factory.mktemp("m"))
    check(mutation, found, at_line=False)
    here = [one for one in found if mutation.line in lines([one])]
    hints = [match.groups() for one in here if (match := HINT.search(one))]
    assume(hints)
    wrong, hint = hints[0]
    again = told(mutation.corrected(hint, wrong), tmp_path_factory.mktemp("m"))
    assert mutation.line not in lines(again), (found, again)


MISTAKES = (
    ("needs: [dft]}", "neds: [dft]}", 11),
    ('size: "${pretrain_size}"', 'size: "${pretrain_sise}"', 18),
    ("    max_steps: 4\n    validate_every: 2\n  finetune", "    max_stepz: 4\n    validate_every: 2\n  finetune", 19),
    ("{learning_rate: 1.0e-4}", "{learning_rate: on}", 26),
    ("[20, 60]", "[20, 600]", 23),
    ("evaluate: [{labels: cc", "evaluate: [{labels: ccc", 28),
    ("workers: 1", "workers: 0", 31),
)  # fmt: skip


@given(st.sets(st.sampled_from(MISTAKES), min_size=1))
@QUICK
def test_all_mistakes_are_told_at_once(tmp_path_factory, mistakes):
    text = SPEC
    for old, new, _ in mistakes:
        assert old in text
        text = text.replace(old, new)
    found = told(text, tmp_path_factory.mktemp("m"))
    # resources that are wrong are left out, and with them what depends on the number of workers
    wrong = {old for old, _, _ in mistakes}
    hidden = {"[20, 60]", "evaluate: [{labels: cc"} if "workers: 1" in wrong else set()
    assert {line for old, _, line in mistakes if old not in hidden} <= set(lines(found)), found
    assert lines(found) == sorted(lines(found))


def test_errors_of_the_data_are_told_together_at_their_lines(write_spec, tmp_path):
    path = write_spec(
        ("[0, 20, 40]", "[0, 20, 4000]"),
        ("t: {size: 40, needs: [cc, dft]}", "t: {size: 40, needs: [dft]}"),
    )  # fmt: skip
    with pytest.raises(MfsweepError) as caught:
        prepare(path, tmp_path / "store")
    found = str(caught.value).splitlines()
    assert [re.search(r":(\d+): ([\w.\[\]]+): ", one).groups() for one in found] == [
        ("18", "stages.pretrain.train[0].size"),
        ("28", "evaluate[0]"),
    ]
    assert re.search(r"at most \d+ structures", found[0])


def test_each_label_method_that_the_file_lacks_is_told(write_spec, tmp_path):
    path = write_spec(("wb97x_631gd.energy", "wb97x_631gd.enrgy"), ("ccsd(t)_631gd.energy", "ccsd_631gd.energy"))
    with pytest.raises(MfsweepError) as caught:
        prepare(path, tmp_path / "store")
    found = str(caught.value).splitlines()
    assert [re.search(r":(\d+): ([\w.]+): ", one).groups() for one in found] == [
        ("5", "data.labels.cc"),
        ("6", "data.labels.dft"),
    ]


def test_a_partition_that_cannot_be_filled_is_told_at_its_subset(write_spec, tmp_path):
    with pytest.raises(MfsweepError, match=r":10: data\.splits\.t: .*data\.splits\.t asks for"):
        prepare(write_spec(("size: 40, needs", "size: 4000, needs")), tmp_path / "store")


@pytest.mark.parametrize(
    ("old", "new", "line", "says"),
    [
        ('size: "${pretrain_size}"', 'size: "$pretrain_size"', 18, "expected braces around a reference: ${pretrain_size}"),
        ('size: "${pretrain_size}"', 'size: "${pretrain_size"', 18, "a reference that ends with }"),
        ("size: 60", 'size: "${n}"', 9, "${...} is filled in within model, stages, result, evaluate only"),
        ("[20, 60]", "[20, no]", 15, "axes.finetune_size[1]: got 'no', expected a whole number or 'all'"),
        ("max_steps: 4\n    validate_every: 2\n  finetune", "max_steps: '4'\n    validate_every: 2\n  finetune", 19, "got '4', expected a whole number"),
        ("size: 60", "size: true", 9, "got true, expected a whole number (not true or false) or 'rest'"),
    ],
)  # fmt: skip
def test_a_mistake_of_a_kind(write_spec, tmp_path, old, new, line, says):
    with pytest.raises(SpecError) as caught:
        prepare(write_spec((old, new)), tmp_path / "store")
    assert f"small.yaml:{line}: " in str(caught.value)
    assert says in str(caught.value)


@pytest.mark.parametrize("field", ["wher: {}", "bars: [finetune_size], wher: {}", "bars: 3"])
def test_a_field_that_is_called_as_its_figures_kind_hides_no_mistake(write_spec, tmp_path, field):
    figure = f"{{kind: bars, y: result.test.cc.energy_mae, {field}}}"
    with pytest.raises(SpecError) as caught:
        prepare(write_spec(("result: finetune", f"figures: {{one: {figure}}}\nresult: finetune")), tmp_path / "store")
    name = "bars" if field == "bars: 3" else "wher"
    assert f"figures.one.{name}: got " in str(caught.value)
    assert ("Did you mean 'where'?" in str(caught.value)) == (name == "wher")


def test_no_method_is_suggested_that_the_subset_does_not_carry(write_spec, tmp_path):
    path = write_spec(
        ("t: {size: 40, needs: [cc, dft]}", "t: {size: 40, needs: [dft]}"), ("evaluate: [{labels: cc", "evaluate: [{labels: ccc")
    )  # fmt: skip
    with pytest.raises(SpecError) as caught:
        prepare(path, tmp_path / "store")
    assert "that 't' carries (data.splits.t.needs): dft." in str(caught.value)
    assert "Did you mean" not in str(caught.value)


def test_whole_numbers_are_decimal_and_no_texts(write_spec, tmp_path):
    plan = prepare(write_spec(("[0, 20, 40]", "[0, 020, 040]")), tmp_path / "store")
    assert sorted({planned.cell.values["pretrain_size"] for planned in plan.graph.cells}) == [0, 20, 40]
