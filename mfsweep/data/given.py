"""A partition that is given: a column, or a JSON file, says which structures are in which part.

The JSON file names parts: `{"train": [0, 3, ...], "valid": [...], "test": [...]}`, numbers of structures counted from 0
in the order of the source. It becomes a column like any other.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mfsweep.data.structures import Column, Structures
from mfsweep.errors import DataError
from mfsweep.spec.data import INDICES

LARGEST = 200 * 1024**2
"""Bytes of such a file at most."""


def with_indices(structures: Structures, path: Path) -> Structures:
    """Return structures with the parts of a JSON file as the column INDICES.

    Raises:
        DataError: no JSON file of this form, or numbers that no structure has or that are in two parts.
    """
    if structures.source is not None:
        raise DataError(f"{path}: data.splits.given: numbers of structures are for a single data.source, got several")
    codes = np.zeros(len(structures.formula), np.int32)
    parts = _read(path)
    names = ["", *sorted(parts)]
    for code, name in enumerate(names[1:], 1):
        own = parts[name]
        wrong = own[(own < 0) | (own >= len(codes))]
        if len(wrong):
            raise DataError(
                f"{path}: {name!r}: expected numbers of structures from 0 to {len(codes) - 1}, got {int(wrong[0])}"
            )
        twice = own[codes[own] != 0]
        if len(twice):
            raise DataError(
                f"{path}: structure {int(twice[0])} is in {names[codes[twice[0]]]!r} and in {name!r}: expected each in "
                "one part"
            )
        codes[own] = code
    return structures._replace(columns={**structures.columns, INDICES: Column(codes, tuple(names))})


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.stat().st_size > LARGEST:
            raise DataError(f"{path}: expected at most {LARGEST // 1024**2} MiB of numbers")
        content = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{path}: cannot be read as JSON: {error}") from error
    flat: dict[str, Any] = {}
    for name, own in content.items() if isinstance(content, dict) else ():
        below = own.items() if isinstance(own, dict) else [("", own)]
        flat |= {f"{name} {part}".strip(): numbers for part, numbers in below}
    if not flat or not all(_is_numbers(own) for own in flat.values()):
        raise DataError(
            f"{path}: expected the numbers of the structures of each part, as in "
            '{"a": [0, 3], "a validation": [1], "t": [2]}'
        )
    return {name: np.array(own, np.int64) for name, own in flat.items()}


def _is_numbers(own: object) -> bool:
    return isinstance(own, list) and all(type(number) is int and abs(number) < 2**62 for number in own)
