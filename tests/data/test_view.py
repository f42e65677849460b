from __future__ import annotations

import os
from itertools import cycle, pairwise

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.data.reference import fit_offsets
from mfsweep.data.view import DataView, open_view
from mfsweep.errors import DataError
from mfsweep.spec.data import Difference, LabelKeys, ResolvedData, Shuffled, Splits, Subset
from mfsweep.spec.stage import Evaluation, LabelledSet

CC_A = LabelledSet(labels="cc", subset="a")


def test_validation_is_pooled_over_subsets_and_carries_the_labels(view: DataView):
    pooled = view.validation("dft", ["b", "a"])
    both = np.concatenate([view.partition.validation["a"], view.partition.validation["b"]])
    np.testing.assert_array_equal(pooled, np.sort(both))
    cc = view.validation("cc", ["a", "b"])
    assert view.structures.usable("cc")[cc].all()
    assert 40 <= len(cc) < len(pooled)
    np.testing.assert_array_equal(view.validation("dft", ["a", "a"]), view.validation("dft", ["a"]))


def test_test_part_is_every_structure_of_the_test_subset(view: DataView):
    part = view.part(Evaluation(labels="cc", subset="t"))
    assert sorted(part.tolist()) == part.tolist()
    assert set(part.tolist()) == set(view.partition.train["t"].tolist())
    validation = view.part(Evaluation(labels="cc", subset="a", part="validation"))
    np.testing.assert_array_equal(validation, view.partition.validation["a"])


@pytest.mark.parametrize(
    ("labelled", "message"),
    [
        (LabelledSet(labels="cc", subset="a", size=121), r"\(cc; a; 121\): expected at most 120 structures"),
        (
            LabelledSet(labels="cc", subset="a", range=(100, 121)),
            r"\(cc; a; 100 to 121\): expected at most 120 .* Lower the range",
        ),
        (LabelledSet(labels="cc", subset="c"), "expected one of the subsets a, b, t.*got 'c'"),
        (LabelledSet(labels="ccc", subset="a"), "expected one of the label methods .*got 'ccc'.*Did you mean 'cc'"),
        (
            LabelledSet(labels="cc", subset="b"),
            r"\(cc; b; all\): \d+ of 331 .* no cc energy \(NaN\), the first is .*Let data\.splits\.b\.needs name cc",
        ),
    ],
)
def test_labelled_set_that_the_data_cannot_give_is_refused(view, mini, labelled, message):
    with pytest.raises(DataError, match=message) as caught:
        view.training(labelled)
    assert str(mini) in str(caught.value)


@given(st.lists(st.integers(0, 120), min_size=2, max_size=5))
def test_ranges_cut_the_one_shuffle(view: DataView, bounds):
    bounds = sorted(bounds)
    whole = view.training(CC_A)
    pieces = [
        view.training(LabelledSet(labels=method, subset="a", range=pair))
        for pair, method in zip(pairwise(bounds), cycle(["cc", "dft", "xtb"]), strict=False)
    ]
    np.testing.assert_array_equal(np.concatenate(pieces), whole[bounds[0] : bounds[-1]])


def test_training_error_is_over_the_structures_trained_on(view: DataView):
    train = Evaluation(labels="cc", subset="a", part="train")
    whole = np.sort(view.partition.train["a"])
    small = LabelledSet(labels="cc", subset="a", size=30)
    end = LabelledSet(labels="cc", subset="a", range=(100, 110))
    dft = LabelledSet(labels="dft", subset="a", size=20)
    expected = np.sort(np.concatenate([view.training(small), view.training(end)]))
    np.testing.assert_array_equal(view.part(train, [small, dft, end]), expected)
    np.testing.assert_array_equal(view.part(train, [dft]), whole)
    np.testing.assert_array_equal(view.part(train), whole)
    test = Evaluation(labels="cc", subset="a")
    np.testing.assert_array_equal(view.part(test, [small]), whole)


