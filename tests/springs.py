"""Molecules with labels of springs: energies and forces in eV and angstrom that belong together."""

from __future__ import annotations

import numpy as np
from ase import Atoms
from ase.build import molecule


def frames(count: int = 24, seed: int = 0) -> list[Atoms]:
    """Make molecules whose forces are the slope of their energies, springs to where the atoms belong."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        atoms = molecule(("H2O", "CH4", "NH3")[number % 3])
        away = rng.normal(0, 0.05, (len(atoms), 3))
        atoms.positions += away
        atoms.info["REF_energy"] = float({8: -2000, 6: -1000, 7: -1500}[max(atoms.numbers)] + 10 * (away**2).sum())
        atoms.arrays["REF_forces"] = -20.0 * away
        made.append(atoms)
    return made
