"""A fixed order of structures that looks random: by hash, with no state and no generator that a library may change.

A structure's key depends on the salt and on what names the structure (source, formula, rank), so not on the order of
the file, nor on what other formulae there are.
"""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import Structures


def order_keys(structures: Structures, salt: str) -> NDArray[np.uint64]:
    """Return a 64-bit hash of (salt, source, formula, rank) for every structure, (S,)."""
    formulae = structures.formulae
    # The one source of a `data.source` has an empty name, and its structures the keys that they always had.
    names = [f"{formula}:{source}" if source else formula for source in structures.sources for formula in formulae]
    digests = (hashlib.sha256(f"{salt}:{name}".encode()).digest() for name in names)
    base = np.array([int.from_bytes(digest[:8], "little") for digest in digests], np.uint64)
    row = structures.formula.astype(np.int64)
    if structures.source is not None:
        row += len(formulae) * structures.source.astype(np.int64)
    # splitmix64 (Steele, Lea, Flood 2014) of each rank from its formula's digest: one pass over the array instead of
    # a sha256 per structure, which would cost a second at ANI-1x's size.
    z = base[row] + (structures.rank.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))
