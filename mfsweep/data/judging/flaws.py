"""What can be wrong with a single structure, whatever the others are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging.chunks import any_atom, starts
from mfsweep.data.judging.coincident import CLOSE, coincident
from mfsweep.data.judging.zeros import filled_in


class Flaw(NamedTuple):
    """One thing that can be wrong."""

    what: str
    """Ends a sentence that begins with the structure's name."""
    bad: NDArray[np.bool_]
    """(n,) which structures it is wrong with."""
    method: str | None = None
    """Label method whose forces are no forces, though its energies may be right."""
    geometry: bool = False
    """Whether it is wrong whatever the labels are."""


def flaws(chunk: Chunk) -> Iterator[Flaw]:
    """Yield what is wrong with structures, with any or with none."""
    yield from unreadable(chunk)
    for flaw in geometry_flaws(chunk):
        yield flaw._replace(geometry=True)
    for method in chunk.forces:
        yield Flaw(
            f"its {method} forces are all exactly zero, and so are those of another shape of the same atoms: they were "
            "filled in, not computed",
            filled_in(chunk, method),
            method,
        )


def unreadable(chunk: Chunk) -> Iterator[Flaw]:
    """Yield which values are no numbers, or a part of a label alone: nobody can use these structures at all."""
    yield Flaw("its positions are not finite", any_atom(chunk, ~np.isfinite(chunk.positions)), geometry=True)
    for method, energy in chunk.energies.items():
        yield Flaw(f"its {method} energy is infinite", np.isinf(energy))
    for method, forces in chunk.forces.items():
        yield Flaw(f"its {method} forces are infinite", any_atom(chunk, np.isinf(forces)))
        missing = np.isnan(forces)
        part = any_atom(chunk, missing) & any_atom(chunk, ~missing)
        yield Flaw(f"its {method} forces are NaN for a part of it; they come for all atoms or none", part)


def geometry_flaws(chunk: Chunk) -> Iterator[Flaw]:
    """Yield what is wrong with finite positions, and with cells."""
    positions = chunk.positions
    finite = ~any_atom(chunk, ~np.isfinite(positions))
    # What was never written reads as zeros.
    first = np.repeat(positions[starts(chunk)], chunk.sizes, axis=0)
    piled = ~any_atom(chunk, positions != first) & (chunk.sizes > 1)
    yield Flaw("all its atoms are in one place", piled)
    yield Flaw(f"two of its atoms are at one place (closer than {CLOSE} angstrom)", coincident(chunk) & ~piled & finite)
    if chunk.cell is not None and chunk.pbc is not None:
        yield Flaw("its cell is not finite", np.asarray(~np.isfinite(chunk.cell).all(axis=(1, 2))))
        yield Flaw("it is periodic along vectors that span no cell", _flat(chunk.cell, chunk.pbc))


def _flat(cell: NDArray[np.float64], pbc: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return where the periodic vectors are zero or depend on each other, (n,)."""
    with np.errstate(invalid="ignore"):  # not finite is another flaw
        gram = np.einsum("nij,nkj->nik", cell, cell)
    both = pbc[:, :, None] & pbc[:, None, :]
    gram = np.where(both & np.isfinite(gram), gram, np.eye(3))
    return ~(np.linalg.det(gram) > 1e-6)
