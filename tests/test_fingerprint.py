import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.fingerprint import KEY_LENGTH, canonical, fingerprint

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=12,
)


@given(st.dictionaries(st.text(), PLAIN))
def test_the_order_of_keys_does_not_matter(data):
    assert fingerprint(data) == fingerprint(dict(reversed(data.items())))


@given(PLAIN)
def test_the_same_content_has_the_same_short_key(data):
    assert fingerprint(data) == fingerprint(data)
    assert len(fingerprint(data)) == KEY_LENGTH


def test_a_known_value_keeps_its_key():
    assert fingerprint({"b": [1, 2.5, None], "a": "x"}) == "ce74053d7a9997b7a9ff"


@given(PLAIN)
def test_a_zero_has_one_spelling(data):
    def signed(value):
        if isinstance(value, float) and value == 0:
            return -value
        if isinstance(value, dict):
            return {key: signed(item) for key, item in value.items()}
        return [signed(item) for item in value] if isinstance(value, list) else value

    assert canonical(signed(data)) == canonical(data)
    assert canonical([-0.0, {"x": -0.0}]) == canonical([0.0, {"x": 0.0}])
    assert "-0.0" not in canonical([-0.0])


def test_a_float_is_not_an_integer():
    assert canonical(1.0) != canonical(1)


@pytest.mark.parametrize(
    "unstable", [math.nan, math.inf, {1: 2}, {1, 2}, Path("x"), object(), b"x", {"a": [Path("x")]}]
)
def test_what_has_no_stable_identity_is_refused(unstable):
    with pytest.raises(TypeError, match="no stable identity"):
        fingerprint(unstable)
