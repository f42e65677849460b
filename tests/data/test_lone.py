from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.data.importing import Rules, import_files, memory
from mfsweep.data.lone import isolated, isolated_energies
from mfsweep.data.splits import partition
from mfsweep.spec.data import LabelKeys, Splits, Subset

KEYS = {"dft": LabelKeys(energy="REF_energy")}


def lone(symbol, energy, cell=None, pbc=False, **info):
    atoms = Atoms(symbol, cell=cell, pbc=pbc)
    atoms.info |= {"REF_energy": energy, **info}
    return atoms


def molecules(count=12):
    made = []
    for number in range(count):
        atoms = molecule(("H2O", "CH4", "CO2")[number % 3])
        atoms.rattle(0.05, seed=number)
        atoms.info["REF_energy"] = -10.0 * len(atoms) + 0.1 * number
        made.append(atoms)
    return made


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["H", "C", "O"]),
            st.floats(-60, -1),
            st.sampled_from(["molecule", "box", "skewed", "named", "slab"]),
            st.integers(0, 12),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_isolated_atoms_are_energies_and_no_structures(tmp_path, atoms):
    frames = molecules()
    for symbol, energy, kind, place in atoms:
        options = {
            "molecule": {},
            "box": {"cell": [15, 16, 17], "pbc": True},
            "skewed": {"cell": [[12, 0, 0], [6, 11, 0], [6, 4, 12]], "pbc": True},
            "named": {"cell": [3, 3, 3], "pbc": True, "config_type": "IsolatedAtom"},
            "slab": {"cell": [12, 12, 1], "pbc": (True, True, False)},
        }[kind]
        frames.insert(place, lone(symbol, energy, **options))
    path, store = tmp_path / "own.traj", tmp_path / "own.h5"
    ase.io.write(path, frames)
    summary = import_files([path], store, Rules(labels=KEYS), overwrite=True)
    assert summary.structures == 12
    assert any(f"{len(atoms)} isolated atoms are left out" in text for text in summary.warnings)
    expected = {symbol: min(e for s, e, *_ in atoms if s == symbol) for symbol in {s for s, *_ in atoms}}
    assert isolated_energies(store) == {"dft.energy": pytest.approx(expected)}


def test_a_crystal_of_one_atom_is_a_structure(tmp_path):
    frames = [bulk(symbol) for symbol in ("Cu", "Na", "Fe", "Xe")]
    found = isolated(
        np.ones(4, np.int64), np.array([own.cell.array for own in frames]), np.array([own.pbc for own in frames])
    )
    assert not found.any()


def test_groups_of_one_atom_are_in_no_part_of_a_partition(write_file, small_labels):
    molecules = {"H": [1], "C": [6], "CH4": [6, 1, 1, 1, 1], "H2O": [8, 1, 1], "CO2": [6, 8, 8], "HCN": [6, 7, 1]}
    path = write_file(molecules)
    assert isolated_energies(path)["cc.energy"].keys() == {"H", "C"}

    structures = memory.read(path, small_labels)
    train, validation, _ = partition(structures, Splits(a=Subset(size="rest", validation=6, needs=("cc",))))
    used = np.concatenate([train["a"], validation["a"]])
    assert structures.sizes[used].min() > 1
    assert len(used) == (structures.sizes > 1).sum()
