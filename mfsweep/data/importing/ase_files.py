"""Structures of the frames that ASE reads: which values are labels, and what of each comes along."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.csr import Chunk
from mfsweep.data.importing.charges import NONE, Charges
from mfsweep.data.importing.frames import Frame, kind, read_frames, results
from mfsweep.data.importing.keys import ASE_UNITS, Units, storable
from mfsweep.data.importing.parts import ATOMS_AT_ONCE, Part
from mfsweep.data.structures import SYMBOLS
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys

FRAMES_AT_ONCE = 5_000
CALCULATED = LabelKeys(energy="energy", forces="forces")
"""What ASE calls the results of a calculator."""


class AseSource:
    """A file that ASE reads."""

    def __init__(
        self,
        path: Path,
        labels: Mapping[str, LabelKeys | None],
        columns: Sequence[str] | None,
        units: Mapping[str, str],
        *,
        geometries: bool = False,
        charge: str | None = None,
    ) -> None:
        """Read the first frames of the file.

        Args:
            path: the file.
            labels: label method -> keys in `atoms.info` and `atoms.arrays`, None for a calculator's results.
            columns: keys of `atoms.info` that come along as texts. Default: those with texts in the first frames, but
                for names that no data store can hold.
            units: quantity -> unit, where it is not ASE's.
            geometries: whether to leave all labels.
            charge: key of the total charge, or `none`. Default: as of charges.py.

        Raises:
            DataError: ASE does not read the file, or no label method is named.
        """
        self.name = path.name
        self.units: Units = ASE_UNITS._replace(**units)
        self._path = path
        self.layout = f"ASE {kind(path)}"
        self.total, frames = read_frames(path)
        self._batches = _batches(frames)
        self._first = next(self._batches, [])
        if not self._first:
            raise DataError(f"{path}: holds no structures")
        if not labels and not geometries:
            raise DataError(
                f"{path}: expected a name for its labels. Say --labels NAME for the results of a calculator, "
                "or --labels NAME=ENERGY_KEY,FORCES_KEY, or --geometries to take the structures without labels. "
                f"{self._there()}"
            )
        self.labels: Mapping[str, LabelKeys] = (
            {} if geometries else {name: keys or self._calculated() for name, keys in labels.items()}
        )
        self._without_forces = [name for name in self.labels if labels[name] is None and not self.labels[name].forces]
        self._left: list[str] = []
        if columns is None:
            texts = {str(key) for f in self._first for key, value in f.atoms.info.items() if isinstance(value, str)}
            texts -= {keys.energy for keys in self.labels.values()}
            columns = sorted(filter(storable, texts))
            self._left = sorted(texts - set(columns))
        self.columns: Sequence[str] = columns
        self._charge_key = charge
        self._charges = Charges(charge)
        self._found: set[str] = set()

    @property
    def charges(self) -> list[str]:
        """Return the keys that charges were taken from."""
        return sorted(self._charges.found)

    @property
    def warnings(self) -> list[str]:
        """Return what should be known of the structures that have passed."""
        left = [f"{self._path}: the texts {name!r} are left: no column can have this name" for name in self._left]
        return left + self._charges.warnings(str(self._path))

    def parts(self) -> Iterator[Part]:
        """Yield all structures.

        Raises:
            DataError: a value of another shape or type, a key that no frame has, or damage in the file.
        """
        for frames in chain([self._first], self._batches):
            yield self._part(frames)
        wanted = [(f"--labels {name}", keys.energy) for name, keys in self.labels.items()]
        wanted += [(f"--labels {name}", keys.forces) for name, keys in self.labels.items() if keys.forces is not None]
        wanted += [("--column", name) for name in self.columns]
        if self._charge_key not in (None, NONE):
            wanted.append(("--charge", str(self._charge_key)))
        for option, key in wanted:
            if key not in self._found | self._charges.found:
                near = nearest(key, map(str, self._first[0].arrays()))
                raise DataError(f"{self._path}: {option}: no frame has {key!r}.{near} {self._there()}")

    def _calculated(self) -> LabelKeys:
        """Return the keys of a calculator's results, with forces where one of the first frames has them."""
        forces = any("forces" in results(frame.atoms) for frame in self._first)
        return CALCULATED if forces else LabelKeys(energy=CALCULATED.energy)

    def _there(self) -> str:
        first = self._first[0]
        calculated = ", ".join(sorted(results(first.atoms)))
        info = ", ".join(sorted(map(str, first.atoms.info)))
        arrays = ", ".join(sorted(set(first.atoms.arrays) - {"numbers", "positions"}))
        return (
            f"The first frame has the calculator's results {calculated or '(none)'}; in info {info or '(nothing)'}; "
            f"in arrays {arrays or '(nothing)'}"
        )

    def _part(self, frames: Sequence[Frame]) -> Part:
        self._refuse_late_forces(frames)
        pbc = np.array([frame.atoms.pbc for frame in frames], np.bool_)
        cell = np.array([frame.atoms.cell.array for frame in frames], np.float64) * self.units.positions_factor
        positions = np.concatenate([frame.atoms.positions for frame in frames]).astype(np.float64)
        chunk = Chunk(
            sizes=np.array([len(frame.atoms) for frame in frames], np.int64),
            species=np.concatenate([_species(frame) for frame in frames]),
            positions=positions * self.units.positions_factor,
            energies={name: self._energies(frames, keys.energy) for name, keys in self.labels.items()},
            forces={
                name: self._forces(frames, keys.forces) for name, keys in self.labels.items() if keys.forces is not None
            },
            cell=np.where(pbc[:, :, None], cell, 0.0),
            pbc=pbc,
            charge=self._charges(frames),
            columns={name: [self._text(frame, name) for frame in frames] for name in self.columns},
        )
        return Part(chunk, lambda index: frames[index].place)

    def _refuse_late_forces(self, frames: Sequence[Frame]) -> None:
        """Refuse forces that come up after the first frames had none: they would be lost without a word."""
        late = next((frame for frame in frames if "forces" in results(frame.atoms)), None)
        if self._without_forces and late is not None:
            raise DataError(
                f"{late.place}: has forces of the calculator, which none of the first {len(self._first)} frames has. "
                f"Say --labels {self._without_forces[0]}=energy,forces"
            )

    def _energies(self, frames: Sequence[Frame], key: str) -> NDArray[np.float64]:
        found = [self._value(frame, frame.scalars(), key, ()) for frame in frames]
        energies = np.array([np.nan if value is None else value for value in found], np.float64)
        return energies * self.units.energy_factor

    def _forces(self, frames: Sequence[Frame], key: str) -> NDArray[np.float32]:
        shapes = [(len(frame.atoms), 3) for frame in frames]
        found = [self._value(frame, frame.arrays(), key, shape) for frame, shape in zip(frames, shapes, strict=True)]
        forces = [np.full(shape, np.nan) if own is None else own for own, shape in zip(found, shapes, strict=True)]
        with np.errstate(over="ignore", invalid="ignore"):  # becomes inf, which is refused later
            return (np.concatenate(forces) * self.units.forces_factor).astype(np.float32)

    def _value(
        self, frame: Frame, there: Mapping[str, Any], key: str, shape: tuple[int, ...]
    ) -> NDArray[np.float64] | None:
        value = there.get(key)
        if value is None:
            return None
        self._found.add(key)
        array = np.asarray(value)
        if array.shape != shape or array.dtype.kind not in "fiu":
            raise DataError(
                f"{frame.place}: {key!r}: expected numbers of shape {shape}, got {array.dtype} of shape {array.shape}"
            )
        return array.astype(np.float64)

    def _text(self, frame: Frame, key: str) -> str:
        value = frame.atoms.info.get(key)
        if value is None:
            return ""
        self._found.add(key)
        return str(value)


def _species(frame: Frame) -> NDArray[np.uint8]:
    numbers = frame.atoms.numbers
    if not len(numbers):
        raise DataError(f"{frame.place}: expected atoms, got none")
    if numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
        raise DataError(f"{frame.place}: atomic numbers hold {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.uint8)


def _batches(frames: Iterator[Frame]) -> Iterator[list[Frame]]:
    """Yield frames, some thousands at a time."""
    batch: list[Frame] = []
    atoms = 0
    for frame in frames:
        batch.append(frame)
        atoms += len(frame.atoms)
        if len(batch) >= FRAMES_AT_ONCE or atoms >= ATOMS_AT_ONCE:
            yield batch
            batch, atoms = [], 0
    if batch:
        yield batch
