from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.data.derived import derive, donors
from mfsweep.data.structures import Column, Labels, concatenate
from mfsweep.data.view import DataView, open_view
from mfsweep.spec.data import Difference, Shuffled, Splits, Subset
from mfsweep.spec.stage import Evaluation, LabelledSet

DELTA = Difference(target="cc", minus="xtb")
SHUFFLED = Shuffled(shuffled="xtb")
few_examples = settings(max_examples=40)


@st.composite
def sources(draw):
    """Draw molecules, some formulae twice with their atoms in another order, and which conformers lack what."""
    numbers = draw(
        st.lists(
            st.sampled_from([(6, 1, 1, 1, 1), (1, 6, 1, 1, 1), (8, 1, 1), (1, 8, 1), (1, 1, 8), (6, 8, 8), (6, 8)]),
            min_size=1,
            max_size=6,
            unique=True,
        )
    )
    molecules = [(own, draw(st.integers(1, 4))) for own in numbers]
    total = sum(count for _, count in molecules)
    lacking = st.sets(st.integers(0, total - 1), max_size=3)
    return molecules, {"cc": sorted(draw(lacking)), "xtb": sorted(draw(lacking))}


def _with_forces(structures, *methods):
    labels = dict(structures.labels)
    for seed, method in enumerate(methods):
        forces = np.random.default_rng(seed).normal(size=(len(structures.species), 3)).astype(np.float32)
        forces[np.repeat(np.isnan(labels[method].energy), structures.sizes)] = np.nan
        labels[method] = Labels(labels[method].energy, forces)
    return structures._replace(labels=labels)


@few_examples
@given(source=sources())
def test_difference_and_what_was_taken_off_make_the_target(make_structures, source):
    structures = _with_forces(make_structures(*source), "cc", "xtb")
    cc, xtb, delta = structures.labels["cc"], structures.labels["xtb"], derive(structures, DELTA)
    np.testing.assert_array_equal(np.isnan(delta.energy), np.isnan(cc.energy) | np.isnan(xtb.energy))
    has = ~np.isnan(delta.energy)
    np.testing.assert_allclose((delta.energy + xtb.energy)[has], cc.energy[has])
    atoms = np.repeat(has, structures.sizes)
    np.testing.assert_allclose((delta.forces + xtb.forces)[atoms], cc.forces[atoms], atol=1e-6)
    assert np.isnan(delta.forces[~atoms]).all()


def test_difference_has_forces_only_where_both_methods_have(make_structures):
    structures = make_structures([((8, 1, 1), 2)], {"cc": [], "xtb": []})
    assert derive(_with_forces(structures, "xtb"), DELTA).forces is None
    assert derive(_with_forces(structures, "cc", "xtb"), DELTA).forces is not None


@few_examples
@given(source=sources(), seed=st.integers(0, 5))
def test_shuffle_permutes_within_each_formula_and_leaves_no_label_in_place(make_structures, source, seed):
    structures = make_structures(*source)
    own, shuffled = structures.labels["xtb"].energy, derive(structures, Shuffled(shuffled="xtb", seed=seed)).energy
    np.testing.assert_array_equal(np.isnan(own), np.isnan(shuffled))
    for formula in range(len(structures.formulae)):
        mine = np.flatnonzero((structures.formula == formula) & ~np.isnan(own))
        np.testing.assert_array_equal(np.sort(shuffled[mine]), np.sort(own[mine]))
        assert len(mine) == 1 or not np.isin(mine, np.flatnonzero(shuffled == own)).any()


@few_examples
@given(source=sources())
def test_shuffled_forces_go_with_their_energy_by_element(make_structures, source):
    structures = _with_forces(make_structures(*source), "xtb")
    own, shuffled = structures.labels["xtb"], derive(structures, SHUFFLED)
    for taker, giver in zip(*donors(structures, SHUFFLED), strict=True):
        assert shuffled.energy[taker] == own.energy[giver]
        to, by = (structures.atoms_of(np.array([index])) for index in (taker, giver))
        for element in np.unique(structures.species[to]):
            taken, lent = (atoms[structures.species[atoms] == element] for atoms in (to, by))
            np.testing.assert_array_equal(shuffled.forces[taken], own.forces[lent])


