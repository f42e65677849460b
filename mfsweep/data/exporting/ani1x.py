"""The ANI-1x layout: a group for each order of elements, labels as `X.energy` and `X.forces`, in hartree.

Forces come back bit for bit. Energies are divided by a hartree on the way, and come back to one part in 10^15.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import h5py
import numpy as np

from mfsweep.data.structures import Structures
from mfsweep.data.units import HARTREE
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys


def write(path: Path, structures: Structures) -> Mapping[str, LabelKeys]:
    """Write structures with their labels, texts and charges; arguments and returns as of extxyz.py.

    Raises:
        DataError: a structure is periodic.
    """
    if structures.pbc is not None and structures.pbc.any():
        first = int(np.argmax(structures.pbc.any(axis=1)))
        raise DataError(
            f"{structures.describe(first)} is periodic, and the ANI-1x layout has no cells: export to extxyz (FILE.xyz)"
        )
    with h5py.File(path, "w") as file:
        for name, indices in _groups(structures).items():
            group = file.create_group(name)
            first = slice(int(structures.offsets[indices[0]]), int(structures.offsets[indices[0] + 1]))
            atoms = structures.atoms_of(indices)
            shape = (len(indices), first.stop - first.start, 3)
            group["atomic_numbers"] = structures.species[first]
            group["coordinates"] = structures.positions[atoms].reshape(shape)
            for method, labels in structures.labels.items():
                group[f"{method}.energy"] = labels.energy[indices] / HARTREE
                if labels.forces is not None:
                    group[f"{method}.forces"] = labels.forces[atoms].astype(np.float64).reshape(shape) / HARTREE
            if structures.charge is not None:
                group["charge"] = structures.charge[indices]
            for column, own in structures.columns.items():
                if column in group:
                    raise DataError(
                        f"the column {column!r} has a name that the ANI-1x layout has a use for: export to extxyz"
                    )
                group[column] = [own.values[code] for code in own.codes[indices].tolist()]
    return {
        method: LabelKeys(energy=f"{method}.energy", forces=None if labels.forces is None else f"{method}.forces")
        for method, labels in structures.labels.items()
    }


def _groups(structures: Structures) -> dict[str, np.ndarray]:
    """Return the structures of each group: those of one formula whose atoms come in one order, by its name."""
    members: dict[tuple[int, bytes], list[int]] = {}
    for index, formula in enumerate(structures.formula.tolist()):
        own = structures.species[int(structures.offsets[index]) : int(structures.offsets[index + 1])]
        members.setdefault((formula, own.tobytes()), []).append(index)
    found: dict[str, np.ndarray] = {}
    for (formula, _), indices in members.items():
        name, number = structures.formulae[formula], 2
        while name in found:
            name, number = f"{structures.formulae[formula]}-{number}", number + 1
        found[name] = np.array(indices, np.int64)
    return found
