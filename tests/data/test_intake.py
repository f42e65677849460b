"""A source that is no data set yet is imported on first use, found by its content, and judged at the door."""

from __future__ import annotations

import json
import shlex
import shutil
from concurrent.futures import ThreadPoolExecutor

import ase.io
import h5py
import numpy as np
import pytest
from ase import Atoms
from ase.build import molecule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from springs import frames

from mfsweep.data import dataset
from mfsweep.data.importing import Rules, import_files
from mfsweep.data.intake import take_in
from mfsweep.data.source import contents
from mfsweep.errors import DataError
from mfsweep.spec.data import INDICES, Data, LabelKeys, Splits, Subset

KEYS = LabelKeys(energy="REF_energy", forces="REF_forces")


def data(labels=None, given=None, **sources):
    named = {"sources": sources} if sources else {"source": "own.xyz"}
    splits = {"given": given} if given else {"by": "structure"}
    return Data(**named, labels=labels or {"dft": KEYS}, splits=Splits(**splits, a=Subset(size=5)))


@pytest.fixture
def own(tmp_path):
    ase.io.write(tmp_path / "own.xyz", frames())
    return tmp_path / "own.xyz"


@pytest.mark.parametrize("suffix", ["xyz", "xyz.gz"])
def test_it_is_the_data_set_that_the_command_makes(tmp_path, suffix):
    path = tmp_path / f"own.{suffix}"
    ase.io.write(path, frames())
    taken = take_in({"": path}, data(), tmp_path / "datasets")
    import_files([path], tmp_path / "by-command.h5", Rules(labels={"dft": KEYS}))
    assert taken.labels == {"dft": LabelKeys(energy="dft.energy", forces="dft.forces")}
    assert contents(taken.paths) == contents({"": tmp_path / "by-command.h5"})


@pytest.mark.parametrize(
    ("keys", "gradients"),
    [(("energies", "forces"), False), (("dft_total_energy", "dft_total_gradient"), True)],
    ids=["torchani", "spice"],
)
def test_hdf5_files_of_other_layouts_come_in_by_their_own_keys(tmp_path, keys, gradients):
    with h5py.File(tmp_path / "own.h5", "w") as file:
        for symbol in ("H2O", "CH4", "NH3"):
            own = [atoms for atoms in frames(60) if sorted(atoms.symbols) == sorted(molecule(symbol).symbols)]
            length, listed = (0.529177210903, "conformations") if gradients else (1.0, "coordinates")
            group = file.create_group(symbol)
            group[listed] = np.array([atoms.positions for atoms in own]) / length
            group["atomic_numbers" if gradients else "species"] = (
                own[0].numbers if gradients else np.array([atoms.numbers for atoms in own])
            )
            group[keys[0]] = [atoms.info["REF_energy"] / 27.211386245988 for atoms in own]
            slopes = np.array([atoms.arrays["REF_forces"] for atoms in own]) / 27.211386245988
            group[keys[1]] = -slopes * length if gradients else slopes
    labels = {"dft": LabelKeys(energy=keys[0], forces=keys[1])}
    taken = take_in({"": tmp_path / "own.h5"}, data(labels), tmp_path / "datasets")
    made = dataset.read(taken.paths[""], taken.labels)
    order = np.argsort(made.labels["dft"].energy)
    expected = sorted(atoms.info["REF_energy"] for atoms in frames(60))
    np.testing.assert_allclose(made.labels["dft"].energy[order], expected, rtol=1e-9)
    pulls = np.linalg.norm(np.concatenate([atoms.arrays["REF_forces"] for atoms in frames(60)]))
    assert made.labels["dft"].forces is not None
    assert np.linalg.norm(made.labels["dft"].forces) == pytest.approx(pulls, rel=1e-6)


