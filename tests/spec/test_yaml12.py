"""Scalars are those of YAML 1.2's core schema, whatever YAML 1.1 made of them; what is no YAML is told in plain words."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mfsweep.spec.yaml12 import YamlError, parse

# The tables of the YAML 1.2.2 specification, section 10.3.2, row by row.
CORE = (
    (r"null | Null | NULL | ~", lambda _: None),
    (r"true | True | TRUE", lambda _: True),
    (r"false | False | FALSE", lambda _: False),
    (r"[-+]? [0-9]+", lambda text: int(text, 10)),
    (r"0o [0-7]+", lambda text: int(text, 0)),
    (r"0x [0-9a-fA-F]+", lambda text: int(text, 0)),
    (r"[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?", float),
    (r"[-+]? ( \.inf | \.Inf | \.INF )", lambda text: -math.inf if text[0] == "-" else math.inf),
    (r"\.nan | \.NaN | \.NAN", lambda _: math.nan),
)


def core(text: str):
    for pattern, value in CORE:
        if re.fullmatch(pattern, text, re.VERBOSE):
            return value(text)
    return text


def same(one, other) -> bool:
    both_nan = isinstance(one, float) and isinstance(other, float) and math.isnan(one) and math.isnan(other)
    return type(one) is type(other) and (both_nan or one == other)


SCALARS = st.one_of(
    st.text("0123456789", min_size=1, max_size=6),
    st.text("0123456789+-.eE_oxabcf", min_size=1, max_size=8),
    st.from_regex(r"[-+]?[0-9]{1,3}(:[0-5]?[0-9]){1,2}", fullmatch=True),
    st.from_regex(r"[12][0-9]{3}-[01]?[0-9]-[0-3]?[0-9]", fullmatch=True),
    st.sampled_from(
        ["on", "On", "ON", "off", "yes", "Yes", "no", "NO", "y", "n", "true", "True", "tRue", "NULL", "nul"]
    ),
    st.integers().map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
).filter(lambda text: not re.match(r"[-?:](\s|$)|---|\.\.\.", text) and not text.endswith(":"))


@given(SCALARS)
@example("020")
@example("010")
@example("1e-3")
@example("1:30")
@example("1_000")
@example("0b11")
@example("0o17")
@example("on")
@example(".5")
@example("+.INF")
@example("<<")
def test_a_plain_scalar_is_what_the_core_schema_says(text):
    for document in (f"x: {text}", f"x: [{text}]", f"- {text}"):
        (found,) = parse(document).tree.values() if document[0] == "x" else parse(document).tree
        found = found[0] if isinstance(found, list) else found
        assert same(found, core(text)), (text, found)


@given(SCALARS)
def test_a_quoted_scalar_is_a_text(text):
    assert parse(f"x: '{text}'").tree == {"x": text}
    assert parse(f'x: "{text}"').tree == {"x": text}


@pytest.mark.parametrize("text", ["x:", "x: ~", "x: null"])
def test_nothing_is_none(text):
    assert parse(text).tree == {"x": None}


def test_mappings_are_merged_and_keep_their_lines():
    read = parse("a: &a {x: 1, y: 2}\nb:\n  <<: *a\n  y: 3\n")
    assert read.tree == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}}
    assert not read.problems


@pytest.mark.parametrize(
    ("text", "lines"),
    [("a: 1\nb: 2\na: 3", [3]), ("a: {x: 1, x: 2}\nb:\n  y: 1\n  y: 2", [1, 4]), ("1: a\ntrue: b", [1, 2])],
)
def test_keys_that_stand_twice_or_are_no_texts_are_all_found(text, lines):
    assert [problem.line for problem in parse(text).problems] == lines


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: [1, 2", 1, "opens with [ on line 1"),
        ("a: [1, 2\nb: 3\n", 2, "opens with [ on line 1"),
        ("a: {x: 1\nb: 3\n", 2, "opens with { on line 1"),
        ("a: 'x\nb: 1", 2, "a text in quotes that begins on line 1"),
        ("a: b: c", 1, "a colon"),
        ("a:\n  b: 1\n c: 2", 3, "indent it like the lines from line 1 on"),
        ("a:\n\tb: 1", 2, "a tab: indent with spaces"),
        ("a: @b", 1, "write it in quotes"),
        ("a: *x", 1, "there is no &x above it"),
        ("a: !!python/object/apply:os.system ['true']", 1, "a tag"),
        ("a: 1\n---\nb: 2", 2, "a spec is one"),
        ("a: &x [*x]", 1, "holds itself"),
        ("\n".join(["a: &a0 [1, 1]", *(f"b{n}: &a{n + 1} [*a{n}, *a{n}]" for n in range(40))]), 1, "1,000,000 values"),
        ("a: 1\nb: \x01", 2, "control character"),
        ("a: " + 3000 * "[", 1, "nested too deeply"),
        ("a: " + 6000 * "9", 1, "cannot be read as a number"),
    ],
)  # fmt: skip
def test_what_is_not_yaml_is_told_with_its_line(text, line, says):
    with pytest.raises(YamlError) as caught:
        parse(text)
    (problem,) = caught.value.problems
    assert says in problem.text
    if "values" not in says:
        assert problem.line == line


@given(st.text("ab:,[]{}#&*!|>'\"%@`-? \n\t.<~1", max_size=40))
def test_no_text_is_more_than_an_error_in_plain_words(text):
    said = ""
    try:
        parse(text)
    except YamlError as error:
        said = str(error)
    assert not re.search(r"<\w+ \w+|expected |token|scalar|parsing|scanning", said), said
