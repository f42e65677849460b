from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from mfsweep.data import given as given_parts
from mfsweep.data.splits import partition
from mfsweep.data.structures import Column, concatenate
from mfsweep.data.view import DataView, open_view
from mfsweep.errors import DataError
from mfsweep.spec.data import INDICES, Splits, Subset
from mfsweep.spec.stage import LabelledSet

NEEDS_CC = ("cc",)


@st.composite
def sources(draw):
    """Draw (atomic numbers, conformers) of distinct formulae, and which conformers lack the label cc."""
    counts = draw(st.lists(st.integers(2, 6), min_size=10, max_size=14))
    molecules = [([6] * (1 + i % 4) + [1] * (2 + 2 * (i // 4)), count) for i, count in enumerate(counts)]
    total = sum(counts)
    lacking = draw(st.sets(st.integers(0, total - 1), max_size=6))
    return molecules, {"cc": sorted(lacking), "xtb": []}


splits_of = st.builds(
    lambda seed, a, a_validation, t, b_validation: Splits(
        seed=seed,
        a=Subset(size=a, validation=a_validation, needs=NEEDS_CC),
        t=Subset(size=t, needs=NEEDS_CC),
        b=Subset(size="rest", validation=b_validation, needs=("xtb",)),
    ),
    st.integers(0, 5),
    st.integers(7, 10),
    st.integers(0, 4),
    st.integers(7, 8),
    st.integers(0, 3),
)

few_examples = settings(max_examples=40, deadline=None)
"""A partition takes milliseconds to draw; 40 of them find what 100 find."""


def _split(structures, splits):
    try:
        return partition(structures, splits)
    except DataError:
        assume(False)
        raise


def _formulae(structures, indices):
    return set(structures.formula[indices].tolist())


@few_examples
@given(source=sources(), splits=splits_of)
def test_every_formula_has_one_owner_and_sizes_are_exact(make_structures, source, splits):
    structures = make_structures(*source)
    train, validation, _ = _split(structures, splits)
    owners = [_formulae(structures, part) for parts in (train, validation) for part in parts.values()]
    assert sum(map(len, owners)) == len(set.union(*owners))
    for name, subset in splits.subsets().items():
        assert len(np.unique(train[name])) == len(train[name])
        assert len(validation[name]) == subset.validation
        if subset.size != "rest":
            assert len(train[name]) == subset.size
        for method in subset.needs:
            assert structures.usable(method)[np.concatenate([train[name], validation[name]])].all()


@few_examples
@given(source=sources(), seed=st.integers(0, 5), folds=st.integers(2, 4))
def test_test_parts_of_folds_are_disjoint_and_cover_all_that_can_be_tested(make_structures, source, seed, folds):
    structures = make_structures(*source)
    subsets = {
        "a": Subset(size=4, needs=NEEDS_CC),
        "b": Subset(size="rest", needs=("xtb",)),
        "t": Subset(size="rest", needs=NEEDS_CC),
    }
    tested: list[int] = []
    for fold in range(folds):
        train, validation, _ = _split(structures, Splits(seed=seed, folds=folds, fold=fold, **subsets))
        own = _formulae(structures, train["t"])
        others = np.concatenate([train["a"], train["b"], validation["a"], validation["b"]])
        assert not own & _formulae(structures, others)
        tested += train["t"].tolist()
    assert sorted(tested) == np.flatnonzero(structures.usable("cc")).tolist()


@few_examples
@given(source=sources(), splits=splits_of)
def test_rest_keeps_all_that_the_others_leave(make_structures, source, splits):
    structures = make_structures(*source)
    train, validation, _ = _split(structures, splits)
    taken = _formulae(structures, np.concatenate([train["a"], train["t"], validation["a"]]))
    own = _formulae(structures, np.concatenate([train["b"], validation["b"]]))
    assert taken | own == set(range(len(structures.formulae)))
    # of its training formulae it has every structure
    kept = np.isin(structures.formula, sorted(_formulae(structures, train["b"])))
    np.testing.assert_array_equal(np.sort(train["b"]), np.flatnonzero(kept))


@few_examples
@given(source=sources(), splits=splits_of, order=st.randoms(use_true_random=False))
def test_order_of_the_file_does_not_matter(make_structures, source, splits, order):
    molecules, _ = source
    structures = make_structures(molecules, {"cc": [], "xtb": []})
    shuffled = list(molecules)
    order.shuffle(shuffled)
    other = make_structures(shuffled, {"cc": [], "xtb": []})
    first, second = _split(structures, splits), _split(other, splits)

    def names(structures, indices):
        return [(structures.formulae[structures.formula[i]], structures.rank[i]) for i in indices]

    for name in first.train:
        assert names(structures, first.train[name]) == names(other, second.train[name])
        assert sorted(names(structures, first.validation[name])) == sorted(names(other, second.validation[name]))


@few_examples
@given(source=sources(), splits=splits_of)
def test_values_of_labels_do_not_matter(make_structures, source, splits):
    structures = make_structures(*source)
    labels = {name: own._replace(energy=-3.0 * own.energy + 5.0) for name, own in structures.labels.items()}
    first, second = _split(structures, splits), _split(structures._replace(labels=labels), splits)
    for name in first.train:
        np.testing.assert_array_equal(first.train[name], second.train[name])
        np.testing.assert_array_equal(first.validation[name], second.validation[name])


def test_a_formula_more_moves_no_other_to_the_front(make_structures):
    molecules = [([6] * n + [1] * 2, 5) for n in range(1, 12)]
    splits = Splits(a=Subset(size=12, needs=NEEDS_CC))
    with_all = make_structures(molecules)
    owners = _formulae(with_all, partition(with_all, splits).train["a"])
    unused = next(i for i in range(len(molecules)) if with_all.formulae.index(_name(molecules[i])) not in owners)
    without = make_structures(molecules[:unused] + molecules[unused + 1 :])
    left = _formulae(without, partition(without, splits).train["a"])
    assert {with_all.formulae[i] for i in owners} == {without.formulae[i] for i in left}


def _name(molecule):
    numbers, _ = molecule
    carbons = numbers.count(6)
    return f"C{carbons if carbons > 1 else ''}H2"


def test_sizes_are_nested_prefixes_the_same_for_every_method(view: DataView):
    large = view.training(LabelledSet(labels="cc", subset="a", size=120))
    for method in ("cc", "dft", "xtb"):
        for size in (1, 30, 119, "all"):
            small = view.training(LabelledSet(labels=method, subset="a", size=size))
            np.testing.assert_array_equal(small, large[: len(small)])
    # a prefix is a sample of the subset, not its first formulae
    assert len(_formulae(view.structures, large[:30])) > 5


def test_seed_changes_the_partition(mini, resolved, view):
    splits = view.data.splits.model_copy(update={"seed": 1})
    other = open_view({"": mini}, resolved(splits))
    first, second = (_formulae(d.structures, d.partition.train["a"]) for d in (view, other))
    assert len(first & second) < 0.5 * len(first)


def test_partition_is_the_same_for_ever(view):
    # Golden: another order of formulae or structures would change what every stored key stands for.
    train, validation, _ = view.partition
    assert train["a"][:5].tolist() == [4476, 5290, 5267, 4540, 79]
    assert validation["a"][:5].tolist() == [0, 1, 2, 3, 4]
    assert {name: len(part) for name, part in train.items()} == {"a": 120, "b": 331, "t": 200}


def test_surplus_of_a_straddling_formula_goes_nowhere(make_structures):
    structures = make_structures([([6] * n + [1, 1], 10) for n in range(1, 7)])
    splits = Splits(a=Subset(size=15, validation=5, needs=NEEDS_CC), b=Subset(size="rest", needs=NEEDS_CC))
    train, validation, _ = partition(structures, splits)
    assert len(_formulae(structures, validation["a"])) == 1
    assert len(_formulae(structures, train["a"])) == 2
    assert len(train["b"]) == 30


def test_formula_that_cannot_serve_a_subset_is_left_for_the_others(make_structures):
    molecules = [([6] * n + [1, 1], 5) for n in range(1, 7)]
    # conformers 0 to 14, the first three formulae, lack cc
    structures = make_structures(molecules, {"cc": list(range(15)), "xtb": []})
    splits = Splits(a=Subset(size=15, needs=NEEDS_CC), b=Subset(size="rest", needs=("xtb",)))
    train, *_ = partition(structures, splits)
    assert set(train["a"].tolist()) == set(range(15, 30))
    assert set(train["b"].tolist()) == set(range(15))


@pytest.mark.parametrize(
    ("splits", "message"),
    [
        (
            Splits(a=Subset(size=500, needs=NEEDS_CC)),
            r"splits\.a asks for 0 validation and 500 training.*60 struct",
        ),
        (Splits(a=Subset(size=10, validation=60, needs=NEEDS_CC)), "this gave 60 and 0"),
        (
            Splits(a=Subset(size=60, needs=NEEDS_CC), b=Subset(size="rest", needs=NEEDS_CC)),
            r"splits\.b.*this gave 0 and 0",
        ),
        (Splits(a=Subset(size=5, needs=("ccc",))), r"splits\.a\.needs: no label method 'ccc'.*Did you mean 'cc'"),
    ],
)
def test_subset_that_cannot_be_filled_is_refused(make_structures, splits, message):
    structures = make_structures([([6] * n + [1, 1], 10) for n in range(1, 7)])
    with pytest.raises(DataError, match=message):
        partition(structures, splits)


@few_examples
@given(source=sources(), other=sources(), seed=st.integers(0, 5))
def test_subset_of_one_source_is_drawn_first_and_keeps_its_formulae(make_structures, source, other, seed):
    structures = concatenate({"ani": make_structures(*source), "new": make_structures(*other)})
    splits = Splits(
        seed=seed,
        t=Subset(size=8, source="new", needs=NEEDS_CC),
        a=Subset(size=8, validation=2, needs=NEEDS_CC),
        b=Subset(size="rest", needs=("xtb",)),
    )
    train, validation, _ = _split(structures, splits)
    assert set(structures.source[train["t"]].tolist()) == {1}
    tested = _formulae(structures, train["t"])
    others = np.concatenate([train["a"], train["b"], validation["a"]])
    assert not tested & _formulae(structures, others)
    # drawn first: the other subsets, however large, take nothing from it
    alone = partition(structures, splits.but(a=None, b=None)).train["t"]
    np.testing.assert_array_equal(train["t"], alone)


@few_examples
@given(source=sources(), splits=splits_of)
def test_structure_that_two_sources_have_is_in_one_part_only(make_structures, source, splits):
    one = make_structures(*source)
    structures = concatenate({"x": one, "y": one})
    train, validation, _ = _split(structures, splits)
    size = len(one.formula)
    parts = [*train.values(), *validation.values()]
    geometries = [set((part % size).tolist()) for part in parts]
    assert sum(map(len, geometries)) == len(set.union(*geometries))
    assert any(len(own) < len(part) for own, part in zip(geometries, parts, strict=True)), "both copies are in one"


def test_unknown_source_of_a_subset_is_refused(make_structures):
    structures = make_structures([([6] * n + [1, 1], 10) for n in range(1, 7)])
    splits = Splits(a=Subset(size=10, source="nwe", needs=NEEDS_CC))
    with pytest.raises(DataError, match=r"splits\.a\.source: .*\(none: data\.source names one file\), got 'nwe'"):
        partition(structures, splits)
    with pytest.raises(DataError, match=r"\(new, old\), got 'nwe'\. Did you mean 'new'"):
        partition(concatenate({"new": structures, "old": structures}), splits)


def _with_column(structures, count, name="family"):
    codes = np.random.default_rng(3).integers(0, count, len(structures.formula)).astype(np.int32)
    values = tuple(f"family {number:02d}" for number in range(count))
    return structures._replace(columns={name: Column(codes, values)})


def test_groups_of_a_column_stay_whole_in_place_of_formulae(view):
    structures = _with_column(view.structures, 60)
    splits = Splits(
        by="family",
        a=Subset(size=300, validation=100, needs=("xtb",)),
        b=Subset(size="rest", validation=90, needs=("xtb",)),
    )
    made = partition(structures, splits)
    parts = [own for name in ("a", "b") for own in (made.train[name], made.validation[name])]
    assert [len(own) for own in parts[:2]] == [300, 100]
    codes = structures.columns["family"].codes
    families = [set(codes[own].tolist()) for own in parts]
    assert sum(map(len, families)) == len(set().union(*families)), "none is in two parts"
    assert len(_formulae(structures, made.train["a"]) & _formulae(structures, made.train["b"])) > 0
    again = partition(structures, splits.but(a=splits.a.but(size=200)))
    np.testing.assert_array_equal(again.train["a"], made.train["a"][np.isin(made.train["a"], again.train["a"])])


def test_formula_is_the_default_by_its_name(view):
    splits = view.data.splits
    for name, own in partition(view.structures, splits.but(by="formula")).train.items():
        np.testing.assert_array_equal(own, view.partition.train[name])


def test_one_group_of_a_column_may_make_a_subset(make_structures):
    structures = make_structures([([29] * 4, 6)])
    codes = np.array([0, 0, 0, 1, 1, 1], np.int32)
    structures = structures._replace(columns={"kind": Column(codes, ("bulk", "surface"))})
    splits = Splits(by="kind", a=Subset(size=3, needs=()), t=Subset(size=3, needs=()))
    made = partition(structures, splits)
    assert {frozenset(own.tolist()) for own in made.train.values()} == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}
    with pytest.raises(
        DataError, match=r"splits\.t asks for .* keeps groups of kind .* 0 structures of 0 groups of kin"
    ):
        partition(structures, splits.but(a=Subset(size=4, needs=())))


def test_a_column_that_is_not_there_is_refused_with_the_nearest(view):
    splits = view.data.splits.but(by="familly")
    with pytest.raises(DataError, match=r"splits\.by: .* got 'familly'\. Did you mean 'family'\? There are family"):
        partition(_with_column(view.structures, 9), splits)
    with pytest.raises(DataError, match=r"There are none: `mfsweep data import` makes a data set with some"):
        partition(view.structures, splits)


@few_examples
@given(seed=st.integers(0, 50), size=st.integers(1, 20), validation=st.integers(0, 10), copies=st.integers(0, 5))
def test_structures_are_shared_out_one_by_one_and_copies_stay_together(make_structures, seed, size, validation, copies):
    structures = make_structures([([8, 1, 1], 40)])
    places = structures.positions.reshape(40, 3, 3).copy()
    places[40 - copies :] = places[:copies]  # copies of the first
    structures = structures._replace(positions=places.reshape(-1, 3))
    splits = Splits(
        seed=seed,
        by="structure",
        a=Subset(size=size, validation=validation, needs=NEEDS_CC),
        t=Subset(size="rest", needs=NEEDS_CC),
    )
    train, held, owners = partition(structures, splits)
    assert (len(train["a"]), len(held["a"])) == (size, validation)
    parts = [set(part.tolist()) for part in (train["a"], held["a"], train["t"])]
    assert sum(map(len, parts)) == len(set.union(*parts))
    for copy in range(copies):
        first, other = copy, 40 - copies + copy
        assert owners[first] == owners[other]


@few_examples
@given(st.lists(st.sampled_from(["train", "valid", "test", "none"]), min_size=30, max_size=30), st.integers(0, 9))
def test_a_partition_that_is_given_is_taken(make_structures, tmp_path_factory, values, seed):
    structures = make_structures([([8, 1, 1], 10), ([6, 1, 1, 1, 1], 10), ([6, 8, 8], 10)], {"cc": [3]})
    names = tuple(sorted(set(values)))
    column = Column(np.array([names.index(value) for value in values], np.int32), names)
    with_column = structures._replace(columns={"part": column})
    a = Subset(size="rest", needs=NEEDS_CC, given="train", given_validation="valid")
    splits = Splits(seed=seed, given="part", a=a, t=Subset(size="rest", needs=NEEDS_CC, given="test"))
    path = tmp_path_factory.mktemp("given") / "parts.json"
    path.write_text(json.dumps({name: [i for i, value in enumerate(values) if value == name] for name in set(values)}))
    with_indices = given_parts.with_indices(structures, path)

    def expected(name):
        return {i for i, value in enumerate(values) if value == name and i != 3}

    for own, given_by in ((with_column, splits), (with_indices, splits.but(given=INDICES))):
        if not expected("train") or not expected("test"):
            with pytest.raises(DataError, match="The parts given are"):
                partition(own, given_by)
            continue
        train, held, owners = partition(own, given_by)
        assert [set(part.tolist()) for part in (train["a"], held["a"], train["t"])] == [
            expected("train"),
            expected("valid"),
            expected("test"),
        ]
        assert len({int(owners[i]) for i in expected("train")} | {int(owners[i]) for i in expected("test")}) == 2
        fewer = partition(own, given_by.but(a=a.but(size=1))).train["a"]
        np.testing.assert_array_equal(fewer, train["a"][:1])


def test_a_validation_set_that_is_not_given_is_drawn(make_structures):
    structures = make_structures([([8, 1, 1], 10)])
    column = Column(np.zeros(10, np.int32), ("a",))
    splits = Splits(given="part", a=Subset(size="rest", validation=3, needs=NEEDS_CC))
    train, held, _ = partition(structures._replace(columns={"part": column}), splits)
    assert (len(train["a"]), len(held["a"])) == (7, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2]", "expected the numbers of the structures of each part"),
        ('{"a": [0, "one"]}', "expected the numbers of the structures of each part"),
        ('{"a": [true]}', "expected the numbers of the structures of each part"),
        ('{"a": [0, 99]}', "expected numbers of structures from 0 to 9, got 99"),
        ('{"a": [0], "t": [0]}', "structure 0 is in 'a' and in 't'"),
        ("{", "cannot be read as JSON"),
    ],
)
def test_a_file_that_gives_no_partition_is_refused(make_structures, tmp_path, content, message):
    (tmp_path / "parts.json").write_text(content)
    with pytest.raises(DataError, match=message):
        given_parts.with_indices(make_structures([([8, 1, 1], 10)]), tmp_path / "parts.json")
