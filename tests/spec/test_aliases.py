"""A spec from anyone is read in bounded time: aliases that multiply, or that have no end, are refused."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.errors import SpecError
from mfsweep.spec.aliases import AliasError, require_bounded
from mfsweep.spec.load import load


def laughs(levels: int, each: int, brackets: str) -> str:
    """Return YAML of a few hundred bytes that comes to each ** levels values."""
    lines = ["l0: &l0 lol"]
    for level in range(1, levels):
        inner = [f"*l{level - 1}"] * each
        content = ", ".join(inner if brackets == "[]" else [f"k{n}: {one}" for n, one in enumerate(inner)])
        lines.append(f"l{level}: &l{level} {brackets[0]}{content}{brackets[1]}")
    return "\n".join(lines)


@pytest.mark.parametrize("brackets", ["[]", "{}"])
def test_aliases_that_multiply_are_refused_with_their_line(tmp_path, brackets):
    path = tmp_path / "spec.yaml"
    path.write_text(laughs(9, 9, brackets))
    with pytest.raises(SpecError, match=r"spec\.yaml:\d: its aliases come to more than 1,000,000 values"):
        load(path)


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {b: {c: *a}}", "a: &a [1, &b [*a, *b]]"])
def test_an_alias_within_its_anchor_is_refused(tmp_path, text):
    path = tmp_path / "spec.yaml"
    path.write_text(f"name: x\n{text}\n")
    with pytest.raises(SpecError, match=r"spec\.yaml:2: an alias stands within its own anchor"):
        load(path)


@pytest.mark.parametrize("text", ["[" * 20_000, "{a: " * 20_000, "- " * 20_000])
def test_what_is_nested_deep_is_no_traceback(tmp_path, text):
    path = tmp_path / "spec.yaml"
    path.write_text(text)
    with pytest.raises(SpecError, match=r"spec\.yaml.*not (a spec|YAML)"):
        load(path)


def test_aliases_that_people_write_are_read(write_spec):
    anchor = (
        "a: {size: 60, validation: 20, needs: [cc, dft]}",
        "a: &same {size: 60, validation: 20, needs: [cc, dft]}",
    )
    path = write_spec(anchor, ("t: {size: 40, needs: [cc, dft]}", "t: {<<: *same, size: 40}"))
    assert load(path).experiment.data.splits.t.validation == 20


trees = st.recursive(
    st.none() | st.integers() | st.text("abc"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=4),
)


@given(trees)
def test_plain_trees_are_never_refused(tree):
    require_bounded(yaml.compose(yaml.safe_dump(tree), yaml.SafeLoader))


def test_what_is_nested_deep_is_measured_without_a_traceback():
    node = yaml.ScalarNode("tag:yaml.org,2002:str", "x", yaml.Mark("x", 0, 0, 0, None, None))
    for _ in range(50_000):
        node = yaml.SequenceNode("tag:yaml.org,2002:seq", [node], node.start_mark)
    require_bounded(node)
    for _ in range(30):
        node = yaml.SequenceNode("tag:yaml.org,2002:seq", [node, node], node.start_mark)
    with pytest.raises(AliasError):
        require_bounded(node)
