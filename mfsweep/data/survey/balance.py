"""How alike the parts of a partition are in what they are made of, against all structures that could be in them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.splits import Partition
from mfsweep.data.structures import SYMBOLS, Column, Structures
from mfsweep.data.survey.composition import composition

Indices = NDArray[np.int64]


class Balance(NamedTuple):
    """What a part of a partition is made of."""

    name: str
    structures: int
    groups: int
    """Formulae, or values of the column by which it is split."""
    atoms: int
    mean_size: float
    """Atoms per structure."""
    shares: dict[str, float]
    """Element of the source -> its share of the part's atoms."""


def named_parts(partition: Partition) -> dict[str, Indices]:
    """Return the parts that hold any structures: `a`, `a validation`, ... -> their structures."""
    named: dict[str, Indices] = {}
    for name, train in partition.train.items():
        named |= {name: train, f"{name} validation": partition.validation[name]}
    return {name: own for name, own in named.items() if len(own)}


def balance(structures: Structures, groups: Column, partition: Partition) -> list[Balance]:
    """Return the balance of each part, then of what is in none of them (`left over`), and of everything (`all`)."""
    parts = named_parts(partition)
    free = np.ones(len(structures.formula), np.bool_)
    for own in parts.values():
        free[own] = False
    parts |= {"left over": np.flatnonzero(free)} if free.any() else {}
    parts["all"] = np.arange(len(free))
    made_of = composition(structures)
    symbols = [SYMBOLS[z] for z in made_of.elements]
    found: list[Balance] = []
    for name, own in parts.items():
        atoms = np.bincount(structures.formula[own], minlength=len(made_of.counts)) @ made_of.counts
        total = int(atoms.sum())
        shares = dict(zip(symbols, (atoms / max(total, 1)).tolist(), strict=True))
        number = len(np.unique(groups.codes[own]))
        found.append(Balance(name, len(own), number, total, total / len(own), shares))
    return found
