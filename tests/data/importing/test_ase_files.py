from __future__ import annotations

import ase
import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from mfsweep.data import dataset
from mfsweep.data.importing import ase_files, frames
from mfsweep.data.units import BOHR, HARTREE
from mfsweep.errors import DataError


def molecules(**labels):
    """Water, methane and ammonia with values in info (numbers) or arrays (functions of the atoms)."""
    made = [molecule(name) for name in ("H2O", "CH4", "NH3")]
    for number, atoms in enumerate(made):
        for key, value in labels.items():
            if callable(value):
                atoms.arrays[key] = value(atoms)
            else:
                atoms.info[key] = value - number
    return made


@pytest.mark.parametrize("suffix", ["xyz", "extxyz", "traj", "db", "json"])
def test_results_of_a_calculator_are_read_from_each_format(importing, tmp_path, crystals, suffix, monkeypatch):
    monkeypatch.setattr(frames, "ROWS_AT_ONCE", 5)
    path = tmp_path / f"emt@0.{suffix}"
    if suffix in ("db", "json"):
        with ase.db.connect(path) as database:
            for atoms in crystals:
                database.write(atoms, config_type=atoms.info["config_type"])
            del database[3]
        expected = [*crystals[:2], *crystals[3:]]
    else:
        ase.io.write(path, crystals)
        expected = crystals
    imported = importing(path, labels=["emt"])
    structures = imported.structures
    assert structures.sizes.tolist() == [len(atoms) for atoms in expected]
    np.testing.assert_array_equal(structures.pbc, np.ones((len(expected), 3), bool))
    labels = structures.labels["emt"]
    np.testing.assert_allclose(labels.energy, [atoms.calc.results["energy"] for atoms in expected], rtol=1e-12)
    assert structures.cell is not None
    for index, atoms in enumerate(expected):
        np.testing.assert_allclose(structures.cell[index], atoms.cell.array, atol=1e-8)
        np.testing.assert_allclose(imported.positions(index), atoms.positions, atol=1e-7)
        np.testing.assert_allclose(imported.forces("emt", index), atoms.calc.results["forces"], atol=1e-6)
    assert structures.columns["config_type"].values == ("bulk",)
    assert imported.summary.units[path.name].forces == "eV/Ang"


def test_keys_of_info_and_arrays_are_labels(importing, tmp_path):
    path = tmp_path / "named.xyz"
    made = molecules(REF_energy=-40.0, mp2=-41.0, REF_forces=lambda atoms: 0.1 * atoms.positions)
    ase.io.write(path, made)
    imported = importing(path, labels=["dft=REF_energy,REF_forces", "mp2=mp2"])
    assert imported.structures.labels["dft"].energy.tolist() == [-40.0, -41.0, -42.0]
    assert imported.structures.labels["mp2"].energy.tolist() == [-41.0, -42.0, -43.0]
    assert imported.structures.labels["mp2"].forces is None
    for index, atoms in enumerate(made):
        np.testing.assert_allclose(imported.forces("dft", index), 0.1 * atoms.positions, atol=1e-7)
    assert imported.structures.pbc is None
    assert imported.structures.cell is None


def test_rows_of_a_database_have_labels_in_pairs_and_data(importing, tmp_path):
    path = tmp_path / "own.db"
    with ase.db.connect(path) as database:
        for atoms in molecules():
            database.write(atoms, REF_energy=-40.0, run="first", data={"REF_forces": atoms.positions})
    imported = importing(path, labels=["dft=REF_energy,REF_forces"])
    assert imported.structures.labels["dft"].energy.tolist() == [-40.0] * 3
    np.testing.assert_allclose(imported.forces("dft", 1), molecule("CH4").positions, atol=1e-7)
    assert imported.structures.columns["run"].values == ("first",)


def test_units_stated_are_converted(importing, tmp_path):
    path = tmp_path / "atomic.xyz"
    made = molecules(E=-40.0, F=lambda atoms: 0.01 * atoms.positions)
    ase.io.write(path, made)
    units = ["energy=hartree", "forces=hartree/bohr", "positions=bohr"]
    imported = importing(path, labels=["dft=E,F"], units=units)
    np.testing.assert_allclose(imported.structures.labels["dft"].energy, np.array([-40, -41, -42]) * HARTREE)
    np.testing.assert_allclose(imported.positions(1), made[1].positions * BOHR, atol=1e-7)
    expected = 0.01 * made[1].positions * HARTREE / BOHR
    np.testing.assert_allclose(imported.forces("dft", 1), expected, atol=1e-6)


