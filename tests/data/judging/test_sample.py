from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging import sample as sampling
from mfsweep.data.judging.sample import LIMIT, LabelFinding, StructureSample
from mfsweep.data.units import ANI_UNITS, ASE_UNITS, HARTREE

OFFSETS = {1: -0.6, 6: -38.0, 8: -75.0}
"""Hartree."""


def chunk_of(count: int, energy_unit: float, force_unit: float = HARTREE, seed: int = 0) -> Chunk:
    """Structures with energies and forces of the usual size, read as if they were in other units, eV."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 12, count)
    species = rng.choice(list(OFFSETS), sizes.sum()).astype(np.uint8)
    owner = np.repeat(np.arange(count), sizes)
    energy = np.bincount(owner, [OFFSETS[z] for z in species.tolist()]) + 0.01 * rng.normal(size=count)
    return Chunk(
        sizes=sizes,
        species=species,
        positions=0.7 * rng.normal(size=(len(species), 3)),
        energies={"dft": energy * energy_unit},
        forces={"dft": 0.05 * rng.normal(size=(len(species), 3)) * force_unit},
    )


def judged(chunk: Chunk, units=ANI_UNITS, *, stated: bool = False) -> list[LabelFinding]:
    sample = StructureSample()
    sample.add(chunk)
    methods = list(chunk.energies)
    return list(sample.findings(dict.fromkeys(methods, units), methods if stated else ()))


def test_labels_of_the_usual_size_pass():
    assert judged(chunk_of(200, HARTREE)) == []


@pytest.mark.parametrize(
    ("factor", "unit"), [(HARTREE, "eV"), (627.5094740631, "kcal/mol"), (2625.4996394799, "kJ/mol")]
)
def test_energies_and_forces_of_another_unit_are_refused_with_it(factor, unit):
    (found,) = judged(chunk_of(200, HARTREE * factor))
    assert found.refused
    assert found.text.startswith("the dft energies do not look like hartree")
    assert found.mend.units.energy == unit
    (found,) = judged(chunk_of(200, HARTREE, HARTREE * factor))
    assert found.refused
    assert found.text.startswith("the dft forces do not look like hartree/Ang")
    assert found.mend.units == ANI_UNITS._replace(forces=f"{unit}/Ang")


@pytest.mark.parametrize("unit", [1.0, 2.0])
def test_total_energies_that_are_taken_for_electronvolts_are_refused_unless_that_was_stated(unit):
    name = {1.0: "hartree", 2.0: "Ry"}[unit]
    chunk = chunk_of(200, unit, 0.05 * unit)
    (found,) = judged(chunk, ASE_UNITS)
    assert found.refused
    assert f"do not look like eV, as which they were read, but like {name}" in found.text
    assert found.mend.units.energy == name
    (warning,) = judged(chunk, ASE_UNITS, stated=True)
    assert (warning.refused, warning.mend) == (False, found.mend)
    assert judged(chunk_of(200, HARTREE), ASE_UNITS) == []


def test_energies_in_kcal_taken_for_electronvolts_are_refused():
    (found,) = judged(chunk_of(200, 627.5094740631), ASE_UNITS)
    assert (found.refused, found.mend.units.energy) == (True, "kcal/mol")


def test_a_few_structures_and_unlabelled_ones_are_not_judged():
    assert judged(chunk_of(5, HARTREE**2)) == []
    chunk = chunk_of(200, HARTREE)
    unlabelled = chunk._replace(
        energies={"dft": np.full(200, np.nan)}, forces={"dft": np.full(chunk.positions.shape, np.nan)}
    )
    assert judged(unlabelled) == []


def test_one_composition_leaves_offsets_open_and_is_judged_all_the_same():
    chunk = chunk_of(200, HARTREE)
    water = chunk._replace(
        sizes=np.full(200, 3),
        species=np.tile([8, 1, 1], 200).astype(np.uint8),
        positions=0.7 * np.random.default_rng(1).normal(size=(600, 3)),
        energies={"dft": (-76.0 + 0.01 * np.random.default_rng(0).normal(size=200)) * HARTREE},
        forces={},
    )
    assert judged(water) == []
    (found,) = judged(water._replace(energies={"dft": water.energies["dft"] * HARTREE}))
    assert (found.refused, found.mend.units.energy) == (True, "eV")


def test_sample_is_bounded_and_spread_over_all_that_passes(monkeypatch):
    monkeypatch.setattr(sampling, "LIMIT", 100)
    sample = StructureSample()
    for seed in range(30):
        sample.add(chunk_of(37, HARTREE, seed=seed))
    index = np.concatenate([rows.index for rows in sample._kept])
    assert 50 < len(index) <= 100 < LIMIT
    assert len(set(np.diff(index).tolist())) == 1
    assert index[-1] > 1000
    assert list(sample.findings({"dft": ANI_UNITS})) == []


def valence(count: int, offsets: dict[int, float], unit: float = 1.0) -> Chunk:
    """Energies of given offsets, eV, without forces."""
    rng = np.random.default_rng(0)
    sizes = rng.integers(2, 12, count)
    species = rng.choice(list(offsets), sizes.sum()).astype(np.uint8)
    owner = np.repeat(np.arange(count), sizes)
    energy = np.bincount(owner, [offsets[z] for z in species.tolist()]) + 0.3 * rng.normal(size=count)
    return Chunk(sizes, species, 0.7 * rng.normal(size=(len(species), 3)), {"own": energy * unit}, {})


XTB = {1: -13.5, 6: -56.0, 8: -115.0}
VASP = {1: -3.4, 6: -8.3, 8: -5.5}
RELATIVE = {1: 0.02, 6: -0.1, 8: 0.05}
METALS = {28: 0.1, 29: 0.0, 46: 0.2, 47: -0.05}
PSEUDO_METALS = {29: -1300.0, 30: -1600.0}
SILICON = {14: -107.0}


@pytest.mark.parametrize("offsets", [XTB, VASP, RELATIVE, METALS, PSEUDO_METALS, SILICON])
def test_energies_relative_to_atoms_and_of_valence_electrons_pass(offsets):
    assert not any(found.refused for found in judged(valence(200, offsets), ASE_UNITS))


def test_valence_energies_and_those_without_hydrogen_in_hartree_are_refused():
    for offsets in (XTB, {8: -75.0 * HARTREE, 26: -1263.0 * HARTREE}):
        (found,) = judged(valence(200, offsets, 1 / HARTREE), ASE_UNITS)
        assert (found.refused, found.mend.units.energy) == (True, "hartree")


def test_small_forces_of_structures_that_are_not_relaxed_are_warned_of():
    chunk = valence(200, XTB)
    water = chunk._replace(
        sizes=np.full(200, 3),
        species=np.tile([8, 1, 1], 200).astype(np.uint8),
        positions=0.7 * np.random.default_rng(0).normal(size=(600, 3)),
        energies={"own": -142.0 + 0.2 * np.random.default_rng(0).normal(size=200)},
        forces={"own": 0.03 * np.random.default_rng(0).normal(size=(600, 3))},
    )
    (warning,) = judged(water, ASE_UNITS)
    assert (warning.refused, warning.mend.units) == (False, ASE_UNITS._replace(forces="hartree/bohr"))
    relaxed = np.full(200, -142.0) + 0.001 * np.random.default_rng(0).normal(size=200)
    assert judged(water._replace(energies={"own": relaxed}), ASE_UNITS) == []
    assert judged(water._replace(forces={"own": 20 * water.forces["own"]}), ASE_UNITS) == []