def test_structures_without_forces_of_a_method_that_has_them_take_no_part(make_structures):
    structures = _with_forces(make_structures([((8, 1, 1), 4)], {"xtb": []}), "xtb")
    forces = structures.labels["xtb"].forces
    forces[structures.atoms_of(np.array([1]))] = np.nan
    shuffled = derive(structures, SHUFFLED)
    np.testing.assert_array_equal(np.isnan(shuffled.energy), [False, True, False, False])
    assert np.isnan(shuffled.forces).any(axis=1).sum() == 3


@few_examples
@given(source=sources(), order=st.randoms(use_true_random=False))
def test_shuffle_depends_on_neither_other_formulae_nor_the_files_order(make_structures, source, order):
    distinct = {tuple(sorted(numbers)): (numbers, count) for numbers, count in source[0]}
    molecules = list(distinct.values())
    moved = [*molecules, ((7, 7), 3)]
    order.shuffle(moved)

    def who_gets_whose(molecules):
        structures = make_structures(molecules, {"xtb": []})
        names = [(structures.formulae[f], r) for f, r in zip(structures.formula, structures.rank, strict=True)]
        return {(names[taker], names[giver]) for taker, giver in zip(*donors(structures, SHUFFLED), strict=True)}

    assert who_gets_whose(molecules) <= who_gets_whose(moved)


def test_seed_changes_the_shuffle_and_values_do_not(make_structures):
    structures = make_structures([((8, 1, 1), 9)], {"xtb": []})
    first, second = (donors(structures, Shuffled(shuffled="xtb", seed=seed))[1] for seed in (0, 1))
    assert not np.array_equal(first, second)
    other = structures._replace(labels={"xtb": Labels(-2.0 * structures.labels["xtb"].energy, None)})
    np.testing.assert_array_equal(donors(other, SHUFFLED)[1], first)


def test_shuffle_is_the_same_for_ever(make_structures):
    # Golden: another permutation would change what every stored key stands for.
    takers, givers = donors(make_structures([((8, 1, 1), 6)], {"xtb": []}), SHUFFLED)
    assert dict(zip(takers.tolist(), givers.tolist(), strict=True)) == {5: 4, 4: 2, 2: 3, 3: 1, 1: 0, 0: 5}


@pytest.fixture(scope="module")
def derived(mini, resolved):
    splits = Splits(
        a=Subset(size=120, validation=40, needs=("cc-xtb", "dft")),
        b=Subset(size="rest", validation=20, needs=("xtb-shuffled", "dft")),
        t=Subset(size=100, needs=("cc", "xtb")),
    )
    return open_view({"": mini}, resolved(splits, derived={DELTA.name: DELTA, SHUFFLED.name: SHUFFLED}))


def test_to_need_a_derived_method_is_to_need_its_parts(derived, mini, resolved):
    splits = derived.data.splits
    plain = splits.but(a=splits.a.but(needs=("cc", "dft", "xtb")), b=splits.b.but(needs=("dft", "xtb")))
    same = open_view({"": mini}, resolved(plain)).partition
    for name in ("a", "b", "t"):
        np.testing.assert_array_equal(derived.partition.train[name], same.train[name])
        np.testing.assert_array_equal(derived.partition.validation[name], same.validation[name])


def test_derived_methods_stand_beside_the_files(derived):
    delta = LabelledSet(labels="cc-xtb", subset="a", size=50)
    assert len(derived.training(delta)) == 50
    assert len(derived.validation("cc-xtb", ["a"])) == 40
    offsets = {method: derived.offsets(method, [delta]) for method in ("cc", "xtb", "cc-xtb")}
    # offsets are linear in the labels, and all three are fitted on the same structures
    for z in (1, 6):
        assert offsets["cc-xtb"][z] == pytest.approx(offsets["cc"][z] - offsets["xtb"][z], abs=1e-6)


def test_shuffled_labels_stay_on_their_side_of_the_partition(derived):
    # nobody in a part gets the labels of somebody in another one
    owner = np.full(len(derived.structures.formula), -1)
    parts = [*derived.partition.train.values(), *derived.partition.validation.values()]
    for number, members in enumerate(parts):
        owner[members] = number
    takers, givers = donors(derived.structures, SHUFFLED)
    both = (owner[takers] >= 0) & (owner[givers] >= 0)
    assert both.sum() > 100
    np.testing.assert_array_equal(owner[takers][both], owner[givers][both])


def test_training_error_of_a_difference_is_over_the_structures_it_was_learned_on(derived):
    delta = LabelledSet(labels="cc-xtb", subset="a", size=50)
    own = Evaluation(labels="cc", subset="a", part="train", head="cc-xtb", offsets="cc-xtb", base="xtb")
    np.testing.assert_array_equal(derived.part(own, [delta]), np.sort(derived.training(delta)))


