"""GFN1-xTB and GFN2-xTB by tblite: energies and forces of molecules and of crystals.

tblite samples the Brillouin zone at its centre alone: a crystal has to come as a supercell, its sides 10 angstrom or so
at least. Structures that are periodic along one or two lattice vectors are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from mfsweep.data.labellers.geometries import Geometry, Label, OneByOne, unpaired_electrons
from mfsweep.data.units import HARTREE
from mfsweep.errors import DataError
from mfsweep.spec.base import Frozen, NonNegativeInt, PositiveFloat, PositiveInt

BOHR = 0.529177210903
"""Angstrom (CODATA 2018)."""
KELVIN = 3.166811563e-06
"""Hartree (CODATA 2018)."""
METHODS = {"gfn2-xtb": "GFN2-xTB", "gfn1-xtb": "GFN1-xTB"}
"""Name of the method here -> tblite's."""
_LANTHANIDES = range(57, 72)
"""Their f electrons belong to the core in these methods: three electrons are left, an odd number for all of them."""


class XtbOptions(Frozen):
    """What may be chosen of an xTB calculation."""

    accuracy: PositiveFloat = 0.1
    """tblite's: scales the thresholds of convergence. Its own default is 1; training wants less noise for a tenth more
    time."""
    electronic_temperature: PositiveFloat = 300.0
    """Kelvin, of the Fermi smearing."""
    max_iterations: PositiveInt = 250
    """Iterations of the self-consistent charges."""
    spin: NonNegativeInt | Literal["lowest"] = 0
    """Unpaired electrons; `lowest`: 0 or 1 as the number of electrons asks."""


def build(method: str, options: Mapping[str, Any]) -> OneByOne:
    """Return the labeller of a method in METHODS, with the options of `XtbOptions`, all of them."""
    from tblite.interface import Calculator

    name, chosen = METHODS[method], XtbOptions.model_validate(dict(options))

    def single(geometry: Geometry) -> Label:
        periodic = geometry.pbc.any()
        if periodic and not geometry.pbc.all():
            raise DataError(f"{name} takes structures that are periodic along all three lattice vectors or none")
        calculator = Calculator(
            name,
            geometry.numbers.astype(int),
            geometry.positions / BOHR,
            charge=float(geometry.charge),
            uhf=unpaired_electrons(_parity(geometry), chosen.spin, geometry.charge),
            lattice=geometry.cell / BOHR if periodic else None,
            periodic=geometry.pbc if periodic else None,
        )
        calculator.set("verbosity", 0)
        calculator.set("accuracy", chosen.accuracy)
        calculator.set("temperature", chosen.electronic_temperature * KELVIN)
        calculator.set("max-iter", chosen.max_iterations)
        result = calculator.singlepoint()
        return Label(float(result["energy"]) * HARTREE, -np.asarray(result["gradient"]) * (HARTREE / BOHR))

    return OneByOne(single)


def _parity(geometry: Geometry) -> int:
    """Return 1 where the valence electrons are an odd number; those of the core come in pairs."""
    numbers = geometry.numbers.astype(int)
    electrons = np.where(np.isin(numbers, _LANTHANIDES), 3, numbers).sum() - geometry.charge
    return int(electrons % 2)
