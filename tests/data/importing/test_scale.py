from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.csr import Chunk
from mfsweep.data.importing import scale
from mfsweep.data.importing.keys import ANI_UNITS, ASE_UNITS
from mfsweep.data.importing.scale import LIMIT, Sample
from mfsweep.data.units import HARTREE
from mfsweep.errors import DataError

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
        positions=rng.normal(size=(len(species), 3)),
        energies={"dft": energy * energy_unit},
        forces={"dft": 0.05 * rng.normal(size=(len(species), 3)) * force_unit},
    )


def judged(chunk: Chunk, units=ANI_UNITS) -> list[str]:
    sample = Sample()
    sample.add(chunk)
    return sample.check("own.h5", units)


def test_labels_of_the_usual_size_pass():
    assert judged(chunk_of(200, HARTREE)) == []


@pytest.mark.parametrize(
    ("factor", "unit"), [(HARTREE, "eV"), (627.5094740631, "kcal/mol"), (2625.4996394799, "kJ/mol")]
)
def test_energies_and_forces_of_another_unit_are_refused_with_it(factor, unit):
    with pytest.raises(DataError, match=f"own.h5: the dft energies do not look like hartree.*--unit energy={unit},"):
        judged(chunk_of(200, HARTREE * factor))
    with pytest.raises(DataError, match=f"the dft forces do not look like hartree/Ang.*--unit forces={unit}/Ang"):
        judged(chunk_of(200, HARTREE, HARTREE * factor))


def test_file_in_hartree_that_is_taken_for_electronvolts_is_warned_of():
    (warning,) = judged(chunk_of(200, 1.0, 1.0), ASE_UNITS)
    assert "would be of the usual size as hartree" in warning
    assert judged(chunk_of(200, HARTREE), ASE_UNITS) == []


def test_energies_in_kcal_taken_for_electronvolts_are_refused():
    with pytest.raises(DataError, match=r"do not look like eV.*--unit energy=kcal/mol"):
        judged(chunk_of(200, 627.5094740631), ASE_UNITS)


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
        positions=np.zeros((600, 3)),
        energies={"dft": (-76.0 + 0.01 * np.random.default_rng(0).normal(size=200)) * HARTREE},
        forces={},
    )
    assert judged(water) == []
    with pytest.raises(DataError, match="--unit energy=eV"):
        judged(water._replace(energies={"dft": water.energies["dft"] * HARTREE}))


def test_sample_is_bounded_and_spread_over_all_that_passes(monkeypatch):
    monkeypatch.setattr(scale, "LIMIT", 100)
    sample = Sample()
    for seed in range(30):
        sample.add(chunk_of(37, HARTREE, seed=seed))
    index = np.concatenate([rows.index for rows in sample._kept])
    assert 50 < len(index) <= 100 < LIMIT
    assert len(set(np.diff(index).tolist())) == 1
    assert index[-1] > 1000
    assert sample.check("own.h5", ANI_UNITS) == []
