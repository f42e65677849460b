import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.spec.axes import PlaceError, cells, fill, parse, references

VALUES = st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True)


@given(st.dictionaries(st.sampled_from("abc"), VALUES))
def test_a_block_is_the_product_of_its_axes(axes):
    found = list(cells(parse(axes)))
    expected = 1
    for values in axes.values():
        expected *= len(values)
    assert len(found) == expected
    assert len({tuple(cell.items()) for cell in found}) == expected


def test_several_blocks_are_a_union_without_repeats():
    found = list(cells(parse([{"n": [1, 2]}, {"n": [2, 3]}, {"n": [1], "m": [0]}])))
    assert found == [{"n": 1}, {"n": 2}, {"n": 3}, {"n": 1, "m": 0}]


def test_a_reference_alone_keeps_its_type_and_one_in_text_does_not():
    values = {"n": 3, "v": {"parent": None, "rate": 0.1}}
    assert fill({"a": "${n}", "b": "x${n}", "c": ["${v.parent}", "${ v.rate }"]}, values) == {
        "a": 3,
        "b": "x3",
        "c": [None, 0.1],
    }


def test_references_are_found_everywhere():
    assert references({"a": ["${n}", {"b": "x-${v.parent}"}], "c": 1}) == {"n", "v"}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("${nn}", "Did you mean 'n'?"),
        ("${v.parnt}", "Did you mean 'parent'?"),
        ("${n.field}", "the axis holds plain values"),
    ],
)
def test_a_reference_to_nothing_is_refused_at_its_place(text, says):
    with pytest.raises(PlaceError) as caught:
        fill({"train": [{"size": text}]}, {"n": 1, "v": {"parent": None}})
    assert caught.value.place == ("train", 0, "size")
    assert says in caught.value.expected


def test_a_bundle_that_means_two_things_is_refused():
    with pytest.raises(PlaceError) as caught:
        parse([{"v": {"x": {"rate": 1}}}, {"v": {"x": {"rate": 2}}}])
    assert caught.value.place == (1, "v", "x")


@pytest.mark.parametrize(
    "raw",
    [
        {"n": 3},
        {"n": [[1]]},
        {"1n": [1]},
        {"v": {"x": {}, "y": 3}},
        [3],
        [],
        {"seed": {"x": {"a": 1}}},
        {"seed": [2**63]},
    ],
)
def test_what_is_no_axis_is_refused(raw):
    with pytest.raises(PlaceError):
        parse(raw)
