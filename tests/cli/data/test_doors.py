"""What is wrong with labels is said alike whichever way data come in, and the command that is said takes them right."""

from __future__ import annotations

import json
import re
import shlex

import h5py
import numpy as np
import pytest
import synthetic
import yaml
from ase import Atoms
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import write

from mfsweep.data import dataset
from mfsweep.data.units import BOHR, HARTREE

KCAL, KJ = 627.5094740631, 2625.4996394799
SPEC = {
    "name": "doors",
    "data": {
        "source": "own.h5",
        "labels": {"dft": {"energy": "wb97x_dz.energy", "forces": "wb97x_dz.forces"}},
        "splits": {"a": {"size": 100, "validation": 30}, "t": {"size": 30}},
    },
    "model": {"architecture": "mace", "channels": 8, "max_L": 0, "max_ell": 1, "correlation": 1},
    "axes": {"n": [20]},
    "stages": {"direct": {"train": [{"labels": "dft", "subset": "a", "size": "${n}"}], "max_steps": 5}},
    "result": "direct",
    "evaluate": [{"labels": "dft", "subset": "t"}],
    "resources": {"workers": 1, "gpus_per_worker": 0},
}


@pytest.fixture
def mfsweep(called_in_folder):
    return called_in_folder


def ani(path, energy=1.0, forces=1.0, per_atom=False, part=None):
    """Write 400 structures whose forces are the slope of the energies, times factors; `part` changes the group."""
    synthetic.write(path, 400, formulae=25, seed=3)
    with h5py.File(path, "r+") as file:
        for group in file.values():
            atoms = len(group["atomic_numbers"]) if per_atom else 1
            group["wb97x_dz.energy"][...] = group["wb97x_dz.energy"][()] * energy / atoms
            group["wb97x_dz.forces"][...] = group["wb97x_dz.forces"][()] * forces
            del group["ccsd(t)_cbs.energy"]
            if part is not None:
                part(group)


def as_xyz(source, path, energy=1.0, forces=1.0):
    """Write the same as extxyz, in eV times factors."""
    frames = []
    with h5py.File(source) as file:
        for group in file.values():
            for place, e, f in zip(
                group["coordinates"][()], group["wb97x_dz.energy"][()], group["wb97x_dz.forces"][()], strict=True
            ):
                atoms = Atoms(group["atomic_numbers"][()], place)
                atoms.calc = SinglePointCalculator(atoms, energy=e * energy, forces=f * forces)
                frames.append(atoms)
    write(path, frames)


def true_labels(path):
    ani(path.with_name("true.h5"))
    with h5py.File(path.with_name("true.h5")) as file:
        energy = np.concatenate([group["wb97x_dz.energy"][()] for group in file.values()]) * HARTREE
        forces = np.concatenate([group["wb97x_dz.forces"][()].reshape(-1, 3) for group in file.values()]) * HARTREE
    return energy, forces


def command_in(text):
    found = re.search(r"mfsweep data import .+?(?= \(it prints|\. If they|\n|$)", text)
    assert found, text
    return shlex.split(found[0])[1:]


