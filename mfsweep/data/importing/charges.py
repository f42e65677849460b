"""The total charge of a frame that ASE reads, which files keep under one key or another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.importing.frames import AseFrame
from mfsweep.data.importing.parts import OptionNeededError

NONE = "none"
"""In place of a key: no charges are taken."""
STATED = ("charge", "total_charge")
"""Keys of `atoms.info` that are looked for, the first before the second."""
PER_ATOM = "initial_charges"
"""Array of `atoms.arrays` whose sum is taken where none of these is there."""
WHOLE = 0.01
"""Distance from a whole number, at most."""
LARGEST = int(np.iinfo(np.int16).max)


class Charges:
    """Takes the charges of frames as they pass."""

    def __init__(self, key: str | None) -> None:
        """Set where they are.

        Args:
            key: of `atoms.info`, or of `atoms.arrays`, whose values are summed; NONE; or None for STATED, PER_ATOM.
        """
        self.found: set[str] = set()
        """Keys that charges were taken from."""
        self.partial = 0
        """Frames whose atomic charges do not add up to a whole number, and were left."""
        self._key = key

    def __call__(self, frames: Sequence[AseFrame]) -> NDArray[np.int16] | None:
        """Return the charges, (n,), 0 where none is stated; None where no frame has one.

        Raises:
            DataError: a charge that is not whole, or beyond LARGEST.
        """
        if self._key == NONE:
            return None
        charges = [self._charge(frame) for frame in frames]
        if all(charge is None for charge in charges):
            return None
        return np.array([charge or 0 for charge in charges], np.int16)

    def warnings(self, place: str) -> list[str]:
        """Return what should be known of the charges of a file."""
        if not self.partial:
            return []
        text = (
            f"{place}: {self.partial:,} structures have {PER_ATOM} that do not add up to a whole number, perhaps "
            "partial charges of a population analysis: they count as neutral. Say --charge KEY for the key of "
            "the total charge, or --charge none if all are neutral"
        )
        return [text]

    def _charge(self, frame: AseFrame) -> int | None:
        """Return the charge of a frame, None where it has none."""
        for key in STATED if self._key is None else (self._key,):
            if frame.atoms.info.get(key) is not None:
                return self._whole(frame, key, frame.atoms.info[key])
        key = self._key or PER_ATOM
        if key not in frame.atoms.arrays:
            return None
        summed = np.asarray(frame.atoms.arrays[key]).sum()
        if self._key is None and not _is_whole(summed):
            self.partial += 1
            return None
        return self._whole(frame, key, summed)

    def _whole(self, frame: AseFrame, key: str, value: object) -> int:
        charge = np.asarray(value)
        if charge.shape != () or charge.dtype.kind not in "fiu" or not _is_whole(charge) or abs(charge) > LARGEST:
            raise OptionNeededError(
                f"{frame.place}: {key!r}: expected a total charge that is a whole number of at most {LARGEST:,}, got "
                f"{value}. Say --charge KEY for another key, or --charge none to take no charges",
                charge=NONE,
            )
        self.found.add(key)
        return int(np.round(charge))


def _is_whole(value: NDArray[np.generic]) -> bool:
    number = float(value)  # pyright: ignore[reportArgumentType] (a scalar)
    return bool(np.isfinite(number)) and abs(number - round(number)) < WHOLE
