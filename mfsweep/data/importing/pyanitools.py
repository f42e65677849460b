"""pyanitools' layout, of ANI-1 and COMP6: groups in groups, one for each molecule, with an element for each atom.

`coordinates` (Nc, Na, 3) angstrom, `species` (Na,) symbols, `energies` (Nc,) hartree; COMP6 has `forces` (Nc, Na, 3)
hartree/angstrom too. ANI-1 keeps conformers of high energy apart, in `coordinatesHE` and `energiesHE`.
Source: isayev/ANI1_dataset, readers/lib/pyanitools.py and README.
"""

from __future__ import annotations

from pathlib import Path

import h5py

from mfsweep.data.importing.conformers import ConformerSource, Surveyed
from mfsweep.data.importing.glance import glance


class PyanitoolsSource(ConformerSource):
    """A file of ANI-1 or COMP6."""

    layout = "pyanitools (ANI-1, COMP6)"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the first group has `coordinates`, and `species` of one molecule."""
        found = glance(path)
        return found is not None and "coordinates" in found.shapes and len(found.shapes.get("species", ())) == 1

    def _survey(self, file: h5py.File) -> tuple[list[Surveyed], set[str], set[str]]:
        groups, keys, texts = super()._survey(file)
        high = [file.get(f"{group.name}/coordinatesHE") for group in groups]
        left = sum(node.shape[0] for node in high if isinstance(node, h5py.Dataset) and node.ndim)
        if left:
            self.warnings.append(
                f"{self._path}: {left:,} conformers of high energy (coordinatesHE, energiesHE) are left out"
            )
        return groups, keys - {"coordinatesHE", "energiesHE"}, texts