def test_charges_of_a_molecule_come_along_with_the_one_column_of_the_splits(tmp_path):
    with h5py.File(tmp_path / "own.h5", "w") as file:
        for number, symbol in enumerate(("H2O", "CH4", "NH3")):
            own = [atoms for atoms in frames(60) if sorted(atoms.symbols) == sorted(molecule(symbol).symbols)]
            group = file.create_group(symbol)
            group["conformations"] = np.array([atoms.positions for atoms in own]) / 0.529177210903
            group["atomic_numbers"] = own[0].numbers
            group["dft_total_energy"] = [atoms.info["REF_energy"] / 27.211386245988 for atoms in own]
            group["smiles"], group["subset"] = [f"[X+{number + 1}:1]"], [symbol]
    labels = {"dft": LabelKeys(energy="dft_total_energy")}
    made = Data(source="own.h5", labels=labels, splits=Splits(by="subset", a=Subset(size=5)))
    taken = take_in({"": tmp_path / "own.h5"}, made, tmp_path / "datasets")
    structures = dataset.read(taken.paths[""], taken.labels)
    assert list(structures.columns) == ["subset"]
    assert sorted(set(structures.charge.tolist())) == [1, 2, 3]


def test_a_second_use_finds_it_under_any_name_and_a_changed_file_is_another(own, tmp_path):
    folder = tmp_path / "datasets"
    first = take_in({"": own}, data(), folder)
    before = first.paths[""].stat()
    assert take_in({"": own}, data(), folder).paths == first.paths
    shutil.copy(own, tmp_path / "copy.xyz")
    copied = take_in({"": tmp_path / "copy.xyz"}, data(), folder)
    assert contents(copied.paths) == contents(first.paths)
    assert (first.paths[""].stat().st_ino, first.paths[""].stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    ase.io.write(own, frames(seed=1))
    changed = take_in({"": own}, data(), folder)
    assert changed.paths != first.paths
    assert contents(changed.paths).digest != contents(first.paths).digest


def test_two_at_once_make_it_once(own, tmp_path):
    said = []
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: take_in({"": own}, data(), tmp_path / "datasets", say=said.append), range(4)))
    assert len({one.paths[""] for one in taken}) == 1
    assert len(said) == 2
    assert [path.suffix for path in (tmp_path / "datasets").iterdir()] == [".h5"]


def test_a_damaged_one_is_set_aside_and_made_again(own, tmp_path):
    path = take_in({"": own}, data(), tmp_path / "datasets").paths[""]
    whole = dataset.digests(path)
    with h5py.File(path, "r+") as file:
        file["geometry/positions"][0] = 9.0
    again = take_in({"": own}, data(), tmp_path / "datasets").paths[""]
    assert (again, dataset.digests(again)) == (path, whole)
    assert path.with_name(f"{path.name}.damaged-1").exists()


def test_a_folder_that_cannot_be_written_is_no_matter(own, tmp_path):
    (tmp_path / "file").touch()
    for folder in (None, tmp_path / "file" / "datasets"):
        path = take_in({"": own}, data(), folder).paths[""]
        assert dataset.is_dataset(path)
        assert tmp_path not in path.parents


def test_files_of_the_ani_layout_and_data_sets_stay_where_they_are(write_file, mini_store, tmp_path):
    labels = {"cc": LabelKeys(energy="cc.energy")}
    both = {"ani": write_file(), "store": mini_store}
    taken = take_in(both, data(labels, ani="ani.h5", store="mini.h5"), tmp_path / "datasets")
    assert (taken.paths, taken.labels) == (both, labels)
    assert not (tmp_path / "datasets").exists()


