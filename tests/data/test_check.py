from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data import dataset
from mfsweep.data.check import check
from mfsweep.data.structures import SYMBOLS, Column
from mfsweep.data.view import open_view
from mfsweep.errors import DataError
from mfsweep.spec.batching import CostAwareBatching
from mfsweep.spec.data import Difference, ResolvedData, Shuffled, Splits, Subset
from mfsweep.spec.stage import Evaluation, LabelledSet

CC = LabelledSet(labels="cc", subset="a", probability=1.0)
DFT = LabelledSet(labels="dft", subset="a", probability=1.0)
TEST = Evaluation(labels="cc", subset="t")
BOTH = ("cc", "dft")
SPLITS = Splits(a=Subset(size=25, validation=6, needs=BOTH), t=Subset(size="rest", needs=BOTH))


DERIVED = {own.name: own for own in (Difference(target="dft", minus="cc"), Shuffled(shuffled="dft"))}
DELTA = LabelledSet(labels="dft-cc", subset="a", probability=1.0)
SHUFFLED = LabelledSet(labels="dft-shuffled", subset="a", probability=1.0)


def _check(view, make_training, *sets, evaluations=(), max_atoms=256):
    training = make_training(view, *(sets or (CC,)), max_atoms=max_atoms)
    return check(view, [training], [(training, evaluation) for evaluation in evaluations])


def _refused(view, make_training, message, *sets, **options):
    with pytest.raises(DataError, match=message) as caught:
        _check(view, make_training, *sets, **options)
    assert str(view.place) in str(caught.value)


def _scale(key, factor):
    def change(file):
        for group in file.values():
            group[key][...] = group[key][...] * factor

    return change


def test_bundled_data_pass_without_a_word(view, make_training):
    trainings = [
        make_training(view, LabelledSet(labels="dft", subset="b", size=300, probability=1.0)),
        make_training(view, LabelledSet(labels="cc", subset="a", size=30, probability=1.0)),
    ]
    evaluations = [(training, TEST) for training in trainings]
    assert check(view, trainings, evaluations) == []


def test_validation_set_of_one_formula_is_warned_of(open_small, make_training):
    view = open_small(SPLITS)
    formula = view.structures.formulae[view.structures.formula[view.partition.validation["a"][0]]]
    warning = f"the validation set of cc (a) has one formula, {formula}: its error says little of others"
    assert _check(view, make_training, CC, evaluations=[TEST]) == [warning]


def test_size_above_the_subset_is_refused(open_small, make_training):
    too_many = LabelledSet(labels="cc", subset="a", size=26, probability=1.0)
    _refused(open_small(SPLITS), make_training, r"the set \(cc; a; 26\): expected at most 25 structures", too_many)


def test_nan_in_a_requested_set_is_refused(open_small, make_training):
    def change(file):
        for group in file.values():
            group["cc.energy"][0] = np.nan

    view = open_small(Splits(a=Subset(size=25, validation=6, needs=("dft",))), change=change)
    _refused(view, make_training, r"the set \(cc; a; all\): \d+ of 25 structures have no cc energy \(NaN\), the first")


def test_subset_of_one_formula_is_warned_of(open_small, make_training):
    view = open_small(Splits(a=Subset(size=6, validation=6, needs=BOTH)))
    assert "the set (cc; a; all) has structures of one formula only" in _check(view, make_training)


def test_training_without_validation_is_refused(open_small, make_training):
    view = open_small(Splits(a=Subset(size=25, needs=BOTH)))
    _refused(view, make_training, r"cc is trained on a, which has no validation.*Set data\.splits\.a\.validation")


@pytest.mark.parametrize("evaluations", [(), (TEST,)])
def test_structure_above_the_atom_cap_is_refused_by_name(open_small, make_training, evaluations):
    view = open_small(SPLITS)
    message = r"expected at most 2 atoms in a structure \(batch\.max_atoms\), got \d: .* the first is .*, conformer \d"
    _refused(view, make_training, message, max_atoms=2, evaluations=evaluations)