def test_frames_without_a_label_have_none(importing, tmp_path, crystals, monkeypatch):
    monkeypatch.setattr(ase_files, "FRAMES_AT_ONCE", 5)
    path = tmp_path / "mixed.traj"
    bare = [atoms.copy() for atoms in crystals]
    energy_only = crystals[0].copy()
    energy_only.calc = SinglePointCalculator(energy_only, energy=1.0)
    ase.io.write(path, [*bare[:3], *crystals[:3], energy_only])
    imported = importing(path, labels=["emt=energy,forces"])
    labels = imported.structures.carries("emt", forces=False)
    assert labels.tolist() == [False] * 3 + [True] * 4
    assert imported.structures.carries("emt", forces=True).tolist() == [False] * 3 + [True] * 3 + [False]
    assert imported.summary.energies == {"emt": 4}
    assert imported.summary.forces == {"emt": 3}


def test_forces_that_come_up_late_are_not_lost(importing, tmp_path, crystals, monkeypatch):
    monkeypatch.setattr(ase_files, "FRAMES_AT_ONCE", 2)
    first = [atoms.copy() for atoms in crystals[:2]]
    for atoms in first:
        atoms.calc = SinglePointCalculator(atoms, energy=1.0)
    path = tmp_path / "late.traj"
    ase.io.write(path, [*first, *crystals[:3]])
    with pytest.raises(
        DataError, match=r"late\.traj: frame 2: has forces .*first 2 frames.*--labels emt=energy,forces"
    ):
        importing(path, labels=["emt"])


def test_periodicity_may_be_mixed(importing, tmp_path, crystals):
    slab = crystals[0].copy()
    slab.pbc = (True, True, False)
    boxed = molecule("H2O", vacuum=3.0)
    path = tmp_path / "mixed.traj"
    ase.io.write(path, [crystals[0].copy(), slab, boxed])
    structures = importing(path, geometries=True).structures
    assert structures.pbc.tolist() == [[True] * 3, [True, True, False], [False] * 3]
    np.testing.assert_array_equal(structures.cell[1], slab.cell.array * [[1], [1], [0]])
    np.testing.assert_array_equal(structures.cell[2], 0)
    assert structures.labels == {}


def test_charge_is_that_stated_or_the_sum_over_atoms(importing, tmp_path):
    stated, summed, neutral = molecules(E=-40.0)
    stated.info.update(charge=-1, total_charge=2)
    summed.set_initial_charges([0.5, 0.25, 0.25, 0.0, 0.0])
    path = tmp_path / "charged.traj"
    ase.io.write(path, [stated, summed, neutral])
    imported = importing(path, labels=["dft=E"])
    assert imported.structures.charge.tolist() == [-1, 1, 0]
    assert dataset.provenance(imported.path)["sources"][0]["charges"] == ["charge", "initial_charges"]
    assert importing(path, labels=["dft=E"], charge="none").structures.charge is None
    assert importing(path, labels=["dft=E"], charge="total_charge").structures.charge.tolist() == [2, 0, 0]
    assert importing(path, labels=["dft=E"], charge="initial_charges").structures.charge.tolist() == [0, 1, 0]
    with pytest.raises(DataError, match=r"--charge: no frame has 'total_chrge'.*Did you mean 'total_charge'"):
        importing(path, labels=["dft=E"], charge="total_chrge")


def test_total_charge_is_taken_by_its_other_name_and_before_partial_charges(importing, tmp_path):
    made = molecules(E=-40.0)
    for atoms in made:
        atoms.info["total_charge"] = 1
        atoms.set_initial_charges(np.linspace(0.1, 0.3, len(atoms)))
    path = tmp_path / "charged.xyz"
    ase.io.write(path, made)
    imported = importing(path, labels=["dft=E"])
    assert imported.structures.charge.tolist() == [1, 1, 1]
    assert imported.summary.warnings == ()


def test_partial_charges_that_are_no_whole_number_are_left_with_a_warning(importing, tmp_path):
    made = molecules(E=-40.0)
    for atoms in made:
        atoms.set_initial_charges(np.full(len(atoms), 0.07))
    path = tmp_path / "mulliken.traj"
    ase.io.write(path, made)
    imported = importing(path, labels=["dft=E"])
    assert imported.structures.charge is None
    (warning,) = imported.summary.warnings
    assert "3 structures have initial_charges that do not add up to a whole number" in warning
    assert "--charge none" in warning
    assert importing(path, labels=["dft=E"], charge="none").summary.warnings == ()
    with pytest.raises(DataError, match="frame 0: 'initial_charges': expected a total charge"):
        importing(path, labels=["dft=E"], charge="initial_charges")


@pytest.mark.parametrize("charge", [0.4, 40000, -40000, np.nan, np.inf, "one", [1, 0]])
def test_charge_that_is_none_is_refused_by_place(importing, tmp_path, charge):
    made = molecules(E=-40.0)
    made[1].info["charge"] = charge
    path = tmp_path / "charged.traj"
    ase.io.write(path, made)
    with pytest.raises(DataError, match=r"frame 1: 'charge': expected a total charge that is a whole.*--charge none"):
        importing(path, labels=["dft=E"])
    assert importing(path, labels=["dft=E"], charge="none").structures.charge is None


