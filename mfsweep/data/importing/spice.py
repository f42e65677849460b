"""SPICE's layout: a group for each molecule, with gradients in place of forces, in atomic units.

`atomic_numbers` (Na,), `conformations` (Nc, Na, 3) bohr, `dft_total_energy` (Nc,) hartree, `dft_total_gradient`
(Nc, Na, 3) hartree/bohr, `smiles` (1,) with explicit hydrogens and charges, `subset` (1,). The units stand in the
attribute `units` of each dataset. Source: openmm/spice-dataset, README.
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from mfsweep.data.importing.conformers import ConformerSource, Surveyed
from mfsweep.data.importing.glance import glance
from mfsweep.data.importing.keys import Units, units_of
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

_ENERGY, _GRADIENT = "dft_total_energy", "dft_total_gradient"
_CHARGED = re.compile(r"\[[^\]+-]*(\++|-+)(\d*)(?::\d+)?\]")
"""A bracket atom of a SMILES with its charge: `[N+:2]`, `[O-]`, `[Ca+2]`, `[Mg++]`."""


class SpiceSource(ConformerSource):
    """A file of SPICE."""

    layout = "SPICE"
    own_units = Units("hartree", "hartree/bohr", "bohr")
    positions = "conformations"
    elements = ("atomic_numbers",)
    keys = LabelKeys(energy=_ENERGY, forces=_GRADIENT)
    method = "dft"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the first group has `conformations` and `atomic_numbers`."""
        found = glance(path)
        return found is not None and {"conformations", "atomic_numbers"} <= found.shapes.keys()

    def _units_of(self, file: h5py.File) -> Units:
        units = self.own_units._asdict()
        node = file[self._groups[0].name]
        assert isinstance(node, h5py.Group), "as of _survey"
        for quantity, key in (("positions", self.positions), ("energy", _ENERGY), ("forces", _GRADIENT)):
            stated = node[key].attrs.get("units") if key in node else None
            if stated is not None:
                text = stated.decode(errors="replace") if isinstance(stated, bytes) else str(stated)
                try:
                    units |= units_of([f"{quantity}={text}"])
                except DataError as error:
                    raise DataError(f"{self._path}: group {node.name!r}, key {key!r}: its units: {error}") from error
        return Units(**units)

    def _forces(self, key: str, values: NDArray[np.float64]) -> NDArray[np.float64]:
        return -values if key.endswith("gradient") else values

    def _charges_of(self, node: h5py.Group, surveyed: Surveyed) -> int:
        # Whether or not the SMILES is asked for as a column.
        return charge_of(self._texts(node, surveyed, "smiles", slice(0, 1))[0])


def charge_of(smiles: str) -> int:
    """Return the total charge that a SMILES states."""
    total = 0
    for signs, number in _CHARGED.findall(smiles):
        size = int(number) if number else len(signs)
        total += size if signs[0] == "+" else -size
    return total
