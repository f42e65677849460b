"""All structures of one source or several as flat arrays, and the units fixed once: eV and angstrom.

Shapes: `S` structures, `A` atoms of all structures together. Atom `i` of structure `s` lies at `offsets[s] + i`
(compressed sparse rows), so a batch is a gather and no structure is ever an object.

Water and methane, in this order, are

    offsets    [0, 3, 8]
    species    [8, 1, 1, 6, 1, 1, 1, 1]
    formulae   ("CH4", "H2O")
    formula    [1, 0]
    rank       [0, 0]
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

SYMBOLS = (  # noqa: SIM905 -- one element a line would be 120 lines
    "X H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se Br Kr "
    "Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy Ho Er Tm Yb Lu "
    "Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U Np Pu Am Cm Bk Cf Es Fm Md No Lr "
    "Rf Db Sg Bh Hs Mt Ds Rg Cn Nh Fl Mc Lv Ts Og"
).split()
"""Element symbol by atomic number; the first stands for no element."""
_ROWS_AT_ONCE = 1_000_000


class Labels(NamedTuple):
    """What one label method says of every structure."""

    energy: NDArray[np.float64]
    """(S,) total energies, eV; NaN where there is no label."""
    forces: NDArray[np.float32] | None
    """(A, 3) forces, eV/angstrom, all NaN over a structure without the label; None for an energy-only method."""


class Column(NamedTuple):
    """A text that each structure has: a name of its origin, its SMILES, a group to split by."""

    codes: NDArray[np.int32]
    """(S,) index into `values`."""
    values: tuple[str, ...]
    """The distinct texts, sorted."""


class Structures(NamedTuple):
    """Geometries and labels of every structure, in file order; of several sources one after the other.

    The arrays may be memory maps of a file that many processes share: nothing writes into them.
    """

    offsets: NDArray[np.int64]
    """(S + 1,) first atom of each structure, and A."""
    species: NDArray[np.uint8]
    """(A,) atomic numbers."""
    positions: NDArray[np.floating]
    """(A, 3) angstrom; float32 where that is all that the source had."""
    formula: NDArray[np.int32]
    """(S,) index into `formulae`."""
    formulae: tuple[str, ...]
    """Chemical formulae in Hill order, sorted."""
    rank: NDArray[np.int32]
    """(S,) index of the structure among those of its formula and source: the three name a structure for good."""
    labels: dict[str, Labels]
    """Label method -> labels."""
    charge: NDArray[np.int16] | None = None
    """(S,) total charges where the file states them."""
    source: NDArray[np.int16] | None = None
    """(S,) index into `sources`; None where there is only one."""
    sources: tuple[str, ...] = ("",)
    """Names of the sources, sorted; that of a single file is empty."""
    cell: NDArray[np.float64] | None = None
    """(S, 3, 3) lattice vectors as rows, angstrom, zero along directions that are not periodic; None where no
    structure is periodic."""
    pbc: NDArray[np.bool_] | None = None
    """(S, 3) whether the structure repeats along each lattice vector; None where no structure does."""
    columns: Mapping[str, Column] = {}
    """Texts of the structures by name."""

    @property
    def sizes(self) -> NDArray[np.int64]:
        """Return the atoms of each structure, (S,)."""
        return np.diff(self.offsets)

    def atoms_of(self, indices: NDArray[np.integer]) -> NDArray[np.int64]:
        """Return the places of all atoms of some structures in the flat arrays, in their order."""
        sizes = self.offsets[indices + 1] - self.offsets[indices]
        starts = np.cumsum(sizes) - sizes
        return np.repeat(self.offsets[indices] - starts, sizes) + np.arange(sizes.sum())

    def elements_of(self, indices: NDArray[np.integer]) -> tuple[int, ...]:
        """Return the atomic numbers that occur in some structures, ascending."""
        present = np.bincount(self.species[self.atoms_of(indices)], minlength=len(SYMBOLS))
        return tuple(np.flatnonzero(present).tolist())

    def counts(self, indices: NDArray[np.integer], elements: Sequence[int]) -> NDArray[np.int64]:
        """Return how many atoms of each element some structures have, (n, len(elements)); others are left out."""
        columns = len(elements) + 1
        column = np.full(len(SYMBOLS), len(elements))
        column[list(elements)] = np.arange(len(elements))
        rows = np.repeat(np.arange(len(indices)), self.sizes[indices])
        cells = rows * columns + column[self.species[self.atoms_of(indices)]]
        return np.bincount(cells, minlength=len(indices) * columns).reshape(len(indices), columns)[:, :-1]

    def carries(self, method: str, forces: bool) -> NDArray[np.bool_]:
        """Return which structures have the method's energy, and its forces too where `forces` asks for them, (S,)."""
        labels = self.labels[method]
        has = ~np.isnan(labels.energy)
        if not forces:
            return has
        if labels.forces is None:
            return np.zeros_like(has)
        # A structure's force rows are all there or all NaN (the reader sees to it), so its first component tells.
        return has & ~np.isnan(labels.forces[self.offsets[:-1], 0])

    def usable(self, method: str) -> NDArray[np.bool_]:
        """Return which structures have everything that the method is declared to give, (S,).

        A method with a key of forces needs energy and forces, whichever of them a stage then trains on: so stages that
        differ in nothing but `use` have the same structures.
        """
        return self.carries(method, forces=self.labels[method].forces is not None)

    def describe(self, index: int) -> str:
        """Return a structure's name for messages, for example `C2H6O, conformer 3 (structure 118)`."""
        source = f" of {self.sources[self.source[index]]}" if self.source is not None else ""
        return f"{self.formulae[self.formula[index]]}, conformer {self.rank[index]}{source} (structure {index})"


