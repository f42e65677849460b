"""Labels that cannot be in the unit of their file: hartree in the ANI-1x layout, eV in a data store.

In a data store they came in with `mfsweep data import`, which converts them: whoever trusted the units there, and the
store says so, is warned only.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from mfsweep.data import csr
from mfsweep.data.dataset import Dataset
from mfsweep.data.reference import offset_energy
from mfsweep.data.units import HARTREE, HIGHEST_FORCE, HIGHEST_SPREAD, UNITS, energy_scale, force_unit
from mfsweep.errors import DataError
from mfsweep.spec.stage import LabelledSet

Indices = NDArray[np.int64]


def require_units(dataset: Dataset, method: str, sets: Sequence[LabelledSet]) -> Iterator[str]:
    """Refuse labels that a training uses and that cannot be in their unit.

    Args:
        dataset: the structures.
        method: of the labels.
        sets: those of the training with them.

    Yields:
        What is wrong with labels whose unit the user has vouched for.

    Raises:
        DataError: nobody has.
    """
    stores = dataset.stores(method)
    trusted = bool(stores) and all(csr.provenance(path).get("units_trusted") for path in stores)
    energy, forces = ("eV", "eV/angstrom") if stores else ("hartree", "hartree/angstrom")
    for quantity, key, why, unit in _unlikely(dataset, method, sets):
        looks = (
            f"the {method} {quantity} ({key!r}) do not look like {energy if quantity == 'energies' else forces}: {why}"
        )
        if trusted:
            yield f"{looks}. They were imported with --trust-units: is it so?"
            continue
        if stores:
            advice = "Import them again with `mfsweep data import`: --unit states their unit in the file" + (
                f" (they would fit times {UNITS[unit] / HARTREE:.6g})" if unit else ""
            )
            raise DataError(f"{dataset.place}: {looks}. {advice}, --trust-units takes them as they are")
        per_length = "/angstrom" if quantity == "forces" else ""
        advice = (
            f"They would fit as {unit}{per_length}: convert the file (times {UNITS[unit] / HARTREE:.6g})"
            if unit
            else "No common unit fits"
        )
        raise DataError(f"{dataset.place}: {looks}. {advice}")


def _unlikely(dataset: Dataset, method: str, sets: Sequence[LabelledSet]) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield which labels no method has, their key, what tells so, and in which unit they would fit as hartree do."""
    structures = dataset.structures
    members, left = left_by_offsets(dataset, method, sets)
    offsets = dataset.offsets(method, sets)
    energy = structures.labels[method].energy[members]
    scale = energy_scale(energy, left, structures.counts(members, tuple(offsets)), offsets)
    keys = dataset.data.labels[method]
    if not scale.plausible():
        why = (
            f"after the energy offsets they spread by {scale.spread:.3g} eV/atom (expected below {HIGHEST_SPREAD:g}), "
            f"and they are {scale.ratio:.2g} times those of Thomas-Fermi atoms (expected below 1)"
        )
        yield "energies", keys.energy, why, scale.fitting()
    forces = structures.labels[method].forces
    if forces is None or keys.forces is None:
        return
    square = np.add.reduceat((forces.astype(np.float64) ** 2).sum(axis=1), structures.offsets[:-1])
    rms = float(np.sqrt(square[members].sum() / (3 * structures.sizes[members].sum())))
    unit = force_unit(rms)
    if unit is not None:
        why = f"their root mean square is {rms:.3g} eV/angstrom (expected below {HIGHEST_FORCE:g})"
        yield "forces", keys.forces, why, unit


def left_by_offsets(dataset: Dataset, method: str, sets: Sequence[LabelledSet]) -> tuple[Indices, NDArray[np.float64]]:
    """Return the structures trained on with a method, (n,), and what its offsets leave of the labels, (n,) eV/atom."""
    members = np.unique(np.concatenate([dataset.training(own) for own in sets if own.labels == method]))
    energy = dataset.structures.labels[method].energy[members]
    offsets = offset_energy(dataset.structures, members, dataset.offsets(method, sets))
    return members, (energy - offsets) / dataset.structures.sizes[members]
