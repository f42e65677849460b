from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT

from mfsweep.data.dataset import Chunk
from mfsweep.data.importing.ani import AniSource
from mfsweep.data.importing.rules import Rules
from mfsweep.data.judging.sample import StructureSample
from mfsweep.data.judging.slope import Slopes
from mfsweep.data.units import ASE_UNITS, BOHR, HARTREE


def frames(parent, count=40):
    rng = np.random.default_rng(0)
    for _ in range(count):
        atoms = parent.copy()
        atoms.rattle(0.05, rng=rng)
        if not atoms.pbc.any():
            atoms.rotate(rng.uniform(0, 360), rng.normal(size=3))
        else:
            atoms.wrap()
        atoms.calc = EMT()
        yield atoms


def chunk_of(parent, energy=1.0, forces=1.0) -> Chunk:
    """Rattled and turned copies with EMT labels (eV, eV/angstrom) times factors."""
    own = list(frames(parent))
    return Chunk(
        sizes=np.full(len(own), len(parent)),
        species=np.tile(parent.numbers, len(own)).astype(np.uint8),
        positions=np.concatenate([atoms.positions for atoms in own]),
        energies={"emt": energy * np.array([atoms.get_potential_energy() for atoms in own])},
        forces={"emt": forces * np.concatenate([atoms.get_forces() for atoms in own])},
        cell=np.array([atoms.cell.array for atoms in own]) if parent.pbc.any() else None,
        pbc=np.array([atoms.pbc for atoms in own]) if parent.pbc.any() else None,
    )


def ratio(chunk: Chunk) -> float | None:
    slopes = Slopes()
    slopes.add(chunk)
    return slopes.ratio("emt").plain


MOLECULE, CRYSTAL = molecule("C2H6"), bulk("Cu", cubic=True)


@pytest.mark.parametrize("parent", [MOLECULE, CRYSTAL])
def test_forces_are_the_slope_of_the_energies_in_consistent_units(parent):
    assert ratio(chunk_of(parent)) == pytest.approx(1.0, abs=0.1)
    assert ratio(chunk_of(parent, forces=BOHR / HARTREE)) == pytest.approx(51.4, rel=0.1)
    assert ratio(chunk_of(parent, forces=-1.0)) == pytest.approx(-1.0, abs=0.1)


def test_forces_that_have_nothing_to_do_with_the_energies_are_not_judged():
    chunk = chunk_of(MOLECULE)
    noise = np.random.default_rng(1).normal(size=40)
    assert ratio(chunk._replace(energies={"emt": noise})) is None
    assert ratio(chunk._replace(energies={"emt": np.full(40, np.nan)})) is None


@pytest.mark.parametrize("method", ["gfn2_xtb", "wb97x_631gd"])
def test_quantum_chemistry_of_distorted_molecules_is_judged(mini: Path, method):
    slopes = Slopes()
    for part in AniSource(mini, Rules({})).parts():
        slopes.add(part.chunk)
    assert slopes.ratio(method).plain == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(
    ("energy", "forces", "units"),
    [
        (1.0, BOHR / HARTREE, ASE_UNITS._replace(forces="hartree/bohr")),
        (1.0, BOHR, ASE_UNITS._replace(forces="eV/bohr")),
        (1 / HARTREE, 1.0, ASE_UNITS._replace(energy="hartree")),
        (1.0, 1 / 300.0, None),
    ],
)
def test_units_that_do_not_go_together_are_refused_unless_they_were_stated(energy, forces, units):
    sample = StructureSample()
    sample.add(chunk_of(MOLECULE, energy, forces))
    (found,) = sample.findings({"emt": ASE_UNITS})
    assert found.refused
    assert found.text.startswith("the emt energies and forces do not go together")
    assert (found.mend and found.mend.units) == units
    (warning,) = sample.findings({"emt": ASE_UNITS}, ["emt"])
    assert (warning.refused, warning.mend) == (False, found.mend)


@pytest.mark.parametrize("forces", [-1.0, -BOHR, -BOHR / HARTREE])
def test_gradients_are_refused_whatever_was_stated(forces):
    sample = StructureSample()
    sample.add(chunk_of(MOLECULE, 1.0, forces))
    for stated in ((), ["emt"]):
        (found,) = sample.findings({"emt": ASE_UNITS}, stated)
        assert (found.refused, found.mend.gradients) == (True, True)
        assert "they are gradients, not forces" in found.text
        assert found.mend.units == {-1.0: None, -BOHR: ASE_UNITS._replace(forces="eV/bohr")}.get(
            forces, ASE_UNITS._replace(forces="hartree/bohr")
        )
