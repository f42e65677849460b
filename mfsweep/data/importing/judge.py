"""Whether labels can be in the units that they were taken for.

In the order in which it is asked, for each label method:

- Energies or forces that no method has (limits of units.py): refused.
- Energies that another unit fits clearly better: refused. They do where |E0(H)| is not what every method of total
  energies has, and in the other unit it is, and all of C, N, O, F, Si, P, S, Cl have E0 of at least P_BLOCK times it,
  as all-electron and valence-only methods both have; or where, without hydrogen, each element's E0 in the other unit is
  the share ALL_ELECTRON of its Thomas-Fermi energy, from the lightest element to one FAR times as heavy. Energies
  relative to atoms (EMT, formation energies, VASP) have neither, so that nothing is asked of these, nor of a single
  element or composition.
- Forces that are not the slope of the energies (slope.py; ratio outside of CONSISTENT): refused.
- Energies that have the size of total energies in hartree, though the compositions do not determine E0: a warning.
- Small forces (below SMALL) where no slope is known: a warning if hartree/bohr makes them usual and energies of one
  composition spread by more than LIVELY. Relaxed structures have small forces too, so this is no error.

Where the user stated the unit, the second and the third are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from mfsweep.data.importing.keys import BOHR, LENGTHS, Units
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.units import HARTREE, HIGHEST_FORCE, HIGHEST_SPREAD, THOMAS_FERMI, UNITS, EnergyScale, force_unit

HYDROGEN = (10.0, 20.0)
"""|E0(H)| of every total-energy method lies between, eV."""
CLEARLY_HYDROGEN = (12.0, 18.0)
"""The same in another unit than stated, which has to fit better; no two units fit at once."""
P_BLOCK, P_BLOCK_ELEMENTS = 1.5, (6, 7, 8, 9, 14, 15, 16, 17)
"""E0 of these elements over E0(H) at least; of C it is 4 in GFN2-xTB and 63 all-electron, in the bundled data."""
ALL_ELECTRON = (0.65, 0.95)
"""Mean |E| over the Thomas-Fermi energy of all-electron methods lies between."""
FAR = 1.5
"""Of neighbours in the periodic table pseudopotentials too have E0 in the proportion of Thomas-Fermi energies."""
CONSISTENT = (0.8, 1.25)
"""Change of energy over work of the forces; of two units of force the ratio is 1.06 (hartree/Ang, Ry/bohr) or 1.9."""
SAME = 0.12
"""Relative distance of that ratio from a unit that explains it, at most."""
SMALL, USUAL = 0.05, (0.3, HIGHEST_FORCE)
"""Root mean square of the force components, eV/angstrom."""
LIVELY = 0.02
"""Standard deviation of the energy within compositions, eV/atom."""


class Measured(NamedTuple):
    """What is known of the labels of a method, in eV and angstrom."""

    scale: EnergyScale
    offsets: Mapping[int, float]
    """Atomic number -> E0; empty where the compositions do not determine them."""
    spread: float
    """Standard deviation of the energy within compositions, eV/atom."""
    rms: float | None
    """Root mean square of the force components; None without forces."""
    slope: float | None
    """Change of energy over work of the forces; None where it is not known."""


def impossible(own: Measured, units: Units) -> list[str]:
    """Return why labels cannot be in their units."""
    return [*_impossible_energies(own, units), *_impossible_forces(own, units)]


def unlikely(own: Measured, units: Units) -> list[str]:
    """Return in which other units labels fit clearly better."""
    return list(_other_energies(own, units)) or list(_other_forces(own, units))


def _impossible_energies(own: Measured, units: Units) -> Iterator[str]:
    if own.scale.plausible():
        return
    # EnergyScale names units for values that were read as hartree
    as_hartree = _times(own.scale, HARTREE / units.energy_factor)
    unit = as_hartree.fitting()
    advice = f"They would fit as {unit}: say --unit energy={unit}" if unit else "No common unit fits"
    yield (
        f"energies do not look like {units.energy}: after energy offsets by element they "
        f"spread by {own.scale.spread:.3g} eV/atom (expected below {HIGHEST_SPREAD:g}), and they are "
        f"{own.scale.ratio:.2g} times those of Thomas-Fermi atoms (expected below 1). {advice}"
    )


def _impossible_forces(own: Measured, units: Units) -> Iterator[str]:
    if own.rms is None or own.rms <= HIGHEST_FORCE:
        return
    unit = force_unit(max(own.rms / units.forces_factor * HARTREE, 2 * HIGHEST_FORCE))
    yield (
        f"forces do not look like {units.forces}: their root mean square is {own.rms:.3g} eV/angstrom (expected below "
        f"{HIGHEST_FORCE:g}). They would fit as {unit}/Ang: say --unit forces={unit}/Ang"
    )


def _other_energies(own: Measured, units: Units) -> Iterator[str]:
    """Yield in which other unit the energies fit clearly better."""
    if not own.offsets or _total(own.offsets, HYDROGEN):
        return
    for unit, size in UNITS.items():
        factor = size / units.energy_factor
        if unit != units.energy and _total({z: factor * e for z, e in own.offsets.items()}, CLEARLY_HYDROGEN):
            say = f"say --unit energy={unit}"
            if own.rms is not None:
                # consistent with these energies
                forces = _force_units(units.forces_factor * factor * (own.slope or np.nan))
                say += f" --unit forces={forces[0] if forces else 'UNIT/LENGTH'}"
            offsets = ", ".join(f"{SYMBOLS[z]} {e:.4g}" for z, e in own.offsets.items())
            yield (
                f"energies do not look like {units.energy}, which they were taken for, but like {unit}: their offsets "
                f"by element are {offsets} eV, and {factor:.4g} times as large they are those of total energies. "
                f"If so, {say}"
            )


def _other_forces(own: Measured, units: Units) -> Iterator[str]:
    """Yield what the forces may be if they are not the slope of the energies."""
    if own.slope is None or CONSISTENT[0] <= own.slope <= CONSISTENT[1]:
        return
    head = (
        f"energies and forces do not go together as {units.energy} and {units.forces}: between near structures the "
        f"energy changes by {own.slope:.3g} times the work of the forces (expected 1)"
    )
    forces = _force_units(units.forces_factor * own.slope)
    energies = [unit for unit, size in UNITS.items() if _near(size * own.slope, units.energy_factor)]
    advice = [f"the forces would fit as {' or '.join(forces)}"] if forces else []
    advice += [f"the energies would fit as {' or '.join(energies)}"] if energies else []
    if advice:
        say = f"--unit energy={(energies or [units.energy])[0]} --unit forces={units.forces}"
        if forces:
            say = f"--unit energy={units.energy} --unit forces={forces[0]}"
        yield f"{head}: {', or '.join(advice)}. Say for example {say}"
    elif _near(own.slope, -1.0):
        yield f"{head}: they are gradients, not forces. Turn their sign in the file"
    else:
        yield f"{head}, and no common units of both would mend it. Look at what wrote the file, and state --unit"


def notes(own: Measured, units: Units) -> Iterator[str]:
    """Yield what labels may be, though nothing else tells so."""
    if units.energy != "hartree" and _like_hartree(_times(own.scale, HARTREE / units.energy_factor), own.offsets):
        yield (
            f"energies are taken for {units.energy}, but would be of the usual size as hartree: "
            "if they are, say --unit energy=hartree"
        )
    if own.rms is None or own.slope is not None or own.rms >= SMALL or own.spread <= LIVELY:
        return
    if USUAL[0] <= own.rms / units.forces_factor * HARTREE / BOHR <= USUAL[1]:
        yield (
            f"forces are small (root mean square {own.rms:.3g} eV/angstrom), while energies of one composition spread "
            f"by {1000 * own.spread:.3g} meV/atom: if these are no relaxed structures, the forces may be in "
            f"hartree/bohr and not in {units.forces}: say --unit energy={units.energy} --unit forces=hartree/bohr"
        )


def _force_units(factor: float) -> list[str]:
    """Return the units of force that are about `factor` eV/angstrom, the nearest first."""
    sizes = {f"{unit}/{length}": UNITS[unit] / LENGTHS[length] for unit in UNITS for length in LENGTHS}
    near = [unit for unit, size in sizes.items() if _near(size, factor)]
    return sorted(near, key=lambda unit: abs(np.log(sizes[unit] / factor)))


def _near(one: float, other: float) -> bool:
    return abs(one - other) <= SAME * abs(other)


def _times(scale: EnergyScale, factor: float) -> EnergyScale:
    return EnergyScale(*(factor * value for value in scale))


def _total(offsets: Mapping[int, float], hydrogen: tuple[float, float]) -> bool:
    """Return whether energy offsets, eV, are those of total energies."""
    if 1 in offsets:
        heavy = [offsets[z] for z in P_BLOCK_ELEMENTS if z in offsets]
        own = -offsets[1]
        return hydrogen[0] <= own <= hydrogen[1] and bool(heavy) and all(-e >= P_BLOCK * own for e in heavy)
    shares = [-e / (THOMAS_FERMI * z ** (7 / 3)) for z, e in offsets.items()]
    far = max(offsets) >= FAR * min(offsets)
    return far and all(ALL_ELECTRON[0] <= share <= ALL_ELECTRON[1] for share in shares)


def _like_hartree(scale: EnergyScale, offsets: Mapping[int, float]) -> bool:
    """Return whether energies, taken for hartree, have the size of total energies, and not by chance."""
    if 1 in offsets:
        return HYDROGEN[0] <= scale.hydrogen <= HYDROGEN[1]
    return ALL_ELECTRON[0] <= scale.ratio <= ALL_ELECTRON[1]
