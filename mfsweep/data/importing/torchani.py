"""torchani's own layout: groups by formula or by number of atoms, with the elements of each structure.

`coordinates` (Nc, Na, 3) angstrom, `species` (Nc, Na) atomic numbers or symbols, `energies` (Nc,) hartree, `forces`
(Nc, Na, 3) hartree/angstrom. Source: aiqm/torchani, torchani/datasets.
"""

from __future__ import annotations

from pathlib import Path

from mfsweep.data.importing.conformers import ConformerSource
from mfsweep.data.importing.glance import glance

_ELEMENTS = ("species", "numbers", "atomic_numbers")


class TorchAniSource(ConformerSource):
    """A file that torchani wrote."""

    layout = "torchani"
    elements = _ELEMENTS

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the first group has `coordinates`, and elements for each structure."""
        found = glance(path)
        if found is None or "coordinates" not in found.shapes:
            return False
        return any(len(found.shapes.get(key, ())) == 2 for key in _ELEMENTS)
