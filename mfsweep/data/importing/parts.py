"""Some structures of a file on their way into a data store, and what would make them unfit for it.

Shapes: `n` structures and `a` atoms of one part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.csr import Chunk
from mfsweep.data.importing.keys import Units
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

ATOMS_AT_ONCE = 200_000
"""Atoms that pass through memory at a time: some tens of MB."""
EXAMPLES = 3
"""Structures named in a message or summary."""


class Part(NamedTuple):
    """Structures in eV and angstrom, in file order."""

    chunk: Chunk
    place: Callable[[int], str]
    """Gives the place of a structure in the file: `group 'CH4', conformer 3`."""


class Source(Protocol):
    """A file that structures come from."""

    name: str
    """The file's name, without its folder."""
    layout: str
    units: Units
    labels: Mapping[str, LabelKeys]
    """Label method -> where its values are; with forces if the method has any."""
    columns: Sequence[str]
    """Names of the texts that come along."""
    total: int | None
    """Structures, where this is known before all are read."""

    @property
    def charges(self) -> Sequence[str]:
        """Keys that charges were taken from, once all parts have passed."""
        ...

    @property
    def warnings(self) -> Sequence[str]:
        """What should be known of the structures, once all parts have passed."""
        ...

    def parts(self) -> Iterator[Part]:
        """Yield all structures, in parts of about ATOMS_AT_ONCE atoms; once."""
        ...


class Filter:
    """Lets structures through that are sound and carry the labels asked for, and counts the others."""

    def __init__(self, needs: Sequence[str], *, drop_bad: bool) -> None:
        """Set the rules.

        Args:
            needs: label methods that a structure must carry, with forces where the method has forces.
            drop_bad: whether a structure with values that cannot be is left out; else it is an error.
        """
        self.dropped: Counter[str] = Counter()
        """What is wrong -> structures left out for it."""
        self.examples: list[str] = []
        """The first of these, by place."""
        self.lacking: Counter[str] = Counter(dict.fromkeys(needs, 0))
        """Method of `needs` -> structures left out that do not carry it."""
        self._drop_bad = drop_bad

    def __call__(self, part: Part) -> Chunk:
        """Return the structures of a part that may go in.

        Raises:
            DataError: one has values that cannot be, and these are not to be left out.
        """
        chunk = part.chunk
        keep = np.ones(len(chunk.sizes), np.bool_)
        for what, bad in flaws(chunk):
            first = np.flatnonzero(bad & keep)
            if not len(first):
                continue
            places = [f"{part.place(int(index))}: {what}" for index in first[:EXAMPLES]]
            if not self._drop_bad:
                more = f" (and {len(first) - 1} more near it)" if len(first) > 1 else ""
                raise DataError(f"{places[0]}{more}. Mend the file, or leave such structures out with --drop-bad")
            self.dropped[what] += len(first)
            self.examples += places[: EXAMPLES - len(self.examples)]
            keep &= ~bad
        for method in self.lacking:
            lacks = keep & ~carries(chunk, method)
            self.lacking[method] += int(lacks.sum())
            keep &= ~lacks
        return chunk if keep.all() else take(chunk, keep)


def flaws(chunk: Chunk) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield what can be wrong with structures, and with which it is, (n,)."""
    positions = chunk.positions
    yield "its positions are not finite", any_atom(chunk, ~np.isfinite(positions))
    # What was never written reads as zeros.
    first = np.repeat(positions[_starts(chunk)], chunk.sizes, axis=0)
    moved = any_atom(chunk, positions != first)
    yield "all its atoms are in one place", ~moved & (chunk.sizes > 1)
    for method, energy in chunk.energies.items():
        yield f"its {method} energy is infinite", np.isinf(energy)
    for method, forces in chunk.forces.items():
        yield f"its {method} forces are infinite", any_atom(chunk, np.isinf(forces))
        missing = np.isnan(forces)
        part = any_atom(chunk, missing) & any_atom(chunk, ~missing)
        yield f"its {method} forces are NaN for a part of it; they come for all atoms or none", part
    if chunk.cell is not None and chunk.pbc is not None:
        yield "its cell is not finite", np.asarray(~np.isfinite(chunk.cell).all(axis=(1, 2)))
        yield "it is periodic along vectors that span no cell", _flat(chunk.cell, chunk.pbc)


def _flat(cell: NDArray[np.float64], pbc: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where the periodic vectors are zero or depend on each other, (n,)."""
    with np.errstate(invalid="ignore"):  # not finite is another flaw
        gram = np.einsum("nij,nkj->nik", cell, cell)
    both = pbc[:, :, None] & pbc[:, None, :]
    gram = np.where(both & np.isfinite(gram), gram, np.eye(3))
    return ~(np.linalg.det(gram) > 1e-6)


def carries(chunk: Chunk, method: str) -> NDArray[np.bool_]:
    """Return which structures have all labels of a method, (n,)."""
    has = ~np.isnan(chunk.energies[method])
    return has & ~np.isnan(chunk.forces[method][_starts(chunk), 0]) if method in chunk.forces else has


def any_atom(chunk: Chunk, flags: Any) -> NDArray[np.bool_]:
    """Return which structures have an atom with the flag, (n,).

    Args:
        chunk: the structures.
        flags: (a,) or (a, 3), one or three for each atom.
    """
    return np.logical_or.reduceat(flags.reshape(len(flags), -1).any(axis=1), _starts(chunk))


def take(chunk: Chunk, keep: NDArray[np.bool_]) -> Chunk:
    """Return some of the structures.

    Args:
        chunk: the structures.
        keep: (n,).
    """
    atoms = np.repeat(keep, chunk.sizes)
    return Chunk(
        sizes=chunk.sizes[keep],
        species=chunk.species[atoms],
        positions=chunk.positions[atoms],
        energies={method: energy[keep] for method, energy in chunk.energies.items()},
        forces={method: forces[atoms] for method, forces in chunk.forces.items()},
        cell=None if chunk.cell is None else chunk.cell[keep],
        pbc=None if chunk.pbc is None else chunk.pbc[keep],
        charge=None if chunk.charge is None else chunk.charge[keep],
        columns={
            name: [texts[index] for index in np.flatnonzero(keep).tolist()] for name, texts in chunk.columns.items()
        },
    )


def complete(chunk: Chunk, energies: Sequence[str], forces: Sequence[str], columns: Sequence[str]) -> Chunk:
    """Return structures with NaN and empty texts for the methods and columns that their file does not have."""
    structures, atoms = len(chunk.sizes), len(chunk.species)
    absent = {method: np.full(structures, np.nan) for method in energies if method not in chunk.energies}
    without = {method: np.full((atoms, 3), np.nan, np.float32) for method in forces if method not in chunk.forces}
    empty = {name: [""] * structures for name in columns if name not in chunk.columns}
    return chunk._replace(
        energies={**chunk.energies, **absent},
        forces={**chunk.forces, **without},
        columns={**chunk.columns, **empty},
    )


def _starts(chunk: Chunk) -> NDArray[np.int64]:
    return np.cumsum(chunk.sizes) - chunk.sizes
