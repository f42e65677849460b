"""A file of structures held in memory, for whoever reads it once: read by the same reader that imports it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.hdf5 import require_keys
from mfsweep.data.importing.ani import AniSource
from mfsweep.data.importing.parts import ImportedPart, ImportSource, complete
from mfsweep.data.importing.rules import Rules
from mfsweep.data.judging.flaws import unreadable
from mfsweep.data.lone import IsolatedAtoms
from mfsweep.data.structures import Labels, Structures, formulae_of
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys


def read(path: Path, labels: Mapping[str, LabelKeys], absent: Collection[str] | None = None) -> Structures:
    """Read every structure of a file of the ANI-1x layout, with the labels asked for.

    Args:
        path: HDF5 file of the ANI-1x layout.
        labels: label method -> keys of its energies and forces.
        absent: of one source among several, the methods that have no labels here, whatever its keys; then keys that the
            file lacks are no error either.

    Returns:
        The structures by group name, then by conformer; energies in eV, forces in eV/angstrom.

    Raises:
        DataError: the file cannot be opened or breaks off, is not of this layout, lacks a key, or has values that
            are not finite; the text names group and conformer.
    """
    source = AniSource(path, Rules({}, columns=(), geometries=True))
    if absent is None:
        require_keys(str(path), source.keys, labels)
    source.labels = {method: keys for method, keys in labels.items() if method not in (absent or ())}
    return collected(source, labels)


def collected(source: ImportSource, labels: Mapping[str, LabelKeys], lone: IsolatedAtoms | None = None) -> Structures:
    """Read all structures of a file.

    Args:
        source: the file.
        labels: label methods of the structures: NaN where the file has none.
        lone: takes isolated atoms, which are then no structures.

    Raises:
        DataError: a value that is not finite, or what the source raises.
    """
    forces = [method for method, keys in labels.items() if keys.forces is not None]
    rows = defaultdict[str, list[NDArray[Any]]](list)
    known: dict[str, int] = {}
    for part in source.parts():
        _require_readable(part)
        if lone is not None:
            part = part.only(lone.take_from(part.chunk))  # noqa: PLW2901 (the same, without them)
        if not len(part.chunk.sizes):
            continue
        chunk = complete(part.chunk, list(labels), forces, ())
        texts, index = formulae_of(chunk.sizes, chunk.species)
        rows["formula"].append(np.array([known.setdefault(text, len(known)) for text in texts])[index])
        for name, array in _arrays(chunk).items():
            rows[name].append(array)
    if not known:
        raise DataError(f"{source.name}: holds no structures but isolated atoms")
    whole = {name: np.concatenate(rows.pop(name)) for name in list(rows)}
    formulae = tuple(sorted(known))
    formula = np.argsort(np.argsort(list(known)))[whole["formula"]].astype(np.int32)
    periodic = bool(whole["pbc"].any())
    return Structures(
        offsets=np.concatenate([[0], np.cumsum(whole["sizes"])]).astype(np.int64),
        species=whole["species"],
        positions=whole["positions"],
        formula=formula,
        formulae=formulae,
        rank=_ranks(formula),
        labels={
            method: Labels(whole[f"{method} energy"], whole[f"{method} forces"] if method in forces else None)
            for method in labels
        },
        charge=whole["charge"] if source.charges or whole["charge"].any() else None,
        cell=whole["cell"] if periodic else None,
        pbc=whole["pbc"] if periodic else None,
    )


def _arrays(chunk: Chunk) -> dict[str, NDArray[Any]]:
    count = len(chunk.sizes)
    return {
        "sizes": chunk.sizes,
        "species": chunk.species,
        "positions": np.asarray(chunk.positions, np.float64),
        "charge": np.zeros(count, np.int16) if chunk.charge is None else chunk.charge,
        "cell": np.zeros((count, 3, 3)) if chunk.cell is None else chunk.cell,
        "pbc": np.zeros((count, 3), np.bool_) if chunk.pbc is None else chunk.pbc,
        **{f"{method} energy": energy for method, energy in chunk.energies.items()},
        **{f"{method} forces": forces.astype(np.float32, copy=False) for method, forces in chunk.forces.items()},
    }


def _require_readable(part: ImportedPart) -> None:
    for flaw in unreadable(part.chunk):
        if flaw.bad.any():
            first = int(np.argmax(flaw.bad))
            raise DataError(
                f"{part.place(first)}: {flaw.what}. Leave the structure out, or set its label to NaN as a whole"
            )


def _ranks(formula: NDArray[np.int32]) -> NDArray[np.int32]:
    """Return the index of each structure among all of its formula, (S,)."""
    order = np.argsort(formula, kind="stable")
    grouped = formula[order]
    rank = np.empty(len(formula), np.int32)
    rank[order] = np.arange(len(formula)) - np.searchsorted(grouped, grouped)
    return rank
