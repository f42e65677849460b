from __future__ import annotations

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from water_group import exchange, put

from mfsweep.data import dataset
from mfsweep.data.importing import ani as reader
from mfsweep.data.importing import memory
from mfsweep.data.structures import Structures
from mfsweep.data.units import BOHR
from mfsweep.errors import DataError, MfsweepError

CC, DFT = "ccsd(t)_cbs", "wb97x_dz"


def require_same(ours: Structures, theirs: Structures) -> None:
    for name in ("offsets", "species", "positions", "formula", "rank", "charge"):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert ours.formulae == theirs.formulae
    assert ours.labels.keys() == theirs.labels.keys()
    for method, labels in theirs.labels.items():
        np.testing.assert_array_equal(ours.labels[method].energy, labels.energy)
        if labels.forces is None:
            assert ours.labels[method].forces is None
        else:
            np.testing.assert_array_equal(ours.labels[method].forces, labels.forces)


@pytest.mark.parametrize("atoms_at_once", [1, 97, 200_000])
def test_structures_are_those_of_the_file_bit_for_bit(importing, ani, monkeypatch, atoms_at_once):
    monkeypatch.setattr(reader, "ATOMS_AT_ONCE", atoms_at_once)
    imported = importing(ani)
    require_same(imported.structures, memory.read(ani, dataset.methods(imported.path)))
    assert imported.summary.energies[DFT] == imported.summary.forces[DFT] == imported.summary.structures == 300
    assert CC not in imported.summary.forces


def test_bundled_file_keeps_all_it_has(importing, mini):
    imported = importing(mini)
    require_same(imported.structures, memory.read(mini, dataset.methods(imported.path)))
    with h5py.File(mini) as file:
        smiles = [text for group in file.values() for text in group["smiles"].asstr()[()]]
    column = imported.structures.columns["smiles"]
    assert [column.values[code] for code in column.codes] == smiles
    assert imported.summary.columns == ("smiles",)


def test_ani1ccx_is_cut_out_of_the_release(importing, ani):
    imported = importing(ani, labels=[f"cc={CC}.energy", f"dft={DFT}.energy,{DFT}.forces"], needs=("cc",))
    with h5py.File(ani) as file:
        labelled = [~np.isnan(group[f"{CC}.energy"][()]) for group in file.values()]
        coordinates = np.concatenate(
            [group["coordinates"][()][own].reshape(-1, 3) for group, own in zip(file.values(), labelled, strict=True)]
        )
    count = int(np.concatenate(labelled).sum())
    assert 0 < count < 300
    assert imported.summary.structures == imported.summary.energies["cc"] == imported.summary.energies["dft"] == count
    assert imported.summary.lacking == {"cc": 300 - count}
    np.testing.assert_array_equal(imported.structures.positions, coordinates)


def test_columns_asked_for_may_be_numbers(importing, mini):
    imported = importing(mini, columns=("temperature",))
    column = imported.structures.columns["temperature"]
    with h5py.File(mini) as file:
        first = next(iter(file.values()))["temperature"][()]
    assert [float(column.values[code]) for code in column.codes[: len(first)]] == first.tolist()
    with pytest.raises(DataError, match=r"--column: there is no 'temprature'.*Did you mean 'temperature'"):
        importing(mini, columns=("temprature",))


def test_units_are_converted(importing, write_file):
    own = write_file()
    ours = importing(own, units=["positions=bohr"], trust_units=True).structures
    theirs = memory.read(own, {})
    np.testing.assert_allclose(ours.positions, theirs.positions * BOHR, rtol=1e-15)

    def change(file):
        for group in file.values():
            for method in ("cc", "dft"):
                group[f"{method}.energy"][...] *= 27.211386245988
            group["dft.forces"][...] *= 27.211386245988

    hartree = importing(own).structures
    electronvolt = importing(write_file(change=change), units=["energy=eV", "forces=eV/Ang"]).structures
    for method in ("cc", "dft"):
        np.testing.assert_allclose(electronvolt.labels[method].energy, hartree.labels[method].energy, rtol=1e-14)
    np.testing.assert_allclose(electronvolt.labels["dft"].forces, hartree.labels["dft"].forces, rtol=1e-6)


