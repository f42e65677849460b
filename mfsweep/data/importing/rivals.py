"""Two values of one thing in a frame that ASE reads: which is taken, and by how much the other differs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from mfsweep.data.importing.frames import AseFrame, results
from mfsweep.quantities import count
from mfsweep.spec.data import LabelKeys

DIFFERENT = 1e-6
"""eV or eV/angstrom, from which on two values of one thing are told."""
_FREE = (
    "'energy' is taken, and 'free_energy' differs. VASP's forces belong to the free energy: to take that, name the key "
    "free_energy in place of energy"
)


class Rivals:
    """Notes where frames say two different things under names that mean one."""

    def __init__(self) -> None:
        self._found: dict[str, tuple[int, float]] = {}

    def look_at(self, frames: Sequence[AseFrame], labels: Iterable[LabelKeys]) -> None:
        """Note what differs in some frames, by the keys that are taken of them."""
        keys = {key for own in labels for key in (own.energy, own.forces) if key is not None}
        for frame in frames:
            for what, one, other in _pairs(frame, keys):
                if one is None or other is None or np.shape(one) != np.shape(other):
                    continue
                one, other = np.asarray(one), np.asarray(other)  # noqa: PLW2901 (the same, as arrays)
                if one.dtype.kind in "fiu" and other.dtype.kind in "fiu":
                    apart = float(np.max(np.abs(one - other), initial=0.0))
                    if apart > DIFFERENT:
                        number, most = self._found.get(what, (0, 0.0))
                        self._found[what] = number + 1, max(most, apart)

    def warnings(self) -> list[str]:
        """Return a sentence for each thing that differed."""
        return [
            f"{what} ({count(number, 'frame')}, by up to {most:.4g})" for what, (number, most) in self._found.items()
        ]


def _pairs(frame: AseFrame, keys: set[str]) -> Iterator[tuple[str, Any, Any]]:
    """Yield what is to be said of two values, the one that is taken, and the other."""
    calculated, info = results(frame.atoms), {**frame.atoms.info, **frame.atoms.arrays}
    for key in keys:
        what = f"the {key!r} of the calculator is taken; the file has another one beside it"
        yield what, calculated.get(key), info.get(key)
    if "energy" in keys:
        yield _FREE, frame.scalars().get("energy"), frame.scalars().get("free_energy")