def test_structure_above_the_edge_cap_is_refused_by_name(open_small, make_training):
    view = open_small(SPLITS)
    training = make_training(view, CC)
    most = int(np.diff(view.edges(training.model.r_max).offsets)[view.training(CC)].max())

    def at_most(edges):
        batch = CostAwareBatching(packer="cost_aware", max_edges=edges)
        check(view, [training.but(recipe=training.recipe.but(batch=batch))], [])

    at_most(most)
    message = (
        rf"expected at most {most - 1} edges in a structure \(batch\.max_edges\), got {most} within 5 .*, conformer"
    )
    with pytest.raises(DataError, match=message):
        at_most(most - 1)


def test_structure_above_the_atom_cap_in_an_evaluation_alone_is_refused(open_small, make_training):
    # a split seed that leaves ethane, the largest, to the test subset
    for seed in range(50):
        view = open_small(SPLITS.model_copy(update={"seed": seed}))
        trained = np.concatenate([view.partition.train["a"], view.partition.validation["a"]])
        largest = int(view.structures.sizes[trained].max())
        if largest < 8:
            break
    assert len(_check(view, make_training, max_atoms=largest)) == 1
    message = "the test structures of t: expected at most"
    _refused(view, make_training, message, max_atoms=largest, evaluations=[TEST])


@pytest.mark.parametrize("evaluations", [(), (TEST,)])
def test_odd_number_of_electrons_is_refused(open_small, make_training, evaluations):
    # methyl and amino radicals, so many that every subset has some
    molecules = {"CH3": [6, 1, 1, 1], "NH2": [7, 1, 1], "OH": [8, 1], "C2H5": [6, 6, 1, 1, 1, 1, 1], "CHO": [6, 1, 8]}
    splits = Splits(a=Subset(size=10, validation=6, needs=BOTH), t=Subset(size="rest", needs=BOTH))
    view = open_small(splits, molecules=molecules)
    _refused(
        view,
        make_training,
        r"expected closed shells, got \d+ structures with an odd number of electrons",
        evaluations=evaluations,
    )


def test_charge_is_refused(open_small, make_training):
    def change(file):
        for group in file.values():
            group["charge"] = np.array([0, 0, 0, -1, 0, 0])

    message = r"expected neutral structures, got \d+ charged ones: .*, conformer 3 .* has charge -1"
    _refused(open_small(SPLITS, change=change), make_training, message)


def test_charge_where_no_stage_looks_is_no_matter(open_small, make_training):
    def change(file):
        for group in file.values():
            group["charge"] = np.array([0, 0, 0, -1, 0, 0])
            group["cc.energy"][3] = np.nan

    assert _check(open_small(SPLITS, change=change), make_training) == []


def test_element_that_only_the_test_subset_has_is_refused(open_small, make_training):
    for seed in range(200):
        view = open_small(SPLITS.model_copy(update={"seed": seed}))
        trained = np.concatenate([view.partition.train["a"], view.partition.validation["a"]])
        if 7 not in view.structures.elements_of(trained):
            break
    message = (
        r"the test structures of t: N \(in .*\) has no energy offset of cc: the 25 structures of the training part"
    )
    _refused(view, make_training, message, evaluations=[TEST])


def test_offsets_that_the_composition_leaves_open_are_told(open_small, make_training):
    molecules = {f"C{n}H{2 * n}": [6] * n + [1] * (2 * n) for n in range(2, 8)}
    view = open_small(Splits(a=SPLITS.a), molecules=molecules)
    (warning,) = [text for text in _check(view, make_training) if "energy offsets of cc" in text]
    assert "fix 1 of the 2 energy offsets of cc (H, C)" in warning
    assert "free: H +1, C -2" in warning


