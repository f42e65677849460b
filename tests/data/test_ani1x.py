from __future__ import annotations

import h5py
import numpy as np
import pytest
from water_group import exchange, put

from mfsweep.data.importing.memory import read
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

HARTREE = 27.211386245988


def test_bundled_file_is_read_whole(view, mini):
    structures = view.structures
    assert len(structures.formula) == 5477
    assert len(structures.formulae) == 124
    assert len(structures.species) == 56679
    assert view.elements == (1, 6, 7, 8)
    with h5py.File(mini) as file:
        group = file["C2H6O"]
        place = np.flatnonzero(structures.formula == structures.formulae.index("C2H6O"))
        np.testing.assert_array_equal(structures.rank[place], np.arange(len(place)))
        xtb, dft = structures.labels["xtb"], structures.labels["dft"]
        np.testing.assert_allclose(xtb.energy[place], group["gfn2_xtb.energy"][:] * HARTREE, rtol=1e-15)
        np.testing.assert_array_equal(np.isnan(dft.energy[place]), np.isnan(group["wb97x_631gd.energy"][:]))
        atoms = structures.atoms_of(place[[3]])
        np.testing.assert_array_equal(structures.positions[atoms], group["coordinates"][3])
        assert xtb.forces is not None
        np.testing.assert_allclose(xtb.forces[atoms], group["gfn2_xtb.forces"][3] * HARTREE, rtol=1e-6)
        np.testing.assert_array_equal(structures.species[atoms], group["atomic_numbers"])


def test_energies_keep_float64(write_file, small_labels):
    step = 1e-11

    def change(file):
        file["CH4"]["cc.energy"][:2] = [-40.0, -40.0 + step]

    energy = read(write_file(change=change), small_labels).labels["cc"].energy
    first = np.flatnonzero(np.isclose(energy, -40.0 * HARTREE, atol=1e-6))[:2]
    assert np.diff(energy[first])[0] == pytest.approx(step * HARTREE, rel=0.01)


def test_formula_comes_from_the_atoms_not_from_the_groups_name(write_file, small_labels):
    molecules = {"wrong": [8, 1, 1], "H2O": [6, 1, 1, 1, 1], "water again": [1, 8, 1]}
    structures = read(write_file(molecules, conformers=2), small_labels)
    assert structures.formulae == ("CH4", "H2O")
    assert [structures.formulae[i] for i in structures.formula] == ["CH4", "CH4", "H2O", "H2O", "H2O", "H2O"]
    np.testing.assert_array_equal(structures.rank, [0, 1, 0, 1, 2, 3])


def test_group_without_a_key_carries_no_such_labels(write_file, small_labels):
    def change(file):
        del file["H2O"]["cc.energy"], file["H2O"]["dft.forces"]

    structures = read(write_file(change=change), small_labels)
    water = structures.formula == structures.formulae.index("H2O")
    np.testing.assert_array_equal(structures.carries("cc", forces=False), ~water)
    np.testing.assert_array_equal(structures.usable("dft"), ~water)


def test_empty_groups_hold_nothing(write_file, small_labels):
    def change(file):
        group = file.create_group("O2")
        group["atomic_numbers"] = np.array([8, 8])
        group["coordinates"] = np.zeros((0, 2, 3))

    assert "O2" not in read(write_file(change=change), small_labels).formulae


def test_charges_are_read_per_conformer_or_per_group(write_file, small_labels):
    def change(file):
        file["H2O"]["charge"] = np.int8(1)
        file["CO2"]["charge"] = np.array([0, 0, -1, 0, 0, 0])

    structures = read(write_file(change=change), small_labels)
    assert structures.charge is not None
    water = structures.formula == structures.formulae.index("H2O")
    assert (structures.charge[water] == 1).all()
    assert structures.charge[~water].sum() == -1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["H2O"].pop("coordinates"), "group '/H2O' has no dataset 'coordinates'"),
        (lambda file: file["H2O"].move("coordinates", "coordinate"), "Did you mean 'coordinate'"),
        (lambda file: file.create_dataset("loose", data=[1]), "got the dataset 'loose'"),
        (lambda file: file.create_group("gdb11_s01"), "group '/gdb11_s01' has no dataset"),
        (exchange("cc.energy", np.zeros(5)), r"'/H2O', key 'cc.energy': expected shape \(6,\).*got \(5,\)"),
        (exchange("dft.forces", np.zeros((6, 9))), r"expected shape \(6, 3, 3\).*got \(6, 9\)"),
        (exchange("coordinates", np.zeros((6, 4, 3))), r"expected shape \(conformers, 3, 3\), got \(6, 4, 3\)"),
        (exchange("coordinates", np.float64(1.0)), r"expected shape \(conformers, 3, 3\), got \(\)"),
        (exchange("atomic_numbers", np.array([8.0, 1.0, 1.0])), "and integers"),
        (exchange("atomic_numbers", np.array([8, 1, 0])), "hold 0 to 8"),
        (exchange("atomic_numbers", np.array([300, 1, 1])), "hold 1 to 300"),
        (exchange("cc.energy", ["a"] * 6), "expected numbers"),
        (put("coordinates", (4, 1, 2), np.nan), r"'/H2O', conformer 4: its positions are not finite"),
        (put("cc.energy", 3, np.inf), r"'/H2O', conformer 3: its cc energy is infinite"),
        (put("dft.forces", (5, 0), np.inf), r"'/H2O', conformer 5: its dft forces are infinite"),
        (put("dft.forces", (2, 1), np.nan), r"'/H2O', conformer 2: its dft forces are NaN for a part of it"),
        (put("dft.forces", (2, 1, 0), np.nan), r"'/H2O', conformer 2: its dft forces are NaN for a part of it"),
    ],
)
def test_malformed_file_is_refused_by_place(write_file, small_labels, change, message):
    path = write_file(change=change)
    with pytest.raises(DataError, match=message) as caught:
        read(path, small_labels)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("keys", [LabelKeys(energy="cc.enrgy"), LabelKeys(energy="dft.energy", forces="cc.enrgy")])
def test_key_that_no_group_has_is_refused_with_the_nearest(write_file, keys):
    with pytest.raises(DataError, match=r"no group has the key 'cc.enrgy' .*Did you mean 'cc\.energy'.*dft\.forces"):
        read(write_file(), {"cc": keys})


def test_file_without_groups_is_refused(tmp_path, small_labels):
    with h5py.File(tmp_path / "empty.h5", "w"):
        pass
    with pytest.raises(DataError, match="holds no structures"):
        read(tmp_path / "empty.h5", small_labels)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9])
def test_truncated_file_is_a_data_error(write_file, tmp_path, small_labels, share):
    content = write_file().read_bytes()
    path = tmp_path / "part.h5"
    path.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(DataError, match=r"cannot be read as one|is empty"):
        read(path, small_labels)


def test_other_files_and_missing_ones_are_data_errors(tmp_path, small_labels):
    (tmp_path / "text.h5").write_text("these are no data, only words")
    with pytest.raises(DataError, match="expected an HDF5 file"):
        read(tmp_path / "text.h5", small_labels)
    with pytest.raises(DataError, match="no such file"):
        read(tmp_path / "absent.h5", small_labels)