def test_columns_asked_for_are_taken_and_those_unknown_refused(importing, tmp_path):
    made = molecules(E=-40.0)
    for number, atoms in enumerate(made):
        atoms.info["fold"] = number
        atoms.info["note"] = "not asked for"
    del made[2].info["fold"]
    path = tmp_path / "folds.xyz"
    ase.io.write(path, made)
    columns = importing(path, labels=["dft=E"], columns=("fold",)).structures.columns
    assert list(columns) == ["fold"]
    assert [columns["fold"].values[code] for code in columns["fold"].codes] == ["0", "1", ""]
    with pytest.raises(DataError, match=r"--column: no frame has 'flod'.*Did you mean 'fold'"):
        importing(path, labels=["dft=E"], columns=("flod",))


@pytest.mark.parametrize("name", ["", ".", "..", "from/where", "a\0b", "\ud800"])
def test_texts_whose_name_no_column_can_have_are_left_with_a_warning_unless_asked_for(importing, tmp_path, name):
    made = molecules(E=-40.0)
    for atoms in made:
        atoms.info[name] = "here"
        atoms.info["note"] = "well named"
    path = tmp_path / "named.db"
    with ase.db.connect(path) as database:
        for atoms in made:
            database.write(atoms, data=atoms.info)
    imported = importing(path, labels=["dft=E"])
    assert list(imported.structures.columns) == ["note"]
    (warning,) = imported.summary.warnings
    assert repr(name) in warning
    with pytest.raises(DataError, match="--column: no column can be named"):
        importing(path, labels=["dft=E"], columns=(name,))


def test_labels_without_a_name_are_refused_with_all_that_there_is(importing, tmp_path, crystals):
    path = tmp_path / "emt.traj"
    ase.io.write(path, crystals)
    with pytest.raises(
        DataError, match=r"Say --labels NAME .*results energy, forces; in info config_type; in arrays \(no"
    ):
        importing(path)


def test_key_that_no_frame_has_is_refused_with_all_that_there_are(importing, tmp_path):
    path = tmp_path / "named.xyz"
    ase.io.write(path, molecules(REF_energy=-40.0, REF_forces=lambda atoms: atoms.positions))
    with pytest.raises(DataError, match=r"no frame has 'REF_enrgy'\. Did you mean 'REF_energy'.*in arrays REF_forces"):
        importing(path, labels=["dft=REF_enrgy,REF_forces"])
    with pytest.raises(DataError, match=r"no frame has 'REF_force'\. Did you mean 'REF_forces'"):
        importing(path, labels=["dft=REF_energy,REF_force"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda atoms: atoms.info.update(E="low"), r"frame 1: 'E': expected numbers of shape \(\), got the text 'low'"),
        (lambda atoms: atoms.info.update(E=[1.0, 2.0]), r"frame 1: 'E': expected numbers of shape \(\)"),
        (lambda atoms: atoms.info.update(E=np.inf), "frame 1: its dft energy is infinite"),
        (lambda atoms: atoms.positions.__setitem__(0, np.nan), "frame 1: its positions are not finite"),
        (lambda atoms: atoms.set_atomic_numbers([0, 1, 1, 1, 1]), "frame 1: atomic numbers hold 0 to 1"),
        (lambda atoms: atoms.__delitem__(slice(None)), "frame 1: expected atoms, got none"),
        (lambda atoms: atoms.set_pbc(True), "frame 1: it is periodic along vectors that span no cell"),
        (lambda atoms: atoms.set_cell([1, 1, np.nan]) or atoms.set_pbc(True), "frame 1: its cell is not finite"),
    ],
)
def test_bad_frame_is_refused_by_place(importing, tmp_path, change, message):
    made = molecules(E=-40.0)
    change(made[1])
    path = tmp_path / "bad.traj"
    ase.io.write(path, made)
    with pytest.raises(DataError, match=message):
        importing(path, labels=["dft=E"])


@pytest.mark.parametrize(
    ("forces", "message"),
    [
        (
            lambda atoms: atoms.positions[:, 0],
            r"frame 0: 'F': expected numbers of shape \(3, 3\), got float64 .*\(3,\)",
        ),
        (lambda atoms: np.where(atoms.positions > 0, np.nan, 0.1), "frame 0: its dft forces are NaN for a part of it"),
        (lambda atoms: np.full(atoms.positions.shape, np.inf), "frame 0: its dft forces are infinite"),
    ],
)
def test_bad_forces_are_refused_by_place(importing, tmp_path, forces, message):
    path = tmp_path / "bad.xyz"
    ase.io.write(path, molecules(E=-40.0, F=forces))
    with pytest.raises(DataError, match=message):
        importing(path, labels=["dft=E,F"])