@pytest.mark.parametrize(("unit", "factor"), [("eV", 27.2114), ("kcal/mol", 627.51), ("kJ/mol", 2625.5), ("Ry", 2.0)])
def test_energies_in_another_unit_are_refused_with_the_unit(open_small, make_training, unit, factor):
    view = open_small(SPLITS, change=_scale("cc.energy", factor))
    message = rf"the cc energies do not look like hartree.*As energies in {unit} they would fit: mfsweep data import .*"
    message += f"--unit cc:energy={unit}"
    _refused(view, make_training, message)


def test_forces_in_another_unit_are_refused_with_the_unit(open_small, make_training):
    view = open_small(SPLITS, change=_scale("dft.forces", 27.2114))
    _refused(view, make_training, "the dft forces do not look like.*--unit dft:forces=eV/Ang", DFT)


def test_values_of_test_labels_are_not_looked_at(open_small, make_training):
    view = open_small(SPLITS)
    expected = _check(view, make_training, evaluations=[TEST])
    energy = view.structures.labels["cc"].energy
    energy[view.partition.train["t"]] *= 1e6
    assert _check(view, make_training, evaluations=[TEST]) == expected


def test_evaluation_of_labels_that_are_not_there_is_refused(open_small, make_training):
    def change(file):
        for group in file.values():
            group["cc.energy"][0] = np.nan

    splits = Splits(a=Subset(size=20, validation=5, needs=BOTH), t=Subset(size="rest", needs=("dft",)))
    view = open_small(splits, change=change)
    _refused(view, make_training, "the test structures of 't': .* have no cc energy", evaluations=[TEST])


@pytest.mark.parametrize(("energy", "told"), [(0.0, True), (None, False)])
def test_offsets_given_that_leave_much_are_told(open_small, make_training, energy, told):
    fitted = open_small(SPLITS).offsets("cc", [CC])
    table = {SYMBOLS[z]: own if energy is None else energy for z, own in fitted.items()}
    view = open_small(SPLITS, offsets={"cc": table})
    assert any("the offsets given for cc leave" in text for text in _check(view, make_training)) == told


def test_weaknesses_are_warned_of(open_small, make_training):
    def change(file):
        for name in list(file)[::2]:
            file[name]["dft.energy"][3:] = np.nan
            file[name]["dft.forces"][3:] = np.nan

    splits = Splits(
        a=Subset(size=25, validation=12, needs=("cc",)), t=Subset(size="rest", validation=3, needs=("dft",))
    )
    view = open_small(splits, change=change)
    on_test = LabelledSet(labels="dft", subset="t", size=2, probability=1.0)
    warnings = _check(view, make_training, on_test)
    assert any("training structures of a carry dft: its offsets are fitted on these" in text for text in warnings)
    assert any("dft is trained on the test structures themselves" in text for text in warnings)


@pytest.mark.parametrize("offsets", ["fixed", "paid"])
@pytest.mark.parametrize("labelled", [DELTA, SHUFFLED])
def test_unit_of_derived_labels_is_looked_for_in_their_parts(open_small, make_training, labelled, offsets):
    view = open_small(SPLITS, offsets, derived=DERIVED, change=_scale("dft.energy", 27.2114))
    _refused(view, make_training, "the dft energies do not look like hartree", labelled)
    view = open_small(SPLITS, offsets, derived=DERIVED)
    _check(view, make_training, labelled)


def test_difference_that_is_no_smaller_than_its_target_is_warned_of(open_small, view, mini, resolved, make_training):
    # the labels of the small file are noise, of which a difference has more
    noise = _check(open_small(SPLITS, derived=DERIVED), make_training, DELTA)
    assert any("dft-cc spreads by" in text and "for having cc taken off" in text for text in noise)
    delta = Difference(target="cc", minus="dft")
    bundled = open_view({"": mini}, resolved(view.data.splits, derived={delta.name: delta}))
    assert _check(bundled, make_training, CC.but(labels="cc-dft")) == []


