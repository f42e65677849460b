"""Some structures of a file on their way into a data set.

Shapes: `n` structures and `a` atoms of one part.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging import Mend, flaws
from mfsweep.data.judging.chunks import carries, take
from mfsweep.data.judging.zeros import all_zero
from mfsweep.data.units import Units
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

ATOMS_AT_ONCE = 200_000
"""Atoms that pass through memory at a time: some tens of MB."""
EXAMPLES = 3
"""Structures named in a message or summary."""


class ImportedPart(NamedTuple):
    """Structures in eV and angstrom, in file order."""

    chunk: Chunk
    place: Callable[[int], str]
    """Gives the place of a structure in the file: `group 'CH4', conformer 3`."""

    def only(self, keep: NDArray[np.bool_]) -> ImportedPart:
        """Return some of the structures: (n,)."""
        if keep.all():
            return self
        index, place = np.flatnonzero(keep), self.place
        return ImportedPart(take(self.chunk, keep), lambda own: place(int(index[own])))


class ImportSource(Protocol):
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

    def parts(self) -> Iterator[ImportedPart]:
        """Yield all structures, in parts of about ATOMS_AT_ONCE atoms; once."""
        ...


class OptionNeededError(DataError):
    """A file that comes in only with an option; the text says which."""

    def __init__(self, text: str, **options: str) -> None:
        super().__init__(text)
        self.options = options
        """Field of `Rules` -> its value."""


class Filter:
    """Lets structures through that are sound and carry the labels asked for, and counts the others."""

    def __init__(self, needs: Sequence[str], *, trusted: bool = False) -> None:
        """Set the rules.

        Args:
            needs: label methods that a structure must carry, with forces where the method has forces.
            trusted: whether forces are taken that look as if they had been filled in.
        """
        self.dropped: Counter[str] = Counter()
        """What is wrong -> structures left out for it."""
        self.examples: list[str] = []
        """The first of these, by place."""
        self.lacking: Counter[str] = Counter(dict.fromkeys(needs, 0))
        """Method of `needs` -> structures left out that do not carry it."""
        self.filled: Counter[str] = Counter()
        """Method -> structures left out for its forces alone."""
        self.labelled: Counter[str] = Counter()
        """Method with forces -> structures with them that came by; of two atoms or more."""
        self.zero: Counter[str] = Counter()
        """Method -> those of them whose forces are all exactly zero."""
        self._trusted = trusted

    def __call__(self, part: ImportedPart) -> Chunk:
        """Return the structures of a part that may go in."""
        chunk = part.chunk
        keep = np.ones(len(chunk.sizes), np.bool_)
        for method in chunk.forces:
            self.labelled[method] += int((carries(chunk, method) & (chunk.sizes > 1)).sum())
            self.zero[method] += int(all_zero(chunk, method).sum())
        for flaw in flaws(chunk):
            own = np.flatnonzero(flaw.bad & keep)
            if not len(own) or (self._trusted and flaw.method):
                continue
            places = [f"{part.place(int(index))}: {flaw.what}" for index in own[:EXAMPLES]]
            self.dropped[flaw.what] += len(own)
            self.examples += places[: EXAMPLES - len(self.examples)]
            if flaw.method:
                self.filled[flaw.method] += len(own)
            keep &= ~flaw.bad
        for method in self.lacking:
            lacks = keep & ~carries(chunk, method)
            self.lacking[method] += int(lacks.sum())
            keep &= ~lacks
        return chunk if keep.all() else take(chunk, keep)

    @property
    def mends(self) -> dict[str, Mend]:
        """Return how the structures left out would come in, or the others without them."""
        whole = {method for method in self.filled if self.zero[method] >= self.labelled[method]}
        found = {method: Mend(energies_alone=True) for method in whole}
        if sum(self.dropped.values()) > sum(self.filled[method] for method in whole):
            found[""] = Mend(drop_bad=True)
        return found


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
