from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mfsweep.data.importing import memory
from mfsweep.data.reading import read
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys


@pytest.fixture
def two_files(write_file: Callable[..., Path], tmp_path: Path) -> dict[str, Path]:
    """Write `new`, without dft and with other molecules and charges, and `old`."""

    def change(file):
        for group in file.values():
            del group["dft.energy"], group["dft.forces"]
            group["charge"] = np.int8(1)

    new = write_file({"H2O": [1, 8, 1], "N2": [7, 7]}, conformers=2, change=change).rename(tmp_path / "new.h5")
    return {"old": write_file({"CH4": [6, 1, 1, 1, 1], "H2O": [8, 1, 1]}, conformers=3), "new": new}


def test_several_files_are_read_one_after_the_other_by_name(two_files, small_labels):
    structures = read(two_files, small_labels)
    assert structures.sources == ("new", "old")
    np.testing.assert_array_equal(structures.source, [0] * 4 + [1] * 6)
    assert [structures.formulae[i] for i in structures.formula] == ["H2O"] * 2 + ["N2"] * 2 + ["CH4"] * 3 + ["H2O"] * 3
    np.testing.assert_array_equal(structures.rank, [0, 1, 0, 1, 0, 1, 2, 0, 1, 2])
    np.testing.assert_array_equal(structures.charge, [1] * 4 + [0] * 6)
    for name, first in (("new", 0), ("old", 4)):
        own = memory.read(two_files[name], {"cc": small_labels["cc"]})
        place = slice(first, first + len(own.formula))
        np.testing.assert_array_equal(structures.labels["cc"].energy[place], own.labels["cc"].energy)
        atoms = structures.atoms_of(np.arange(place.start, place.stop))
        np.testing.assert_array_equal(structures.positions[atoms], own.positions)
        np.testing.assert_array_equal(structures.species[atoms], own.species)
    assert structures.describe(7) == "H2O, conformer 0 of old (structure 7)"


def test_method_has_no_labels_in_a_file_without_its_keys(two_files, small_labels):
    structures = read(two_files, small_labels)
    np.testing.assert_array_equal(structures.usable("dft"), [False] * 4 + [True] * 6)
    assert structures.labels["dft"].forces is not None
    assert structures.labels["dft"].forces.shape == (len(structures.species), 3)


def test_method_of_one_source_has_labels_there_alone(two_files, small_labels):
    cc = small_labels["cc"].but(source="new")
    np.testing.assert_array_equal(read(two_files, {"cc": cc}).usable("cc"), [True] * 4 + [False] * 6)
    with pytest.raises(DataError, match=r"labels\.cc\.source: expected one of the sources new, old, got 'odl'.*'old'"):
        read(two_files, {"cc": cc.but(source="odl")})


def test_key_that_no_source_has_is_refused_with_the_nearest(two_files, small_labels):
    with pytest.raises(DataError, match=r"data\.h5 and .*new\.h5: no group has the key 'dft.enrgy'.*'dft\.energy'"):
        read(two_files, {"dft": LabelKeys(energy="dft.enrgy")})
    with pytest.raises(DataError, match=r"new\.h5: no group has the key 'dft.energy' \(data\.labels\.dft\.energy\)"):
        read(two_files, {"dft": small_labels["dft"].but(source="new")})


def test_broken_source_is_refused_by_name(two_files, small_labels):
    two_files["new"].write_bytes(b"no data")
    with pytest.raises(DataError, match=r"new\.h5: expected an HDF5 file"):
        read(two_files, small_labels)


def test_data_store_and_file_are_read_together(two_files, small_labels, as_store):
    mixed = {"old": as_store(two_files["old"], small_labels), "new": two_files["new"]}
    plain, structures = read(two_files, small_labels), read(mixed, small_labels)
    for name in ("offsets", "species", "positions", "formula", "rank", "charge", "source"):
        np.testing.assert_array_equal(getattr(structures, name), getattr(plain, name))
    for method in small_labels:
        np.testing.assert_array_equal(structures.labels[method].energy, plain.labels[method].energy)
    assert structures.formulae == plain.formulae
    both = {name: as_store(path, {"cc": small_labels["cc"]}) for name, path in two_files.items()}
    with pytest.raises(DataError, match=r"no group has the key 'dft.energy'.*There are cc\.energy"):
        read(both, small_labels)
