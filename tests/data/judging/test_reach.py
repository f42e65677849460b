from __future__ import annotations

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.collections import g2
from ase.data import covalent_radii
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging.reach import LARGEST, RADII, other_length, reach
from mfsweep.data.judging.sample import StructureSample
from mfsweep.data.units import ASE_UNITS, BOHR

MOLECULES = [name for name in g2.names if len(g2[name]) > 1]


def chunk_of(frames) -> Chunk:
    return Chunk(
        sizes=np.array([len(atoms) for atoms in frames]),
        species=np.concatenate([atoms.numbers for atoms in frames]).astype(np.uint8),
        positions=np.concatenate([atoms.positions for atoms in frames]),
        energies={"dft": np.linspace(-3.0, 3.0, len(frames))},
        forces={},
        pbc=np.array([atoms.pbc for atoms in frames]),
        cell=np.array([atoms.cell.array for atoms in frames]),
    )


def by_hand(atoms) -> float:
    radii = covalent_radii[atoms.numbers]
    apart = atoms.get_all_distances() / (radii[:, None] + radii)
    np.fill_diagonal(apart, np.inf)
    return float(np.median(apart.min(axis=1)))


def test_the_radii_are_those_of_ase():
    assert RADII[1:] == pytest.approx(covalent_radii[1 : len(RADII)])


@given(st.lists(st.sampled_from(MOLECULES), min_size=1, max_size=6))
def test_every_structure_gets_the_median_of_its_own_atoms(names):
    frames = [molecule(name) for name in names]
    assert reach(chunk_of(frames)) == pytest.approx([by_hand(atoms) for atoms in frames])


@settings(max_examples=20)
@given(st.integers(0, 10_000), st.lists(st.sampled_from(MOLECULES), min_size=10, max_size=30))
def test_bohr_that_were_read_as_angstrom_are_warned_of_and_the_other_way_round(seed, names):
    rng = np.random.default_rng(seed)
    frames = [molecule(name) for name in names]
    for atoms in frames:
        atoms.rattle(0.05, rng=rng)
    found = reach(chunk_of(frames))
    assert other_length(found, "Ang") is None
    assert other_length(found, "bohr") is None
    said = other_length(found / BOHR, "Ang")
    assert "read as Ang, but look like bohr" in said
    assert "--unit positions=bohr" in said
    assert "--unit positions=Ang" in other_length(found * BOHR, "bohr")


def test_what_has_no_neighbour_at_a_bond_is_not_asked():
    crowd = Atoms("C201", positions=np.random.default_rng(0).normal(size=(LARGEST + 1, 3)))
    lost = molecule("CH4")
    lost.positions[0] = np.nan
    frames = [Atoms("Ar2", [(0, 0, 0), (0, 0, 3.8)]), Atoms("C"), bulk("Cu", cubic=True), crowd, lost]
    assert np.isnan(reach(chunk_of(frames))).all()


@pytest.mark.parametrize("methods", [["dft"], ["dft", "xtb"], []])
def test_a_sample_warns_of_it_once(methods):
    chunk = chunk_of([molecule("CH3CH2OH")] * 12)
    energies = dict.fromkeys(methods, chunk.energies["dft"])
    for factor, expected in ((1.0, 0), (1 / BOHR, 1)):
        sample = StructureSample()
        sample.add(chunk._replace(positions=chunk.positions * factor, energies=energies))
        found = [one for one in sample.findings(dict.fromkeys(methods, ASE_UNITS)) if "positions" in one.text]
        assert len(found) == expected
        assert not any(one.refused for one in found)