WRONG = {
    "gradients": ({"forces": -1.0}, "they are gradients, not forces"),
    "gradients in hartree/bohr": ({"forces": -BOHR}, "they are gradients, not forces"),
    "hartree/bohr": ({"forces": BOHR}, "do not go together"),
    "eV": ({"energy": HARTREE, "forces": HARTREE}, "energies do not look like hartree"),
    "kcal/mol": ({"energy": KCAL, "forces": KCAL}, "energies do not look like hartree"),
    "kJ/mol and bohr": ({"energy": KJ, "forces": KJ * BOHR}, "energies do not look like hartree"),
    "per atom": ({"per_atom": True}, "energies look like energies per atom"),
    "per atom in eV": (
        {"energy": HARTREE, "forces": HARTREE, "per_atom": True},
        "energies look like energies per atom",
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_each_door_says_the_same_and_the_command_takes_the_labels_right(mfsweep, tmp_path, kind):
    changes, says = WRONG[kind]
    ani(tmp_path / "own.h5", **changes)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(SPEC))
    imported = mfsweep("data", "import", "own.h5", "store.h5")
    read = mfsweep("run", "own.yaml", "--store", "runs", "--smoke")
    code, told, _ = mfsweep("data", "info", "own.h5", "--json")
    assert (imported[0], read[0], code) == (2, 2, 0)
    assert says in imported[2]
    assert says in read[2]
    assert any(says in text for own in json.loads(told)["methods"].values() for text in own["judgement"])
    energy, forces = true_labels(tmp_path / "own.h5")
    for error in (imported[2], read[2]):
        args = command_in(error)
        code, _, err = mfsweep(*args)
        assert code == 0, err
        made = dataset.read(tmp_path / args[3], dataset.methods(tmp_path / args[3]))
        (labels,) = made.labels.values()
        np.testing.assert_allclose(labels.energy, energy, rtol=1e-6)
        np.testing.assert_allclose(labels.forces, forces, atol=1e-4)


@pytest.mark.parametrize(
    ("energy", "forces"),
    [(1.0, 1.0), (1.0, BOHR), (KJ, KJ), (KCAL, KCAL), (HARTREE, -HARTREE), (HARTREE, HARTREE * BOHR)],
)
def test_units_of_files_of_ase_are_told_and_mended_as_well(mfsweep, tmp_path, energy, forces):
    ani(tmp_path / "own.h5")
    as_xyz(tmp_path / "own.h5", tmp_path / "own.xyz", energy, forces)
    code, _, err = mfsweep("data", "import", "own.xyz", "store.h5", "--labels", "dft")
    assert code == 2
    args = command_in(err)
    code, _, err = mfsweep(*args)
    assert code == 0, err
    made = dataset.read(tmp_path / "store.h5", dataset.methods(tmp_path / "store.h5"))
    expected = true_labels(tmp_path / "own.h5")
    np.testing.assert_allclose(made.labels["dft"].energy, expected[0], rtol=1e-5)
    np.testing.assert_allclose(made.labels["dft"].forces, expected[1], atol=1e-3)


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_zeros_in_place_of_forces_are_refused_at_each_door(mfsweep, tmp_path, share):
    def part(group):
        forces = group["wb97x_dz.forces"][()]
        forces[: max(2, round(share * len(forces)))] = 0.0
        group["wb97x_dz.forces"][...] = forces

    ani(tmp_path / "own.h5", part=part)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(SPEC))
    imported = mfsweep("data", "import", "own.h5", "store.h5")
    read = mfsweep("run", "own.yaml", "--store", "runs", "--smoke")
    says = "forces are all exactly zero, and so are those of another shape of the same atoms"
    assert (imported[0], read[0]) == (2, 2)
    assert says in imported[2]
    assert says in read[2]
    code, out, err = mfsweep(*command_in(imported[2]))
    assert code == 0, err
    methods = dataset.methods(tmp_path / "store.h5")
    assert (methods["wb97x_dz"].forces is None) == (share == 1.0)
    assert ("left out:" in out) == (share < 1.0)


def test_atoms_at_one_place_are_refused_at_each_door(mfsweep, tmp_path):
    def part(group):
        places = group["coordinates"][()]
        places[:, 1] = places[:, 0]
        group["coordinates"][...] = places

    ani(tmp_path / "own.h5", part=part)
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(SPEC))
    for args in (("data", "import", "own.h5", "store.h5"), ("run", "own.yaml", "--store", "runs", "--smoke")):
        code, _, err = mfsweep(*args)
        assert code == 2
        assert "two of its atoms are at one place" in err
        assert "--drop-bad" in err
    assert "two of its atoms are at one place" in mfsweep("data", "info", "own.h5")[1].replace("\n", " ")
