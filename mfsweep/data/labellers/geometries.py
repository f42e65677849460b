"""What labellers take and give: some structures as flat arrays, and a label or the reason for none of each.

Shapes: `n` structures, `a` atoms of all of them together.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.structures import Structures
from mfsweep.errors import DataError

_LONGEST_REASON = 300
"""Characters of a failure's reason that are kept."""


class Geometry(NamedTuple):
    """One structure without its labels."""

    numbers: NDArray[np.uint8]
    """(atoms,) atomic numbers."""
    positions: NDArray[np.float64]
    """(atoms, 3) angstrom."""
    charge: int
    cell: NDArray[np.float64]
    """(3, 3) lattice vectors as rows, angstrom; zero for a molecule."""
    pbc: NDArray[np.bool_]
    """(3,) whether it repeats along each of them."""


class Geometries(NamedTuple):
    """Some structures, as they are sent to whoever computes their labels."""

    sizes: NDArray[np.int64]
    """(n,) atoms of each."""
    species: NDArray[np.uint8]
    """(a,) atomic numbers."""
    positions: NDArray[np.floating]
    """(a, 3) angstrom, in the source's precision."""
    charge: NDArray[np.int16] | None
    """(n,), None where all are neutral."""
    cell: NDArray[np.float64] | None
    """(n, 3, 3) angstrom, and with `pbc` None where no structure is periodic."""
    pbc: NDArray[np.bool_] | None
    """(n, 3)"""

    @classmethod
    def of(cls, structures: Structures, indices: NDArray[np.integer]) -> Geometries:
        """Gather some structures, in their order."""
        atoms = structures.atoms_of(indices)
        return cls(
            sizes=structures.offsets[indices + 1] - structures.offsets[indices],
            species=structures.species[atoms],
            positions=structures.positions[atoms],
            charge=None if structures.charge is None else structures.charge[indices],
            cell=None if structures.cell is None else structures.cell[indices],
            pbc=None if structures.pbc is None else structures.pbc[indices],
        )

    def each(self) -> Iterator[Geometry]:
        """Yield the structures one by one."""
        start = 0
        for index, size in enumerate(self.sizes.tolist()):
            yield Geometry(
                numbers=self.species[start : start + size],
                positions=np.asarray(self.positions[start : start + size], np.float64),
                charge=0 if self.charge is None else int(self.charge[index]),
                cell=np.zeros((3, 3)) if self.cell is None else self.cell[index],
                pbc=np.zeros(3, np.bool_) if self.pbc is None else self.pbc[index],
            )
            start += size


class Label(NamedTuple):
    """What a method says of one structure."""

    energy: float
    """Total energy, eV."""
    forces: NDArray[np.floating] | None
    """(atoms, 3) eV/angstrom; None from a method without forces."""


class Computed(NamedTuple):
    """The labels of some structures, and what they cost."""

    energy: NDArray[np.float64]
    """(n,) eV; NaN where it failed."""
    forces: NDArray[np.float32] | None
    """(a, 3) eV/angstrom, NaN over a structure that failed; None from a method without forces."""
    seconds: NDArray[np.float32]
    """(n,) core-seconds of each label: processor time of this process, its threads and the programs that it ran to
    their end. NaN where it failed."""
    failures: dict[int, str]
    """Index among these structures -> why it has no label."""


class Labeller(Protocol):
    """Computes labels. Made once per process, so that a model or a program's tables are read once."""

    def __call__(self, geometries: Geometries, /) -> Computed:
        """Return labels; what fails for one structure is noted and never raised."""
        ...


class Single(Protocol):
    """Computes the label of one structure at a time."""

    def __call__(self, geometry: Geometry, /) -> Label:
        """Return the label, or raise whatever the program raises; a DataError's text is the reason as it stands."""
        ...


class OneByOne:
    """A labeller that goes through its structures one by one."""

    def __init__(self, single: Single) -> None:
        self._single = single

    def __call__(self, geometries: Geometries) -> Computed:
        """Return the labels of some structures."""
        count = len(geometries.sizes)
        ends = np.cumsum(geometries.sizes)
        energy = np.full(count, np.nan)
        seconds = np.full(count, np.nan, np.float32)
        forces: NDArray[np.float32] | None = None
        failures: dict[int, str] = {}
        for index, geometry in enumerate(geometries.each()):
            began = core_seconds()
            try:
                label = finite(self._single(geometry))
            except Exception as error:  # noqa: BLE001 (other people's programs raise anything: it becomes the reason)
                failures[index] = reason(error)
                continue
            seconds[index] = core_seconds() - began
            energy[index] = label.energy
            if label.forces is not None:
                if forces is None:
                    forces = np.full((int(ends[-1]), 3), np.nan, np.float32)
                forces[ends[index] - len(geometry.numbers) : ends[index]] = label.forces
        return Computed(energy, forces, seconds, failures)


def finite(label: Label) -> Label:
    """Return a label whose numbers are all finite.

    Raises:
        DataError: one is not.
    """
    if not np.isfinite(label.energy):
        raise DataError(f"the energy is not finite ({label.energy})")
    if label.forces is not None and not np.isfinite(label.forces).all():
        raise DataError("the forces are not finite")
    return label


def core_seconds() -> float:
    """Return the processor time of this process, all its threads, and the programs that it ran to their end."""
    times = os.times()
    return time.process_time() + times.children_user + times.children_system


def reason(error: BaseException) -> str:
    """Return an error as one line."""
    text = " ".join(str(error).split())
    if not isinstance(error, DataError):
        text = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]} ..."


def refuse_periodic(geometry: Geometry, method: str) -> None:
    """Refuse a periodic structure.

    Raises:
        DataError: it is one.
    """
    if geometry.pbc.any():
        raise DataError(f"{method} is for molecules here, and this structure is periodic")


def unpaired_electrons(parity: int, spin: int | str, charge: int) -> int:
    """Return the number of unpaired electrons of a structure.

    Args:
        parity: 1 where it has an odd number of electrons.
        spin: of the options: a number, or `lowest` for none or one as the number of electrons asks.
        charge: for the message.

    Raises:
        DataError: that many unpaired electrons do not go with the number of electrons.
    """
    unpaired = parity if spin == "lowest" else int(spin)
    if unpaired % 2 != parity:
        raise DataError(
            f"an {'odd' if parity else 'even'} number of electrons (charge {charge}) and {unpaired} unpaired ones: "
            "state the structure's charge in the data set, or "
            'label with --options \'{"spin": "lowest"}\' (0 or 1 unpaired electrons) or another number'
        )
    return unpaired