def test_group_without_a_key_carries_no_such_labels(importing, write_file):
    def change(file):
        del file["H2O"]["cc.energy"], file["H2O"]["dft.forces"]
        file["CH4"]["name"] = [f"methane {i}" for i in range(6)]

    imported = importing(write_file(change=change))
    structures = imported.structures
    water = structures.formula == structures.formulae.index("H2O")
    np.testing.assert_array_equal(structures.carries("cc", forces=False), ~water)
    np.testing.assert_array_equal(structures.carries("dft", forces=True), ~water)
    assert imported.summary.forces == {"dft": 54}
    assert structures.columns["name"].values == ("", *(f"methane {i}" for i in range(6)))


def test_charges_come_along(importing, write_file):
    def change(file):
        file["H2O"]["charge"] = np.int8(1)
        file["CO2"]["charge"] = np.array([0, 0, -1, 0, 0, 0])

    own = write_file(change=change)
    np.testing.assert_array_equal(importing(own).structures.charge, memory.read(own, {}).charge)


def test_charge_may_have_another_key_or_be_left(importing, write_file):
    def change(file):
        file["H2O"]["charge"] = np.full(6, 0.5)
        file["H2O"]["total"] = np.int8(1)

    own = write_file(change=change)
    assert importing(own, charge="total").structures.charge.sum() == 6
    assert importing(own, charge="none").structures.charge is None
    with pytest.raises(DataError, match=r"--charge: there is no 'totl'.*Did you mean 'total'"):
        importing(own, charge="totl")


def test_large_molecules_pass(importing, tmp_path):
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        group = file.create_group("protein")
        group["atomic_numbers"] = np.tile([6, 1, 1], 100)
        group["coordinates"] = np.random.default_rng(0).normal(size=(2, 300, 3))
        group["a.energy"] = [-4000.0, -4001.0]
    assert importing(path).structures.sizes.tolist() == [300, 300]


def _unwritten(file):
    del file["H2O"]["coordinates"]
    file["H2O"].create_dataset("coordinates", shape=(6, 3, 3), dtype="f4")


def _partly_written(file):
    del file["H2O"]["coordinates"]
    file["H2O"].create_dataset("coordinates", shape=(6, 3, 3), dtype="f4", chunks=(2, 3, 3))[:4] = 1.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda file: file["H2O"].pop("coordinates"), "group '/H2O' has no dataset 'coordinates'"),
        (lambda file: file.create_dataset("loose", data=[1]), "got the dataset 'loose'"),
        (exchange("cc.energy", np.zeros(5)), r"'/H2O', key 'cc.energy': expected shape \(6,\).*got \(5,\)"),
        (exchange("dft.forces", np.zeros((6, 9))), r"expected shape \(6, 3, 3\).*got \(6, 9\)"),
        (exchange("atomic_numbers", np.array([300, 1, 1])), "hold 1 to 300"),
        (exchange("cc.energy", ["a"] * 6), "expected numbers"),
        (exchange("coordinates", np.zeros((6, 3, 3))), "'/H2O', conformer 0: all its atoms are in one place"),
        (_unwritten, "'/H2O/coordinates' was made but not wholly written"),
        (_partly_written, "'/H2O/coordinates' was made but not wholly written"),
        (put("coordinates", (4, 1, 2), np.nan), "'/H2O', conformer 4: its positions are not finite"),
        (put("cc.energy", 3, np.inf), "'/H2O', conformer 3: its cc energy is infinite"),
        (put("dft.forces", (5, 0), np.inf), "'/H2O', conformer 5: its dft forces are infinite"),
        (put("dft.forces", (2, 1), np.nan), "'/H2O', conformer 2: its dft forces are NaN for a part of it"),
        (put("dft.forces", (2, 1, 0), np.nan), "'/H2O', conformer 2: its dft forces are NaN for a part of it"),
        (lambda file: file["H2O"].create_dataset("charge", data=[0.5] * 6), "'charge': expected whole numbers"),
        (lambda file: file["H2O"].create_dataset("charge", data=[70000] * 6), "'charge': expected whole numbers"),
        (lambda file: file["H2O"].create_dataset("charge", data=[np.nan] * 6), "'charge': expected whole numbers"),
    ],
)
def test_malformed_file_is_refused_by_place(importing, write_file, tmp_path, change, message):
    path = write_file(change=change)
    with pytest.raises(DataError, match=message) as caught:
        importing(path)
    assert str(path) in str(caught.value)
    assert not list((tmp_path / "imported").glob("*")) + list((tmp_path / "imported").glob(".*"))


