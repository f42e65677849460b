"""extxyz: one frame a structure, every number with all its digits, so that what is read again is equal bit for bit.

Energies of a method stand in the comment line as `NAME_energy`, its forces in the columns `NAME_forces`; what a
structure lacks is left out of its frame. The lines are written here: ASE's own writer keeps eight decimals.
Of texts one thing is lost, as in every extxyz file: `T` or `1.0` is a truth value or a number to whoever reads it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import SYMBOLS, Structures
from mfsweep.spec.data import LabelKeys


def write(path: Path, structures: Structures) -> Mapping[str, LabelKeys]:
    """Write structures with their labels, texts, charges and cells.

    Args:
        path: the file to be.
        structures: eV and angstrom, as the file has them.

    Returns:
        Label method -> its keys in the file.
    """
    from ase.io.extxyz import key_val_dict_to_str

    stems = _stems(structures.labels)
    with path.open("w", encoding="utf-8") as file:
        for index in range(len(structures.offsets) - 1):
            rows = slice(int(structures.offsets[index]), int(structures.offsets[index + 1]))
            forces = dict(_forces(structures, stems, rows))
            properties = "".join(f":{stem}_forces:R:3" for stem in forces)
            comment = key_val_dict_to_str(_info(structures, stems, index))
            lattice = _lattice(structures, index)
            file.write(f"{rows.stop - rows.start}\n{lattice}Properties=species:S:1:pos:R:3{properties} {comment}\n")
            # Positions are read as float64: of float32 all their digits, so that they are the same numbers again.
            arrays = [structures.positions[rows].astype(np.float64), *forces.values()]
            symbols = [SYMBOLS[number] for number in structures.species[rows].tolist()]
            file.writelines(_lines(symbols, arrays))
    return {
        name: LabelKeys(
            energy=f"{stem}_energy", forces=f"{stem}_forces" if structures.labels[name].forces is not None else None
        )
        for name, stem in stems.items()
    }


def _stems(labels: Mapping[str, Any]) -> dict[str, str]:
    """Return what each method is called in the file, where a key has only letters, digits, `_` and `-`."""
    found: dict[str, str] = {}
    for name in labels:
        stem = re.sub(r"[^A-Za-z0-9_-]+", "_", name).strip("_")
        stem = stem if re.match(r"[A-Za-z]", stem) else f"m_{stem}"
        number = 2
        while stem in found.values():
            stem, number = f"{stem.removesuffix(f'_{number - 1}')}_{number}", number + 1
        found[name] = stem
    return found


def _info(structures: Structures, stems: Mapping[str, str], index: int) -> dict[str, Any]:
    energies = {
        f"{stem}_energy": float(structures.labels[name].energy[index])
        for name, stem in stems.items()
        if not np.isnan(structures.labels[name].energy[index])
    }
    texts = {name: column.values[column.codes[index]] for name, column in structures.columns.items()}
    charge = {} if structures.charge is None else {"charge": int(structures.charge[index])}
    return {**energies, **charge, **{name: text for name, text in texts.items() if text}}


def _forces(structures: Structures, stems: Mapping[str, str], rows: slice) -> Iterator[tuple[str, NDArray[Any]]]:
    for name, stem in stems.items():
        forces = structures.labels[name].forces
        if forces is not None and not np.isnan(forces[rows.start, 0]):
            yield stem, forces[rows]


def _lattice(structures: Structures, index: int) -> str:
    if structures.pbc is None or structures.cell is None or not structures.pbc[index].any():
        return ""
    vectors = " ".join(repr(value) for value in structures.cell[index].reshape(-1).tolist())
    return f'Lattice="{vectors}" pbc="{" ".join("T" if one else "F" for one in structures.pbc[index])}" '


def _lines(symbols: list[str], arrays: list[NDArray[Any]]) -> Iterator[str]:
    # str of a NumPy number has the fewest digits that tell it from every other one of its own type.
    columns = [column for array in arrays for column in array.T]
    texts = [[str(value) for value in column] for column in columns]
    for row in zip(symbols, *texts, strict=True):
        yield " ".join(row) + "\n"