METHODS = [None, DELTA, SHUFFLED, Shuffled(shuffled="xtb", seed=7), Shuffled(shuffled="dft")]
"""None: a method of the file itself."""


def _changed(structures, members):
    """Return the structures with other labels of all methods on some of them."""
    rng = np.random.default_rng(5)
    atoms = structures.atoms_of(members)
    labels = {}
    for name, own in structures.labels.items():
        energy, forces = own.energy.copy(), None if own.forces is None else own.forces.copy()
        energy[members] += rng.normal(scale=30.0, size=len(members))
        if forces is not None:
            forces[atoms] += rng.normal(scale=30.0, size=(len(atoms), 3)).astype(np.float32)
        labels[name] = Labels(energy, forces)
    return structures._replace(labels=labels)


@pytest.fixture(scope="module", params=["formula", "column", "column of many", "two sources", "two sources by column"])
def split_data(request, view, resolved):
    """Return structures, and what a spec says of a split of that kind; labels of all methods are on most structures."""
    structures, rng = view.structures, np.random.default_rng(2)
    subsets = {
        "a": Subset(size=60, validation=20, needs=("cc", "dft", "xtb")),
        "b": Subset(size=120, validation=20, needs=("cc", "dft", "xtb")),
        "t": Subset(size=60, needs=("cc", "dft", "xtb")),
    }
    by = "family" if "column" in request.param else None
    if "sources" in request.param:
        structures = concatenate({"new": structures, "old": structures})
        subsets |= {"t": subsets["t"].but(source="new"), "a": subsets["a"].but(source="old")}
    families = 200 if "many" in request.param else 40
    codes = rng.integers(families, size=len(structures.formula)).astype(np.int32)
    texts = tuple(sorted(f"family {number}" for number in range(families)))
    structures = structures._replace(columns={"family": Column(codes, texts)})
    return structures, resolved(Splits(by=by, **subsets))


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name if method else "its own")
@pytest.mark.parametrize("split_seed", [0, 1])
def test_no_label_of_a_test_structure_is_in_what_a_training_sees(view, split_data, method, split_seed):
    """All test labels are changed: labels to train and validate on, and energy offsets, stay bit for bit."""
    structures, data = split_data
    derived = {method.name: method} if method else None
    data = data.but(derived=derived, splits=data.splits.but(seed=split_seed))
    name = method.name if method else "dft"

    def opened(structures):
        source = copy.copy(view._source)
        source.structures, source._derived = structures, {}
        return DataView(source, data)

    before = opened(structures)
    test = before.partition.train["t"]
    after = opened(_changed(structures, test))
    assert (after.structures.labels["cc"].energy[test] != before.structures.labels["cc"].energy[test]).all()
    for subset in ("a", "b"):
        sets = [LabelledSet(labels=name, subset=subset)]
        seen = [
            (own.training(sets[0]), own.validation(name, [subset]), own.offsets(name, sets)) for own in (before, after)
        ]
        assert seen[0][2] == seen[1][2]
        for members, same in zip(seen[0][:2], seen[1][:2], strict=True):
            np.testing.assert_array_equal(members, same)
            assert len(members)
            labels = [own.structures.labels[name] for own in (before, after)]
            np.testing.assert_array_equal(labels[0].energy[members], labels[1].energy[members])
            if labels[0].forces is not None:
                atoms = structures.atoms_of(members)
                np.testing.assert_array_equal(labels[0].forces[atoms], labels[1].forces[atoms])


def test_a_shuffle_keeps_to_the_parts_and_to_the_formulae(view, split_data):
    structures, data = split_data
    source = copy.copy(view._source)
    source.structures = structures
    own = DataView(source, data.but(derived={SHUFFLED.name: SHUFFLED}))
    assert (own.owners is None) == (data.splits.column is None)
    takers, givers = donors(structures, SHUFFLED, own.owners)
    owners = own.partition.owners
    np.testing.assert_array_equal(structures.formula[takers], structures.formula[givers])
    np.testing.assert_array_equal(owners[takers], owners[givers])
    np.testing.assert_array_equal(np.sort(takers), np.sort(givers))
    parts = [*own.partition.train.values(), *own.partition.validation.values()]
    found = [np.unique(owners[members]).tolist() for members in parts if len(members)]
    assert all(len(one) == 1 and one[0] >= 0 for one in found)
    assert len({one[0] for one in found}) == len(found)
