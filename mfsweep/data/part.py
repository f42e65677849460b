"""Some structures of a file, as structures of their own or as a data set of their own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfsweep.data import dataset
from mfsweep.data.structures import Column, Labels, Structures


def part(structures: Structures, indices: NDArray[np.integer]) -> Structures:
    """Return some structures, (n,), in the order of `indices`; a method that labels none of them is left out."""
    atoms = structures.atoms_of(indices)
    formula = structures.formula[indices]
    labels = {
        name: Labels(own.energy[indices], None if own.forces is None else own.forces[atoms])
        for name, own in structures.labels.items()
        if not np.isnan(own.energy[indices]).all()
    }
    return structures._replace(
        offsets=np.concatenate([[0], np.cumsum(structures.sizes[indices])]).astype(np.int64),
        species=structures.species[atoms],
        positions=structures.positions[atoms],
        formula=formula,
        rank=structures.rank[indices],
        labels=labels,
        charge=None if structures.charge is None else structures.charge[indices],
        source=None if structures.source is None else structures.source[indices],
        cell=None if structures.cell is None else structures.cell[indices],
        pbc=None if structures.pbc is None else structures.pbc[indices],
        columns={name: Column(own.codes[indices], own.values) for name, own in structures.columns.items()},
    )


def write_dataset(path: Path, structures: Structures, provenance: Mapping[str, Any]) -> None:
    """Write structures with their labels and texts as a data set.

    Args:
        path: of the data set; replaced where it exists.
        structures: all of them.
        provenance: where they come from, as plain data.

    Raises:
        DataError: it cannot be written.
    """
    forces = {name: own.forces for name, own in structures.labels.items() if own.forces is not None}
    columns = {name: [own.values[code] for code in own.codes.tolist()] for name, own in structures.columns.items()}
    with dataset.Writer(path, energies=list(structures.labels), forces=list(forces), columns=list(columns)) as writer:
        writer.add(
            dataset.Chunk(
                sizes=structures.sizes,
                species=structures.species,
                positions=structures.positions,
                energies={name: own.energy for name, own in structures.labels.items()},
                forces=forces,
                cell=structures.cell,
                pbc=structures.pbc,
                charge=structures.charge,
                columns=columns,
            )
        )
        writer.finish(provenance)
