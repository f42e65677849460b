"""Whether labels can be what they were taken for: energies of whole structures and forces, in their units.

In the order in which it is asked, for each label method:

- Energies that are all the same: refused.
- Energies that are per atom, since element fractions explain them PER_ATOM times better than element counts do, or
  since the forces are their slope only once they are taken times the number of atoms: refused.
- Energies or forces that no method has (limits of units.py): refused.
- Gradients in place of forces (the slope is negative): refused.
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

Where the user stated the unit, or a data set has it, those of other units and of the slope's size are warnings.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from mfsweep.data.judging.measured import Evidence, MeasuredLabels
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.units import (
    BOHR,
    HARTREE,
    HIGHEST_FORCE,
    HIGHEST_SPREAD,
    THOMAS_FERMI,
    UNITS,
    EnergyScale,
    Units,
)

HYDROGEN = (10.0, 20.0)
"""|E0(H)| of every total-energy method lies between, eV."""
CLEARLY_HYDROGEN = (12.0, 18.0)
"""The same in another unit than stated, which has to fit better; no two units fit at once."""
P_BLOCK, P_BLOCK_ELEMENTS = 1.5, (6, 7, 8, 9, 14, 15, 16, 17)
"""E0 of these elements over E0(H) at least; of C it is 4 in GFN2-xTB and 63 all-electron, in the bundled data."""
ALL_ELECTRON = (0.65, 0.95)
"""Mean |E| over the Thomas-Fermi energy of all-electron methods lies between."""
FAR = 1.5
"""For neighbours in the periodic table pseudopotentials too have E0 in the proportion of Thomas-Fermi energies."""
CONSISTENT = (0.8, 1.25)
"""Change of energy over work of the forces; of two units of force the ratio is 1.06 (hartree/Ang, Ry/bohr) or 1.9."""
SAME = 0.12
"""Distance of that ratio from 1, at most, where other units are to explain it."""
PER_ATOM = 4.0
"""Times that element fractions explain energies better than element counts, from which on they are per atom."""
SMALL, USUAL = 0.05, (0.3, HIGHEST_FORCE)
"""Root mean square of the force components, eV/angstrom."""
LIVELY = 0.02
"""Standard deviation of the energy within compositions, eV/atom."""


class LabelVerdict(NamedTuple):
    """Something that is wrong with labels."""

    text: str
    """Goes on after `the METHOD `."""
    certain: bool
    """Whether it is refused also where the user stated the units."""
    units: Units | None = None
    """The units that the labels may be in, where nothing but this rule tells them."""


def refused(own: Evidence, units: Units) -> Iterator[LabelVerdict]:
    """Yield why labels cannot be, or clearly are not, what they were taken for."""
    if own.alike:
        yield LabelVerdict("energies are all the same number: they were filled in, not computed", certain=True)
    elif per_atom(own):
        yield LabelVerdict(_per_atom_text(own), certain=True)
    else:
        yield from _impossible(own.plain, units)
        yield from _other_energies(own.plain, units)
        doubt = "; energies per atom would look the same, since all structures are of one size (--per-atom)"
        doubt = doubt if _slope_fits(own.whole) and own.unlike is None else ""
        yield from (one._replace(text=one.text + doubt) for one in _other_forces(own.plain, units))


def per_atom(own: Evidence) -> bool:
    """Return whether energies are divided by the number of atoms."""
    if own.unlike is not None and own.unlike < 1 / PER_ATOM:
        return True
    if own.unlike is not None and own.unlike > PER_ATOM:
        return False
    told_apart = own.unlike is not None or not _by_units(own.plain)
    return told_apart and _slope_fits(own.whole) and not _slope_fits(own.plain)


def _by_units(own: MeasuredLabels) -> bool:
    """Return whether another unit in place of eV or hartree, or the other way round, would explain the slope too."""
    sizes = [size / usual for size in UNITS.values() for usual in (UNITS["eV"], UNITS["hartree"])]
    return own.slope is not None and any(
        abs(abs(own.slope) * factor - 1) <= SAME for size in sizes for factor in (size, 1 / size)
    )


def passes(own: MeasuredLabels, units: Units) -> bool:
    """Return whether labels can be in units, as far as anything tells."""
    return not any(True for _ in (*_impossible(own, units), *_other_energies(own, units), *_other_forces(own, units)))


def _slope_fits(own: MeasuredLabels) -> bool:
    return own.slope is not None and CONSISTENT[0] <= abs(own.slope) <= CONSISTENT[1]


def _per_atom_text(own: Evidence) -> str:
    why = []
    if own.unlike is not None and own.unlike < 1 / PER_ATOM:
        why.append("they do not grow with the number of atoms")
    if _slope_fits(own.whole):
        why.append("the work of the forces is that of energies times the number of atoms")
    return f"energies look like energies per atom: {', and '.join(why)}"


def _impossible(own: MeasuredLabels, units: Units) -> Iterator[LabelVerdict]:
    if not own.scale.plausible():
        yield LabelVerdict(
            f"energies do not look like {units.energy}: after energy offsets by element they "
            f"spread by {own.scale.spread:.3g} eV/atom (expected below {HIGHEST_SPREAD:g}), and they are "
            f"{own.scale.ratio:.2g} times those of Thomas-Fermi atoms (expected below 1)",
            certain=True,
        )
    if own.rms is not None and own.rms > HIGHEST_FORCE:
        yield LabelVerdict(
            f"forces do not look like {units.forces}: their root mean square is {own.rms:.3g} eV/angstrom "
            f"(expected below {HIGHEST_FORCE:g})",
            certain=True,
        )


def _other_energies(own: MeasuredLabels, units: Units) -> Iterator[LabelVerdict]:
    """Yield in which other unit the energies fit clearly better."""
    if not own.offsets or total(own.offsets, HYDROGEN):
        return
    for unit, size in UNITS.items():
        factor = size / units.energy_factor
        if unit != units.energy and total({z: factor * e for z, e in own.offsets.items()}, CLEARLY_HYDROGEN):
            offsets = ", ".join(f"{SYMBOLS[z]} {e:.4g}" for z, e in own.offsets.items())
            yield LabelVerdict(
                f"energies do not look like {units.energy}, as which they were read, but like {unit}: their offsets "
                f"by element are {offsets} eV, and {factor:.4g} times as large they are those of total energies",
                certain=False,
            )


def _other_forces(own: MeasuredLabels, units: Units) -> Iterator[LabelVerdict]:
    """Yield that the forces are not the slope of the energies."""
    if own.slope is None or CONSISTENT[0] <= own.slope <= CONSISTENT[1]:
        return
    head = (
        f"energies and forces do not go together as {units.energy} and {units.forces}: between near structures the "
        f"energy changes by {own.slope:.3g} times the work of the forces (expected 1)"
    )
    if own.slope < 0:
        yield LabelVerdict(f"{head}: they are gradients, not forces", certain=True)
    else:
        yield LabelVerdict(head, certain=False)


def notes(own: MeasuredLabels, units: Units) -> Iterator[LabelVerdict]:
    """Yield what labels may be, though nothing else tells so."""
    if units.energy != "hartree" and _like_hartree(own.times(HARTREE / units.energy_factor, 1.0).scale, own.offsets):
        yield LabelVerdict(
            f"energies are read as {units.energy}, but would be of the usual size as hartree",
            certain=False,
            units=units._replace(energy="hartree"),
        )
    if own.rms is None or own.slope is not None or own.rms >= SMALL or own.spread <= LIVELY:
        return
    if USUAL[0] <= own.rms / units.forces_factor * HARTREE / BOHR <= USUAL[1]:
        yield LabelVerdict(
            f"forces are small (root mean square {own.rms:.3g} eV/angstrom), while energies of one composition spread "
            f"by {1000 * own.spread:.3g} meV/atom: if these are no relaxed structures, the forces may be in "
            f"hartree/bohr and not in {units.forces}",
            certain=False,
            units=units._replace(forces="hartree/bohr"),
        )


def total(offsets: Mapping[int, float], hydrogen: tuple[float, float]) -> bool:
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
