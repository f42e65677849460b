"""What labels would have to be to pass every judgement: the command that a message gives is found by trying.

All units, both signs of the forces, and energies per atom or of whole structures are tried on what was measured; of
those that pass the most usual is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from mfsweep.data.judging.measured import Evidence, MeasuredLabels
from mfsweep.data.judging.verdict import CLEARLY_HYDROGEN, SAME, LabelVerdict, passes, per_atom, total
from mfsweep.data.units import LENGTHS, UNITS, USUAL_FORCE, Units


class Mend(NamedTuple):
    """How labels are to be taken. What is None or False stays as it is."""

    units: Units | None = None
    gradients: bool = False
    """Turn the sign of the forces."""
    per_atom: bool = False
    """Take the energies times the number of atoms."""
    energies_alone: bool = False
    """Leave the forces."""
    drop_bad: bool = False
    """Leave the structures with flaws."""

    def text(self, units: Units) -> str:
        """Return what it says of labels that were taken for `units`: `energies per atom in kJ/mol and ...`."""
        new = self.units or units
        told = []
        if self.per_atom or new.energy != units.energy:
            told.append(f"energies {'per atom ' if self.per_atom else ''}in {new.energy}")
        if self.gradients or new.forces != units.forces:
            told.append(f"{'gradients' if self.gradients else 'forces'} in {new.forces}")
        return " and ".join(told)


def mend(own: Evidence, units: Units, verdict: LabelVerdict) -> Mend | None:
    """Return how the labels would pass; None where nothing common helps.

    Args:
        own: what was measured of labels that were taken for `units`.
        units: these.
        verdict: what is wrong with them.
    """
    if verdict.units is not None:
        return Mend(verdict.units)
    if own.alike:
        return None
    apart = per_atom(own)
    measured = own.whole if apart else own.plain
    tried = [(_unusual(found, new, units), place, new) for place, (found, new) in enumerate(_tried(measured, units))]
    if not tried:
        return None
    _, _, (new, sign) = min(tried, key=lambda one: one[:2])
    return Mend(None if new == units else new, gradients=sign < 0, per_atom=apart)


def _tried(own: MeasuredLabels, units: Units) -> Iterator[tuple[MeasuredLabels, tuple[Units, int]]]:
    """Yield what passes: in these units, and with forces of this sign."""
    lengths = [(unit, length) for unit in UNITS for length in LENGTHS] if own.rms is not None else [None]
    signs = (1, -1) if own.slope is not None else (1,)
    for energy in UNITS:
        for pair in lengths:
            forces = units.forces if pair is None else "/".join(pair)
            new = Units(energy, forces, units.positions)
            if pair is not None and energy not in (pair[0], units.energy) and forces != units.forces:
                continue  # two mistakes that have nothing to do with each other
            for sign in signs:
                found = own.times(
                    new.energy_factor / units.energy_factor, sign * new.forces_factor / units.forces_factor
                )
                if passes(found, new) and (found.slope is None or abs(found.slope - 1) <= SAME):
                    yield found, (new, sign)


def _unusual(own: MeasuredLabels, tried: tuple[Units, int], units: Units) -> float:
    """Return how far-fetched it is that labels which look so are in these units."""
    new, sign = tried
    per_energy, _, per_length = new.forces.rpartition("/")
    cost = 0.0 if new.energy == units.energy else 2.0
    cost += 0.3 * list(UNITS).index(new.energy)  # the largest that is possible
    if own.offsets and not total(own.offsets, CLEARLY_HYDROGEN):
        cost += 3.0
    if own.rms:
        cost += 0.0 if per_energy == new.energy else 1.5
        cost += 0.5 * abs(float(np.log(own.rms / USUAL_FORCE)))
        cost += 0.3 * ((per_length == "bohr") != (per_energy in ("hartree", "Ry") and new.energy != units.energy))
        cost += 0.5 if new.forces != units.forces else 0.0
    if own.slope is not None:
        cost += 3 * abs(own.slope - 1)
    return cost + (1.0 if sign < 0 else 0.0)