def geometry_digest(structures: Structures) -> str:
    """Return the sha256 of all that a label or a list of neighbours can depend on: no names, no labels."""
    digest = hashlib.sha256()
    whole = (structures.offsets, structures.species, structures.positions)
    for array in (*whole, structures.charge, structures.cell, structures.pbc):
        if array is None:
            digest.update(b"absent")
            continue
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        for start in range(0, len(array), _ROWS_AT_ONCE):
            digest.update(np.ascontiguousarray(array[start : start + _ROWS_AT_ONCE]).data)
    return digest.hexdigest()


def concatenate(parts: Mapping[str, Structures]) -> Structures:
    """Return the structures of several sources as one, in the order of their names.

    Args:
        parts: name -> structures of one source, all with the same label methods.
    """
    names = tuple(sorted(parts))
    own = [parts[name] for name in names]
    sizes = np.concatenate([part.sizes for part in own])
    formulae = tuple(sorted({formula for part in own for formula in part.formulae}))
    place = {formula: index for index, formula in enumerate(formulae)}
    return Structures(
        offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        species=np.concatenate([part.species for part in own]),
        positions=np.concatenate([part.positions for part in own]),
        formula=np.concatenate([np.array([place[f] for f in part.formulae], np.int32)[part.formula] for part in own]),
        formulae=formulae,
        rank=np.concatenate([part.rank for part in own]),
        labels={method: _concatenated([part.labels[method] for part in own]) for method in own[0].labels},
        charge=_stated([part.charge for part in own], own, np.int16, ()),
        source=np.repeat(np.arange(len(own), dtype=np.int16), [len(part.formula) for part in own]),
        sources=names,
        cell=_stated([part.cell for part in own], own, np.float64, (3, 3)),
        pbc=_stated([part.pbc for part in own], own, np.bool_, (3,)),
        columns={name: _merged(name, own) for name in dict.fromkeys(name for part in own for name in part.columns)},
    )


def _stated(
    arrays: Sequence[NDArray[Any] | None], own: Sequence[Structures], kind: type[np.generic], shape: tuple[int, ...]
) -> NDArray[Any] | None:
    """Return the rows of all sources, zero for a source that says nothing; None where none says anything."""
    if all(array is None for array in arrays):
        return None
    empty = (np.zeros((len(part.formula), *shape), kind) for part in own)
    return np.concatenate([zero if array is None else array for array, zero in zip(arrays, empty, strict=True)])


def _merged(name: str, own: Sequence[Structures]) -> Column:
    """Return one column of all sources, with an empty text for a source that lacks it."""
    absent = Column(np.zeros(1, np.int32), ("",))
    columns = [part.columns.get(name, absent) for part in own]
    values = tuple(sorted({value for column in columns for value in column.values}))
    place = {value: index for index, value in enumerate(values)}
    codes = [
        np.array([place[value] for value in column.values], np.int32)[np.broadcast_to(column.codes, len(part.formula))]
        for column, part in zip(columns, own, strict=True)
    ]
    return Column(np.concatenate(codes), values)


def _concatenated(parts: Sequence[Labels]) -> Labels:
    forces = [part.forces for part in parts if part.forces is not None]
    assert len(forces) in (0, len(parts)), "a method has forces by its keys, which are the same for every source"
    return Labels(np.concatenate([part.energy for part in parts]), np.concatenate(forces) if forces else None)


def formulae_of(sizes: NDArray[np.int64], species: NDArray[np.uint8]) -> tuple[list[str], NDArray[np.int64]]:
    """Return the formulae of n structures, and the index of each one's among these, (n,).

    A text is made for each composition, not for each structure.
    """
    row = np.repeat(np.arange(len(sizes)), sizes)
    present = np.unique(species)
    counts = np.bincount(row * len(present) + np.searchsorted(present, species), minlength=len(sizes) * len(present))
    compositions, inverse = np.unique(counts.reshape(-1, len(present)), axis=0, return_inverse=True)
    return [hill_formula(np.repeat(present, own)) for own in compositions], inverse.reshape(-1)


def hill_formula(numbers: ArrayLike) -> str:
    """Return the formula of atomic numbers (Na,) in Hill order: C, H, then by symbol; without C all by symbol."""
    elements, counts = np.unique(np.asarray(numbers), return_counts=True)
    atoms: Mapping[str, int] = dict(zip((SYMBOLS[z] for z in elements), counts.tolist(), strict=True))
    first = [symbol for symbol in ("C", "H") if symbol in atoms] if "C" in atoms else []
    order = [*first, *sorted(set(atoms) - set(first))]
    return "".join(symbol + (str(atoms[symbol]) if atoms[symbol] > 1 else "") for symbol in order)