def test_part_without_the_labels_that_are_added_is_refused(open_small):
    def change(file):
        for group in file.values():
            group["dft.energy"][0] = np.nan
            group["dft.forces"][0] = np.nan

    splits = Splits(a=Subset(size=25, validation=6, needs=("cc",)))
    with pytest.raises(DataError, match=r"the test structures of 'a': \d+ of 25 .* have no dft energy and forces"):
        open_small(splits, change=change).part(Evaluation(labels="cc", subset="a", base="dft"))


def test_part_without_structures_or_labels_is_refused(view):
    with pytest.raises(DataError, match="none of the validation structures of 't'"):
        view.part(Evaluation(labels="cc", subset="t", part="validation"))
    with pytest.raises(DataError, match=r"the validation structures of 'b': .* have no cc energy"):
        view.part(Evaluation(labels="cc", subset="b", part="validation"))


def test_subset_that_cannot_be_filled_names_the_file(mini, resolved):
    splits = Splits(a=Subset(size=5000, needs=("cc",)))
    with pytest.raises(DataError, match=rf"{mini}: data\.splits\.a asks for"):
        _ = open_view({"": mini}, resolved(splits)).partition


def test_fixed_offsets_are_the_same_for_all_sets_and_strategies(view: DataView):
    expected = fit_offsets(view.structures, "dft", np.sort(view.partition.train["a"]))
    for sets in (
        [LabelledSet(labels="dft", subset="b", size=10)],
        [LabelledSet(labels="dft", subset="a"), CC_A],
        [CC_A],
        [],
    ):
        assert view.offsets("dft", sets) == expected


def test_paid_offsets_use_the_stages_own_structures_only(mini, resolved):
    paid = open_view({"": mini}, resolved(offsets="paid"))
    few, many = (LabelledSet(labels="cc", subset="a", size=size) for size in (40, 120))
    expected = fit_offsets(paid.structures, "cc", np.sort(paid.training(few)))
    assert paid.offsets("cc", [few, LabelledSet(labels="dft", subset="b")]) == expected
    assert paid.offsets("cc", [many]) != expected
    with pytest.raises(DataError, match=r"no structures to fit the energy offsets of cc on.*data.offsets: fixed"):
        paid.offsets("cc", [LabelledSet(labels="dft", subset="b")])


def test_method_absent_from_a_is_fitted_where_it_is_trained(open_small):
    def only_others(file):
        for name in ("CH4", "C2H6", "C2H4", "CO2", "CH2O", "CH4O"):
            file[name]["dft.energy"][:] = np.nan
            file[name]["dft.forces"][:] = np.nan

    splits = Splits(a=Subset(size=20, needs=("cc",)), b=Subset(size="rest", needs=("dft",)))
    for seed in range(20):
        view = open_small(splits.model_copy(update={"seed": seed}), change=only_others)
        try:
            in_a = view.structures.carries("dft", forces=False)[view.partition.train["a"]]
        except DataError:
            continue
        if not in_a.any():
            break
    members, name = view.fit_set("dft", [LabelledSet(labels="dft", subset="b", size=3)])
    np.testing.assert_array_equal(members, np.sort(view.partition.train["b"]))
    assert name == "the training part of b"


def test_offsets_handed_out_cannot_be_spoiled(view: DataView):
    view.offsets("cc", [CC_A])[1] = 0.0
    assert view.offsets("cc", [CC_A])[1] < -10


def test_test_labels_touch_nothing(mini, resolved, view: DataView, tmp_path):
    # The same file with other target labels on the test structures gives the same sets, offsets and validation.
    structures = view.structures
    other_path = tmp_path / "other.h5"
    other_path.write_bytes(mini.read_bytes())
    test = view.partition.train["t"]
    with h5py.File(other_path, "r+") as file:
        for index in test.tolist():
            group = file[structures.formulae[structures.formula[index]]]
            group["ccsd(t)_631gd.energy"][structures.rank[index]] = -1.0
    other = open_view({"": other_path}, resolved())
    assert not np.array_equal(other.structures.labels["cc"].energy[test], structures.labels["cc"].energy[test])
    for name in ("a", "b", "t"):
        np.testing.assert_array_equal(other.partition.train[name], view.partition.train[name])
        np.testing.assert_array_equal(other.partition.validation[name], view.partition.validation[name])
    assert other.offsets("cc", [CC_A]) == view.offsets("cc", [CC_A])