def test_several_files_have_their_methods_where_they_have_the_keys(tmp_path):
    train, test = frames(), frames(9, seed=2)
    for atoms in test:
        atoms.info["CC_energy"] = atoms.info["REF_energy"] - 1
    ase.io.write(tmp_path / "train.xyz", train)
    ase.io.write(tmp_path / "test.xyz", test)
    labels = {"dft": KEYS, "cc": LabelKeys(energy="CC_energy"), "other": KEYS.but(source="test")}
    files = {name: tmp_path / f"{name}.xyz" for name in ("train", "test")}
    taken = take_in(files, data(labels, train="train.xyz", test="test.xyz"), tmp_path / "datasets")
    assert set(dataset.methods(taken.paths["train"])) == {"dft"}
    assert set(dataset.methods(taken.paths["test"])) == {"dft", "cc", "other"}
    assert taken.labels["other"] == LabelKeys(energy="other.energy", forces="other.forces", source="test")
    with pytest.raises(DataError, match=r"data\.labels\.dft: no frame has 'REF_energi'.*Did you mean 'REF_energy'"):
        take_in(files, data({"dft": LabelKeys(energy="REF_energi")}, train="a", test="b"), tmp_path / "datasets")


def test_a_file_beside_a_data_set_has_the_same_keys_or_a_source_of_its_own(own, mini_store, tmp_path):
    files = {"own": own, "store": mini_store}
    with pytest.raises(DataError, match=r"data\.labels\.dft: expected keys X\.energy and X\.forces"):
        take_in(files, data(own="own.xyz", store="mini.h5"), tmp_path / "datasets")
    taken = take_in(files, data({"dft": KEYS.but(source="own")}, own="own.xyz", store="mini.h5"), tmp_path / "datasets")
    assert taken.labels["dft"].energy == "dft.energy"


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(["REF_enrgy", "energy", "forces", "é", "a b"]), forces=st.sampled_from([None, "force"]))
def test_keys_that_are_not_there_are_named_as_the_spec_has_them(own, tmp_path, key, forces):
    with pytest.raises(DataError, match=r"data\.labels\.dft: no frame has") as caught:
        take_in({"": own}, data({"dft": LabelKeys(energy=key, forces=forces)}), tmp_path / "datasets")
    assert "--labels" not in str(caught.value)


def test_isolated_atoms_are_told_and_numbers_of_structures_do_not_shift(own, tmp_path):
    alone = Atoms("H")
    alone.info["REF_energy"] = -13.0
    alone.arrays["REF_forces"] = np.zeros((1, 3))
    ase.io.write(own, [alone, *frames()])
    (tmp_path / "parts.json").write_text(json.dumps({"a": [0, 1]}))
    taken = take_in({"": own}, data(), tmp_path / "datasets")
    assert any("1 isolated atom" in note for note in taken.notes)
    assert take_in({"": own}, data(), tmp_path / "datasets").notes == taken.notes
    with pytest.raises(DataError, match="mfsweep data import"):
        take_in({"": own, INDICES: tmp_path / "parts.json"}, data(given="parts.json"), tmp_path / "datasets")


def test_what_asks_for_an_option_is_refused_with_the_command_that_works(own, tmp_path, monkeypatch):
    from mfsweep.cli.main import main

    monkeypatch.chdir(tmp_path)
    made = frames()
    for number, atoms in enumerate(made):
        atoms.info["head"] = ("cc", "dft")[number % 2]
    ase.io.write(own, made)
    with pytest.raises(DataError, match=r"^data\.source: ") as caught:
        take_in({"": own}, data(), tmp_path / "datasets")
    command = str(caught.value).partition(": mfsweep ")[2].partition(". data.source then names")[0]
    with pytest.raises(SystemExit) as ended:
        main(shlex.split(command))
    assert ended.value.code == 0
    assert set(dataset.methods(tmp_path / "own-dataset.h5")) == {"cc", "dft"}


def test_a_folder_is_refused_with_the_command_that_makes_one_data_set_of_it(tmp_path):
    (tmp_path / "many").mkdir()
    ase.io.write(tmp_path / "many" / "own.xyz", frames())
    with pytest.raises(DataError, match=r"expected one file, got a folder.*mfsweep data import .*many") as caught:
        take_in({"": tmp_path / "many"}, data(), tmp_path / "datasets")
    assert "--labels dft=REF_energy,REF_forces" in str(caught.value)
