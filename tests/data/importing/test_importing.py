from __future__ import annotations

import hashlib

import ase.io
import h5py
import numpy as np
import pytest
import synthetic
from ase.build import molecule

from mfsweep.data import dataset
from mfsweep.data.importing import Rules, import_files
from mfsweep.errors import DataError


def test_summary_and_provenance_say_where_the_data_come_from(importing, ani):
    imported = importing(ani, needs=("ccsd(t)_cbs",))
    summary = imported.summary
    assert summary.structures == len(imported.structures.formula)
    assert summary.atoms == len(imported.structures.species)
    assert summary.formulae == len(imported.structures.formulae)
    assert summary.bytes == imported.path.stat().st_size
    provenance = dataset.provenance(imported.path)
    (source,) = provenance["sources"]
    assert source["file"] == "ani.h5"
    assert source["bytes"] == ani.stat().st_size
    assert source["sha256"] == hashlib.sha256(ani.read_bytes()).hexdigest()
    assert source["labels"]["wb97x_dz"] == {"energy": "wb97x_dz.energy", "forces": "wb97x_dz.forces"}
    assert source["units"] == {"energy": "hartree", "forces": "hartree/Ang", "positions": "Ang"}
    assert provenance["needs"] == summary.lacking
    assert provenance["software"].keys() == {"mfsweep", "h5py", "ase", "numpy"}
    assert str(ani.parent) not in imported.path.read_bytes().decode("latin-1"), (
        "a store is given away: no folders in it"
    )


def test_several_files_come_in_one_after_the_other(importing, tmp_path):
    ase.io.write(tmp_path / "one.xyz", [molecule("H2O")] * 3)
    ase.io.write(tmp_path / "two.traj", [molecule("CH4")] * 2)
    imported = importing(tmp_path / "one.xyz", tmp_path / "two.traj", geometries=True)
    assert imported.structures.sizes.tolist() == [3, 3, 3, 5, 5]
    assert [source["file"] for source in dataset.provenance(imported.path)["sources"]] == ["one.xyz", "two.traj"]
    with pytest.raises(DataError, match="--geometries takes no labels, but --labels names some: cc"):
        importing(tmp_path / "one.xyz", labels=["cc"], geometries=True)


def test_files_may_have_different_methods(importing, tmp_path):
    synthetic.write(tmp_path / "one.h5", 40, formulae=8, seed=1)
    synthetic.write(tmp_path / "two.h5", 30, formulae=6, seed=2)
    with h5py.File(tmp_path / "two.h5", "r+") as file:
        for group in file.values():
            for part in ("energy", "forces"):
                group[f"xtb.{part}"] = group.pop(f"wb97x_dz.{part}")[()]
            group["smiles"] = ["C"] * len(group["coordinates"])
    imported = importing(tmp_path / "one.h5", tmp_path / "two.h5")
    assert imported.summary.energies.keys() == {"ccsd(t)_cbs", "wb97x_dz", "xtb"}
    assert imported.structures.carries("wb97x_dz", forces=True).tolist() == [True] * 40 + [False] * 30
    assert imported.structures.carries("xtb", forces=True).tolist() == [False] * 40 + [True] * 30
    codes = imported.structures.columns["smiles"].codes
    assert imported.structures.columns["smiles"].values == ("", "C")
    assert codes.tolist() == [0] * 40 + [1] * 30


def test_progress_is_told_and_an_interrupted_import_leaves_nothing(tmp_path, ani):
    told = []

    def stop(done, total):
        told.append((done, total))
        if done > 100:
            raise KeyboardInterrupt

    (tmp_path / "new").mkdir()
    with pytest.raises(KeyboardInterrupt):
        import_files([ani], tmp_path / "new" / "store.h5", Rules(labels={}), progress=stop)
    assert told[-1][0] > 100
    assert told[0][1] == 300
    assert not list((tmp_path / "new").iterdir())


def test_failed_import_leaves_the_old_store(importing, tmp_path, ani):
    before = importing(ani).path.read_bytes()
    broken = tmp_path / "broken.h5"
    broken.write_bytes(ani.read_bytes()[:-5000])
    with pytest.raises(DataError):
        importing(broken)
    path = tmp_path / "imported" / "store.h5"
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]


def test_existing_store_is_replaced_only_when_asked_for(importing, ani):
    path = importing(ani, labels=["wb97x_dz"]).path
    with pytest.raises(DataError, match="exists: give the data set another name, or say --overwrite"):
        importing(ani, overwrite=False)
    assert dataset.methods(path).keys() == {"wb97x_dz"}
    assert dataset.methods(importing(ani, overwrite=True).path).keys() == {"ccsd(t)_cbs", "wb97x_dz"}


def test_source_is_never_overwritten(tmp_path, ani):
    own = tmp_path / "own.h5"
    own.write_bytes(ani.read_bytes())
    with pytest.raises(DataError, match="is one of the files that come in"):
        import_files([own], own, Rules(labels={}), overwrite=True)
    with pytest.raises(DataError, match="got a folder"):
        import_files([own], tmp_path, Rules(labels={}), overwrite=True)


def test_data_store_is_refused_as_a_source(importing, tmp_path, ani):
    store = importing(ani).path.rename(tmp_path / "store.h5")
    with pytest.raises(DataError, match="got a data set: it has been imported already"):
        importing(store)


def test_lmdb_is_refused_with_what_to_do(importing, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "data.mdb").write_bytes(b"")
    (tmp_path / "own.lmdb").write_bytes(b"")
    for path in (tmp_path / "own", tmp_path / "own.lmdb"):
        with pytest.raises(DataError, match=r"got an LMDB database.*let that one write extxyz"):
            importing(path)


def test_missing_source_is_refused(importing, tmp_path):
    with pytest.raises(DataError, match=r"absent.h5: no such file"):
        importing(tmp_path / "absent.h5")


def test_unknown_method_of_needs_is_refused_with_the_nearest(importing, ani):
    with pytest.raises(DataError, match=r"--needs: no label method 'wb97x'.*Did you mean 'wb97x_dz'"):
        importing(ani, needs=("wb97x",))


def test_import_without_structures_left_is_refused(importing, write_file):
    def change(file):
        for group in file.values():
            group["cc.energy"][...] = np.nan

    with pytest.raises(DataError, match=r"no structure is left of 60: 60 do not carry cc \(--needs\)"):
        importing(write_file(change=change), needs=("cc",))


def test_labels_that_cannot_be_in_their_unit_are_refused_unless_trusted(importing, write_file):
    def change(file):
        for group in file.values():
            group["dft.forces"][...] *= 27.2
            group["dft.energy"][...] *= 27.2

    path = write_file(change=change)
    with pytest.raises(DataError, match=r"data\.h5: the dft energies do not look like hartree.*--unit dft:energy=eV"):
        importing(path)
    assert importing(path, trust_units=True).summary.structures == 60


@pytest.mark.parametrize("unit", ["energy=eV", "forces=eV/Ang"])
def test_unit_of_energies_needs_that_of_forces(importing, ani, unit):
    with pytest.raises(DataError, match=f"--unit {unit}: expected --unit .* too, since there are forces"):
        importing(ani, units=[unit])


def test_column_names_and_methods_of_a_store_can_be_read_back(importing, ani):
    assert importing(ani, labels=["a.b=ccsd(t)_cbs.energy"]).structures.labels.keys() == {"a.b"}
