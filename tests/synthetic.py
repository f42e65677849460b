"""A seeded generator of files like the ANI-1x release, of any size, for scale tests.

Molecules of C, H, N and O with filled valences, on the sites of a diamond lattice and shaken; sizes like those of
ANI-1ccx (13.8 atoms on average), conformers per formula skewed as there. Labels are energy offsets by element and a
smooth pair energy, so that a model can learn them, in hartree and hartree/angstrom:

    wb97x_dz.energy, wb97x_dz.forces    for all; the forces are the energy's own
    ccsd(t)_cbs.energy                  for a share, NaN for the others: a little different, with a little noise

    python tests/synthetic.py FILE STRUCTURES
"""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from numpy.typing import NDArray

CC, DFT = "ccsd(t)_cbs", "wb97x_dz"
OFFSETS = {1: -0.5, 6: -37.8, 7: -54.6, 8: -75.1}
"""Energy by element, hartree."""
CC_OFFSETS = {1: -0.499, 6: -37.74, 7: -54.52, 8: -74.98}
VALENCE = {6: 4, 7: 3, 8: 2}
BOND, BOND_H = 1.45, 1.09
"""Distance of bonded heavy atoms, and of a hydrogen from its heavy atom, angstrom."""
SHAKEN = 0.06
"""Standard deviation of every coordinate, angstrom."""
DEPTH, WIDTH, NEAREST = 0.04, 0.8, 1.5
"""Of the pair energy, a well of Gaussian shape: hartree, angstrom, angstrom."""
CC_DEPTH = 0.042
NOISE = 5e-4
"""Of the cc energies by structure, hartree."""
USUAL_SIZE, SPREAD = 13.5, 3.5
CORNERS = np.array([(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
"""Directions of the four neighbours of a site; those of its neighbours point the other way."""
PAIRS_AT_ONCE = 500_000


class Molecule(NamedTuple):
    name: str
    numbers: NDArray[np.uint8]
    """(Na,)."""
    positions: NDArray[np.float64]
    """(Na, 3) angstrom, unshaken."""


def write(path: Path, structures: int, *, seed: int = 0, formulae: int = 400, cc_share: float = 0.9) -> None:
    """Write a file.

    Args:
        path: of the file.
        structures: conformers in all, at least as many as formulae.
        seed: two files of one seed are the same.
        formulae: groups in the file, some hundreds.
        cc_share: of the structures have cc energies.
    """
    rng = np.random.default_rng(seed)
    molecules = _molecules(rng, min(formulae, structures))
    with h5py.File(path, "w") as file:
        for molecule, conformers in zip(molecules, _conformers(rng, molecules, structures), strict=True):
            shape = (conformers, *molecule.positions.shape)
            coordinates = (molecule.positions + rng.normal(scale=SHAKEN, size=shape)).astype(np.float32)
            well, slope = pair_energy(coordinates)
            cc = _offset(molecule, CC_OFFSETS) + CC_DEPTH * well + rng.normal(scale=NOISE, size=conformers)
            cc[rng.random(conformers) >= cc_share] = np.nan
            group = file.create_group(molecule.name)
            group["atomic_numbers"] = molecule.numbers
            group["coordinates"] = coordinates
            group[f"{DFT}.energy"] = _offset(molecule, OFFSETS) + DEPTH * well
            group[f"{DFT}.forces"] = (-DEPTH * slope).astype(np.float32)
            group[f"{CC}.energy"] = cc


def pair_energy(coordinates: NDArray[np.floating]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the pair energy of conformers (Nc, Na, 3) over its depth, (Nc,), and its gradient, (Nc, Na, 3)."""
    conformers, atoms, _ = coordinates.shape
    energy, slope = np.zeros(conformers), np.zeros(coordinates.shape)
    step = max(1, PAIRS_AT_ONCE // atoms**2)
    for start in range(0, conformers, step):
        rows = slice(start, start + step)
        own = coordinates[rows].astype(np.float64)
        apart = own[:, :, None] - own[:, None]
        distance = np.sqrt((apart**2).sum(axis=-1)) + np.eye(atoms)
        well = -np.exp(-(((distance - NEAREST) / WIDTH) ** 2)) * (1 - np.eye(atoms))
        energy[rows] = well.sum(axis=(1, 2)) / 2
        pull = -2 * (distance - NEAREST) / WIDTH**2 * well / distance
        slope[rows] = np.einsum("nij,nijk->nik", pull, apart)
    return energy, slope


def _offset(molecule: Molecule, offsets: dict[int, float]) -> float:
    return sum(offsets[int(z)] for z in molecule.numbers)


def _molecules(rng: np.random.Generator, count: int) -> list[Molecule]:
    compositions = []
    for carbon, nitrogen, oxygen, missing in itertools.product(range(11), range(6), range(6), range(5)):
        heavy = carbon + nitrogen + oxygen
        hydrogen = 2 * carbon + nitrogen + 2 - 2 * missing
        if 1 <= heavy <= 10 and hydrogen >= 0 and missing < heavy and heavy + hydrogen > 1:
            compositions.append((heavy + hydrogen, carbon, nitrogen, oxygen, hydrogen))
    sizes = np.array([own[0] for own in compositions])
    likely = np.exp(-(((sizes - USUAL_SIZE) / SPREAD) ** 2) / 2)
    chosen = rng.choice(len(compositions), count, replace=False, p=likely / likely.sum())
    return [_molecule(rng, *compositions[index][1:]) for index in sorted(chosen.tolist())]


def _conformers(rng: np.random.Generator, molecules: list[Molecule], structures: int) -> list[int]:
    """Share structures out: each formula has one, most have few, some have very many."""
    share = rng.lognormal(sigma=1.2, size=len(molecules))
    whole = 1 + np.floor(share / share.sum() * (structures - len(molecules))).astype(np.int64)
    whole[np.argmax(whole)] += structures - whole.sum()
    return whole.tolist()


def _molecule(rng: np.random.Generator, carbon: int, nitrogen: int, oxygen: int, hydrogen: int) -> Molecule:
    """Grow a tree of heavy atoms over lattice sites, then put hydrogens onto free sites beside them."""
    name = "".join(f"{s}{n}" for s, n in zip("CHNO", (carbon, hydrogen, nitrogen, oxygen), strict=True) if n)
    heavy = np.repeat([6, 7, 8], [carbon, nitrogen, oxygen])
    while True:
        placed = _placed(rng, rng.permutation(heavy).tolist(), hydrogen)
        if placed is not None:
            numbers, positions = placed
            return Molecule(name, np.array(numbers, np.uint8), np.array(positions))


def _placed(
    rng: np.random.Generator, heavy: list[int], hydrogen: int
) -> tuple[list[int], list[NDArray[np.float64]]] | None:
    """Return atomic numbers and positions, or None where the tree has grown into a dead end."""
    sites: list[tuple[int, ...]] = [(0, 0, 0)]
    parity, bonds = [1], [0]
    for number in range(1, len(heavy)):
        open_ones = [
            (own, corner)
            for own in range(number)
            for corner in CORNERS * parity[own]
            if bonds[own] < VALENCE[heavy[own]] and tuple(np.add(sites[own], corner)) not in sites
        ]
        if not open_ones:
            return None
        own, corner = open_ones[rng.integers(len(open_ones))]
        bonds[own] += 1
        bonds.append(1)
        parity.append(-parity[own])
        sites.append(tuple(np.add(sites[own], corner).tolist()))
    unit = 1 / np.sqrt(3)
    numbers, positions = list(heavy), [np.array(site) * BOND * unit for site in sites]
    taken = set(sites)
    free = [(own, corner) for own in range(len(heavy)) for corner in CORNERS * parity[own]]
    for place in rng.permutation(len(free)):
        own, corner = free[place]
        site = tuple(np.add(sites[own], corner).tolist())
        if len(numbers) < len(heavy) + hydrogen and bonds[own] < VALENCE[heavy[own]] and site not in taken:
            taken.add(site)
            bonds[own] += 1
            numbers.append(1)
            positions.append(positions[own] + corner * BOND_H * unit)
    return (numbers, positions) if len(numbers) == len(heavy) + hydrogen else None


if __name__ == "__main__":
    write(Path(sys.argv[1]), int(sys.argv[2]))
