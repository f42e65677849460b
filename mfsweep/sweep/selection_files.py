"""The files of a choice of structures: a list, and the structures so that they can be labelled."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import NamedTuple

import numpy as np

from mfsweep.data.exporting import extxyz
from mfsweep.data.part import part, write_dataset
from mfsweep.data.structures import Column
from mfsweep.errors import DataError
from mfsweep.files import json_text, write_file, write_text
from mfsweep.sweep.select import StructureSelection

INDEX = "pool_index"
"""Text of each written structure: its number in the data set that it was chosen from."""
ENDINGS = (".csv", ".json", ".h5", ".xyz")


class SelectionFiles(NamedTuple):
    """The files of a choice."""

    table: Path
    """CSV: index, formula, atoms, score, cost, reason."""
    summary: Path
    """JSON: the same, and what the choice rests on."""
    dataset: Path
    """A data set, as `mfsweep data label` takes it."""
    frames: Path
    """extxyz, for other programs."""


def write(selection: StructureSelection, stem: Path, *, overwrite: bool = False) -> SelectionFiles:
    """Write a choice as a list and as structures to be labelled.

    Args:
        selection: the choice.
        stem: path of the files without their endings.
        overwrite: whether they may exist.

    Raises:
        DataError: they exist, or cannot be written, or the stem has no name.
    """
    files = require_free(stem, overwrite=overwrite)
    rows = selection.rows()
    stem.absolute().parent.mkdir(parents=True, exist_ok=True)

    def table(path: Path) -> None:
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    write_file(files.table, table)
    write_text(files.summary, json_text(selection.as_json()) + "\n")
    chosen = part(selection.ground.structures, selection.indices)
    numbers = tuple(sorted(map(str, selection.indices.tolist())))
    place = {text: code for code, text in enumerate(numbers)}
    codes = np.array([place[str(index)] for index in selection.indices.tolist()], np.int32)
    chosen = chosen._replace(columns={**chosen.columns, INDEX: Column(codes, numbers)})
    provenance = {key: value for key, value in selection.as_json().items() if key not in ("structures", "notes")}
    write_dataset(files.dataset, chosen, {"chosen": provenance})
    write_file(files.frames, lambda path: extxyz.write(path, chosen))
    return files


def require_free(stem: Path, *, overwrite: bool) -> SelectionFiles:
    """Return the files of a stem; refuse those that exist, before anything is computed.

    Raises:
        DataError: one of them exists, or the stem is a folder's and has no name.
    """
    if stem.name in ("", ".."):
        example = stem / "select"
        raise DataError(f"--out {stem}: expected a path that ends in a name, for example {example}: {example}.csv")
    files = SelectionFiles(*(stem.with_name(f"{stem.name}{ending}") for ending in ENDINGS))
    for path in files:
        if path.exists() and not overwrite:
            raise DataError(f"{path} exists: give the files another name with --out, or say --overwrite")
    return files
