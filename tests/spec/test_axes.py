import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.spec.axes import Distribution, PlaceError, cells, fill, parse, references

VALUES = st.lists(st.integers(0, 50), min_size=1, max_size=4, unique=True)


@given(st.dictionaries(st.sampled_from("abc"), VALUES))
def test_a_block_is_the_product_of_its_axes(axes):
    found = list(cells(parse(axes).blocks))
    expected = 1
    for values in axes.values():
        expected *= len(values)
    assert len(found) == expected
    assert len({tuple(cell.items()) for cell in found}) == expected


def test_several_blocks_are_a_union_without_repeats():
    found = list(cells(parse([{"n": [1, 2]}, {"n": [2, 3]}, {"n": [1], "m": [0]}]).blocks))
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


def test_a_distribution_is_searched_and_no_part_of_the_grid():
    found = parse({"n": [1, 2], "alpha": {"low": 0.01, "high": 0.99, "log": True}})
    assert found.blocks == [{"n": {1: 1, 2: 2}}]
    assert found.searched == {"alpha": Distribution(low=0.01, high=0.99, log=True)}


def test_the_middle_of_a_distribution_is_one_of_its_values():
    assert Distribution(low=0.01, high=1.0, log=True).middle == pytest.approx(0.1)
    assert Distribution(low=1, high=9).middle == 5
    assert Distribution(low=1, high=10, step=2).middle == 5
    assert Distribution(low=0.0, high=1.0).middle == 0.5


@pytest.mark.parametrize(
    ("raw", "place", "says"),
    [
        ({"low": 1, "high": 1}, ("alpha",), "low below high"),
        ({"low": 0, "high": 1, "log": True}, ("alpha",), "a low above 0"),
        ({"low": 0, "high": 1, "stp": 1}, ("alpha", "stp"), "one of low, high, log, step"),
        ({"low": 0}, ("alpha",), "the field 'high'"),
    ],
)
def test_a_bad_distribution_is_refused_at_its_place(raw, place, says):
    with pytest.raises(PlaceError) as caught:
        parse({"alpha": raw})
    assert caught.value.place == place
    assert says in caught.value.expected


def test_a_distribution_is_tried_at_its_lowest_middle_and_highest_value():
    assert Distribution(low=0.0, high=1.0).tried == (0.0, 0.5, 1.0)
    assert Distribution(low=1, high=10, step=2).tried == (1, 5, 9)
    assert Distribution(low=0.1, high=0.3, step=0.1).tried == pytest.approx((0.1, 0.2, 0.3))


@pytest.mark.parametrize(
    ("distribution", "inside", "outside"),
    [
        (Distribution(low=0.1, high=0.5), [0.1, 0.3, 0.5], [0.09, 0.51, "0.3", None, True]),
        (Distribution(low=1, high=9), [1, 9], [0, 10, 2.5, True]),
        (Distribution(low=1, high=10, step=2), [1, 9], [2, 10]),
        (Distribution(low=0.1, high=0.5, step=0.1), [0.1, 0.1 + 2 * 0.1], [0.15]),
    ],
)
def test_a_distribution_has_what_lies_within_its_bounds_and_on_its_steps(distribution, inside, outside):
    assert all(distribution.has(value) for value in inside)
    assert not any(distribution.has(value) for value in outside)


def test_seeds_are_not_searched_and_a_list_of_blocks_is_not():
    with pytest.raises(PlaceError, match="a list of whole numbers"):
        parse({"seed": {"low": 0, "high": 9}})
    with pytest.raises(PlaceError, match="one block of axes"):
        parse([{"n": [1]}, {"alpha": {"low": 0, "high": 1}}])
