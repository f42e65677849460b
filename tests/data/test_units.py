from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.reference import fit_offsets, offset_energy
from mfsweep.data.units import HARTREE, UNITS, energy_scale, force_unit

READ_AS = {unit: HARTREE / size for unit, size in UNITS.items()}
"""What true values become when labels in a unit are read as hartree."""


def _scale(view, method, factor):
    structures = view.structures
    members = np.flatnonzero(structures.usable(method))
    offsets = {z: factor * energy for z, energy in fit_offsets(structures, method, members).items()}
    energy = factor * structures.labels[method].energy[members]
    left = (energy - offset_energy(structures, members, offsets)) / structures.sizes[members]
    return energy_scale(energy, left, structures.counts(members, tuple(offsets)), offsets)


@pytest.mark.parametrize("method", ["cc", "dft", "xtb"])
def test_true_energies_are_plausible(view, method):
    scale = _scale(view, method, 1.0)
    assert scale.plausible()
    assert scale.fitting() == "hartree"


@pytest.mark.parametrize("unit", [unit for unit in UNITS if unit != "hartree"])
@pytest.mark.parametrize("method", ["cc", "dft"])
def test_unit_of_all_electron_energies_is_told(view, method, unit):
    scale = _scale(view, method, READ_AS[unit])
    assert not scale.plausible()
    assert scale.fitting() == unit


@pytest.mark.parametrize("unit", ["eV", "kcal/mol", "kJ/mol", "meV"])
def test_unit_of_valence_energies_is_told(view, unit):
    # Valence-only energies in Ry pass: nothing in them but a factor of two could tell.
    scale = _scale(view, "xtb", READ_AS[unit])
    assert not scale.plausible()
    assert scale.fitting() == unit


@pytest.mark.parametrize("method", ["dft", "xtb"])
@pytest.mark.parametrize("unit", ["eV", "kcal/mol", "kJ/mol", "meV"])
def test_unit_of_forces_is_told(view, method, unit):
    forces = view.structures.labels[method].forces
    rms = float(np.sqrt(np.nanmean(forces.astype(np.float64) ** 2)))
    assert force_unit(rms) is None
    assert force_unit(rms * READ_AS[unit]) == unit


def test_energies_that_are_no_common_unit_have_no_guess(view):
    assert _scale(view, "cc", 1e9).fitting() is None