def test_two_methods_of_one_head_are_checked_each(open_small, make_training):
    sets = [CC.but(head="shared", probability=0.5), DFT.but(head="shared", probability=0.5)]
    _refused(open_small(SPLITS, change=_scale("cc.energy", 27.2114)), make_training, "the cc energies", *sets)
    _refused(open_small(SPLITS, change=_scale("dft.energy", 27.2114)), make_training, "the dft energies", *sets)


def test_each_range_is_checked(open_small, make_training):
    view = open_small(SPLITS)
    fits, above = (make_training(view, CC.but(range=pair)) for pair in ((0, 20), (20, 26)))
    with pytest.raises(DataError, match=r"\(cc; a; 20 to 26\): expected at most 25 structures"):
        check(view, [fits, above], [])


def test_geometries_that_two_parts_share_are_warned_of_where_a_column_parts_them(open_small, make_training):
    view = open_small(Splits(a=Subset(size=6, validation=3, needs=BOTH), t=Subset(size=6, needs=BOTH)))
    structures = view.structures
    codes = (structures.rank + 6 * structures.formula).astype(np.int32)
    names = tuple(f"{code:03d}" for code in range(codes.max() + 1))
    alone = structures._replace(columns={"name": Column(codes, names)})
    positions = np.tile(structures.positions[:1], (len(structures.species), 1))
    twins = alone._replace(positions=positions)
    view.data = view.data.but(splits=view.data.splits.but(by="name"))
    found = {}
    for name, own in (("alone", alone), ("twins", twins)):
        view.structures = view._source.structures = own
        view._source._hashes = None
        found[name] = [text for text in _check(view, make_training) if "same geometry as one of" in text]
    assert found["alone"] == []
    assert found["twins"]
    assert all("split by name, copies are not kept together" in text for text in found["twins"])


@pytest.mark.parametrize(("key", "labelled"), [("dft.energy", DFT), ("dft.forces", DFT)])
def test_unit_of_a_data_store_is_eV_and_mended_by_importing_again(
    write_file, as_store, small_labels, make_training, tmp_path, key, labelled
):
    def opened(name, provenance):
        as_store(write_file(change=_scale(key, 27.2114)), small_labels, to=tmp_path / "as_is.h5")
        structures = dataset.read(tmp_path / "as_is.h5", small_labels)
        path = tmp_path / name
        with dataset.Writer(path, energies=["cc", "dft"], forces=["dft"]) as writer:
            labels = structures.labels
            energies = {method: own.energy for method, own in labels.items()}
            forces = {method: own.forces for method, own in labels.items() if own.forces is not None}
            writer.add(dataset.Chunk(structures.sizes, structures.species, structures.positions, energies, forces))
            writer.finish(provenance)
        return open_view({"": path}, ResolvedData(digest="0" * 64, labels=small_labels, splits=SPLITS))

    quantity = {"dft.energy": "energies", "dft.forces": "forces"}[key]
    mend = f"the dft {quantity} do not look like eV.*import it again with the --unit of its file, or with --trust-units"
    for number, provenance in enumerate(({}, {"units_trusted": False})):
        _refused(opened(f"{number}.h5", provenance), make_training, mend, labelled)
    warnings = _check(opened("trusted.h5", {"units_trusted": True}), make_training, labelled)
    assert any("do not look like eV" in text and "imported with --trust-units" in text for text in warnings)


def test_copies_with_other_energies_are_told_where_they_are_trained_on(open_small, make_training):
    view = open_small(Splits(a=Subset(size=6, validation=3, needs=BOTH), t=Subset(size=6, needs=BOTH)))
    structures = view.structures
    firsts = np.flatnonzero(structures.rank == 0)
    model = firsts[np.argsort(structures.formula[firsts])][structures.formula]
    twins = structures._replace(positions=structures.positions[structures.atoms_of(model)])
    view.structures = view._source.structures = twins
    said = [text for text in _check(view, make_training) if "same geometry as an earlier one" in text]
    assert said
    assert all("and another energy, by up to" in text for text in said)