def test_bad_structures_are_left_out_when_asked_for(importing, write_file):
    def change(file):
        file["H2O"]["dft.forces"][2, 1] = np.nan
        file["H2O"]["dft.forces"][4, 0] = np.nan
        file["CO2"]["coordinates"][0] = np.inf

    imported = importing(write_file(change=change), drop_bad=True)
    assert imported.summary.structures == 57
    assert sum(imported.summary.dropped.values()) == 3
    assert imported.summary.dropped["its positions are not finite"] == 1
    assert "group '/CO2', conformer 0" in imported.summary.examples[0]
    assert "group '/H2O', conformer 2" in imported.summary.examples[1]


def test_other_hdf5_is_refused(importing, tmp_path):
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as file:
        file["energies"] = np.zeros(3)
    with pytest.raises(DataError, match="got the dataset 'energies'"):
        importing(path)


@pytest.mark.parametrize("content", [b"", b"these are no data, only words\n"])
def test_files_that_are_no_hdf5_are_refused_by_name(importing, tmp_path, content):
    path = tmp_path / "data.h5"
    path.write_bytes(content)
    with pytest.raises(DataError, match="is empty" if not content else "expected an HDF5 file"):
        importing(path)


@pytest.mark.parametrize("damage", [b"\x00" * 8, b"\xff" * 8])
def test_damaged_texts_that_the_hdf5_library_would_never_get_over_are_refused(importing, write_file, damage):
    """The size of the free space in the heap of texts, which the library adds up without a look."""
    path = write_file(change=lambda file: file["H2O"].create_dataset("smiles", data=["O"] * 6))
    content = path.read_bytes()
    heap = content.index(b"GCOL")
    free = heap + 16 + 6 * 24
    assert content[free : free + 8] == b"\x00" * 8
    path.write_bytes(content[: free + 8] + damage + content[free + 16 :])
    with pytest.raises(DataError, match=f"the texts at byte {heap} are damaged"):
        importing(path)


def test_texts_of_all_lengths_are_sound(importing, write_file):
    texts = ["", "O" * 7, "O" * 8, "O" * 5000, "\N{GREEK SMALL LETTER OMEGA}", "O" * 4096]
    path = write_file(change=lambda file: file["H2O"].create_dataset("smiles", data=texts))
    column = importing(path).structures.columns["smiles"]
    water = np.flatnonzero(column.codes != column.values.index(""))
    assert [column.values[code] for code in column.codes[water]] == texts[1:]


@pytest.fixture(scope="session")
def small(tmp_path_factory) -> bytes:
    path = tmp_path_factory.mktemp("fuzz") / "small.h5"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        for name, numbers in {"H2O": [8, 1, 1], "CH4": [6, 1, 1, 1, 1]}.items():
            group = file.create_group(name)
            group["atomic_numbers"] = np.array(numbers, np.uint8)
            group["coordinates"] = rng.normal(size=(4, len(numbers), 3)).astype(np.float32)
            group["cc.energy"] = -40.0 + rng.normal(size=4)
            group["cc.forces"] = rng.normal(scale=0.05, size=(4, len(numbers), 3)).astype(np.float32)
            group["smiles"] = ["O"] * 4
            group.create_dataset("charge", data=np.zeros(4, np.int8), chunks=(2,), compression="gzip")
    return path.read_bytes()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_imported_or_refused(importing, small, tmp_path, data):
    content = bytearray(small)
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(small) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(small)), st.integers(0, len(small))))
    path = tmp_path / "damaged.h5"
    path.write_bytes(content[:end])
    try:
        structures = importing(path).structures
    except MfsweepError:
        return
    assert np.isfinite(structures.positions).all()
    assert not np.isinf(structures.labels["cc"].energy).any()