def test_datasets_are_kept_and_share_their_file(mini, resolved):
    view = open_view({"": mini}, resolved())
    assert open_view({"": mini}, resolved()) is view
    other = open_view({"": mini}, resolved(view.data.splits.model_copy(update={"seed": 7})))
    assert other is not view
    assert other.structures.positions is view.structures.positions
    assert other.edges(4.0) is view.edges(4.0)


def test_sources_are_opened_together_and_one_of_them_tests(mini, resolved, view: DataView, tmp_path):
    copy = tmp_path / "copy.h5"
    copy.write_bytes(mini.read_bytes())
    splits = Splits(
        t=Subset(size=50, source="copy", needs=("cc",)),
        a=Subset(size=100, validation=20, needs=("cc", "dft")),
        b=Subset(size="rest", validation=20, needs=("dft",)),
    )
    labels = {"cc": view.data.labels["cc"], "dft": view.data.labels["dft"].but(source="mini")}
    both = open_view({"mini": mini, "copy": copy}, resolved(splits, labels))
    structures = both.structures
    assert len(structures.formula) == 2 * len(view.structures.formula)
    assert structures.sources == ("copy", "mini")
    assert set(structures.source[both.partition.train["t"]].tolist()) == {0}
    assert set(structures.source[both.partition.train["b"]].tolist()) == {1}
    # the copies make every structure's neighbours stand twice
    half = both.edges(4.0).offsets[: len(view.structures.formula) + 1]
    np.testing.assert_array_equal(half, view.edges(4.0).offsets)


def test_changed_file_is_read_again(write_file, small_labels):
    data = ResolvedData(digest="0" * 64, labels=small_labels, splits=Splits())
    path = write_file(conformers=3)
    assert len(open_view({"": path}, data).structures.formula) == 30
    write_file(conformers=4)
    os.utime(path, ns=(1, 1))
    assert len(open_view({"": path}, data).structures.formula) == 40


def test_missing_file_is_a_data_error(tmp_path):
    data = ResolvedData(digest="0" * 64, labels={"cc": LabelKeys(energy="e")}, splits=Splits())
    with pytest.raises(DataError, match="cannot be read"):
        open_view({"": tmp_path / "absent.h5"}, data)


@pytest.mark.parametrize("named", [True, False])
def test_offsets_of_a_table_are_taken_and_those_of_other_methods_fitted(open_small, named):
    table = {"H": -13.6, "C": -1030.0, "N": -1485.0, "O": -2042.0}
    view = open_small(offsets={"cc": table} if named else "fixed", derived=DERIVED)
    found = view.offsets("cc", [])
    assert (found == {1: -13.6, 6: -1030.0, 7: -1485.0, 8: -2042.0}) == named
    assert view.given("cc-shuffled") == view.given("cc")
    assert (view.given("cc") is not None) == named
    assert view.given("dft") is None
    assert view.given("dft-cc") is None  # a difference needs both
    assert view.offsets("dft", []) == open_small().offsets("dft", [])


def test_offsets_of_a_difference_are_those_of_its_parts(open_small):
    tables = {"cc": {"H": -13.6, "C": -1030.0}, "dft": {"H": -13.1, "C": -1031.0, "N": -1485.0}}
    view = open_small(offsets=tables, derived=DERIVED)
    assert view.given("dft-cc") == {1: pytest.approx(0.5), 6: pytest.approx(-1.0)}


def test_a_symbol_that_no_element_has_is_refused(open_small):
    with pytest.raises(DataError, match=r"data\.offsets: expected the symbol of an element, got 'Xx'"):
        open_small(offsets={"cc": {"Xx": 1.0}}).offsets("cc", [])


DERIVED = {own.name: own for own in (Difference(target="dft", minus="cc"), Shuffled(shuffled="cc"))}
