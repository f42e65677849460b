"""Structures of the frames that ASE reads: which values are labels, and what of each comes along."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.importing.charges import NONE, Charges
from mfsweep.data.importing.frames import AseFrame, database_units, kind, read_frames, results
from mfsweep.data.importing.keys import storable, units_of
from mfsweep.data.importing.parts import ATOMS_AT_ONCE, ImportedPart, OptionNeededError
from mfsweep.data.importing.rivals import Rivals
from mfsweep.data.importing.rules import Rules
from mfsweep.data.importing.usual import left_out, usual_keys
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.units import ASE_UNITS, Units
from mfsweep.errors import DataError, nearest
from mfsweep.quantities import count
from mfsweep.spec.data import LabelKeys

FRAMES_AT_ONCE = 5_000
HEAD = "head"
"""Key under which MACE's files name the label method of a frame."""
NOTHING = ("", "none", "nan", "null", "na", "n/a", "-")
"""Texts in place of a label that is not there, in lower case."""


class AseSource:
    """A file that ASE reads."""

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return True: ASE finds out by itself, and says which files it does not read."""
        del path
        return True

    def __init__(self, path: Path, rules: Rules) -> None:
        """Read the first frames of the file.

        Args:
            path: the file.
            rules: labels are keys in `atoms.info` and `atoms.arrays`, None for a calculator's results or what has a
                usual name (usual.py); columns are keys of `atoms.info`, by default those with texts in the first
                frames, but for names that no data set can hold.

        Raises:
            DataError: ASE does not read the file, or no label method is named.
        """
        self.name = path.name
        self.units: Units = ASE_UNITS._replace(**rules.file_units)
        self._path = path
        self.layout = f"ASE {kind(path)}"
        self.total, frames = read_frames(path)
        self._batches = _batches(frames)
        self._first = next(self._batches, [])
        if not self._first:
            raise DataError(f"{path}: holds no structures")
        if not rules.labels and not rules.geometries and rules.method_column is None:
            raise DataError(
                f"{path}: expected a name for its labels. Say --labels NAME for the results of a calculator, "
                "or --labels NAME=ENERGY_KEY,FORCES_KEY, or --geometries to take the structures without labels. "
                f"{self._there()}"
            )
        named = rules.labels if rules.method_column is None else self._by_column(rules.method_column, rules.labels)
        self._method_column = rules.method_column
        self.labels: Mapping[str, LabelKeys] = (
            {}
            if rules.geometries
            else {name: keys or usual_keys(str(path), name, self._first) for name, keys in named.items()}
        )
        self._heads: set[str] | None = (
            None if rules.method_column or not self.labels or HEAD in (rules.columns or ()) else set()
        )
        self._require_one_method(self._first)
        self._take_units(rules.file_units)
        self._without_forces = [name for name in self.labels if named[name] is None and not self.labels[name].forces]
        self._unlabelled: Counter[str] = Counter()
        self._rivals = Rivals()
        self._seen_labels = [] if rules.geometries else left_out(self._first, self.labels)
        self._left: list[str] = []
        columns: Sequence[str] | None = rules.columns
        if columns is None:
            texts = {str(key) for f in self._first for key, value in f.atoms.info.items() if isinstance(value, str)}
            texts -= {key for keys in self.labels.values() for key in (keys.energy, keys.forces)} | {
                rules.method_column
            }
            columns = sorted(filter(storable, texts))
            self._left = sorted(texts - set(columns))
        self.columns: Sequence[str] = columns
        self._charge_key = rules.charge
        self._charges = Charges(rules.charge)
        self._found: set[str] = set()

    @property
    def charges(self) -> list[str]:
        """Return the keys that charges were taken from."""
        return sorted(self._charges.found)

    @property
    def warnings(self) -> list[str]:
        """Return what should be known of the structures that have passed."""
        told = [f"the texts {name!r} are left: no column can have this name" for name in self._left]
        told += [
            f"{count(number, 'frame')} with {what} in place of a number: no label there"
            for what, number in self._unlabelled.items()
        ]
        told += self._rivals.warnings()
        if self._seen_labels:
            told.append(
                f"left out, though they look like labels: {', '.join(self._seen_labels)}. "
                "A label method with these keys would take them"
            )
        return [f"{self._path}: {text}" for text in told] + self._charges.warnings(str(self._path))

    def parts(self) -> Iterator[ImportedPart]:
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

    @property
    def has_energies(self) -> bool:
        """Return whether any of the first frames has an energy that is taken."""
        there = {str(name) for frame in self._first for name in frame.scalars()}
        return any(keys.energy in there for keys in self.labels.values())

    def require_there(self, method: str) -> None:
        """Refuse a method of which none of the first frames has an energy.

        Raises:
            DataError: with what there is.
        """
        key = self.labels[method].energy
        there = {str(name) for frame in self._first for name in frame.scalars()}
        if key not in there:
            raise DataError(
                f"{self._path}: --labels {method}: no frame has {key!r}.{nearest(key, there)} {self._there()}"
            )

    def _by_column(self, column: str, labels: Mapping[str, LabelKeys | None]) -> dict[str, LabelKeys | None]:
        """Return the label methods that a column names, each with its keys.

        Raises:
            DataError: no frame has the column, or a name is none of its values though there are several.
        """
        values = {str(frame.atoms.info[column]) for frame in read_frames(self._path)[1] if column in frame.atoms.info}
        if not values:
            near = nearest(column, map(str, self._first[0].atoms.info))
            raise DataError(f"{self._path}: --method-column: no frame has {column!r}.{near} {self._there()}")
        if len(labels) == 1 and not set(labels) & values:
            return dict.fromkeys(sorted(values), next(iter(labels.values())))
        if others := sorted(set(labels) - values):
            raise DataError(
                f"{self._path}: --labels {others[0]}: expected one of the values of {column!r}, "
                f"{', '.join(sorted(values))}, got {others[0]!r}.{nearest(others[0], values)}"
            )
        return {value: labels.get(value) for value in sorted(values)}

    def _require_one_method(self, frames: Sequence[AseFrame]) -> None:
        """Refuse frames whose `head` says that they are of several methods, unless that is asked for as a text.

        Raises:
            DataError: with the option that takes them apart.
        """
        if self._heads is None:
            return
        self._heads |= {str(frame.atoms.info[HEAD]) for frame in frames if HEAD in frame.atoms.info}
        if len(self._heads) > 1:
            values = ", ".join(sorted(self._heads))
            raise OptionNeededError(
                f"{self._path}: its frames are of several label methods: {HEAD!r} is {values}. Say --column {HEAD} if "
                f"it is a text like others, or --method-column {HEAD} to take each by its own name",
                method_column=HEAD,
            )

    def _take_units(self, stated: Mapping[str, str]) -> None:
        """Take the units that a database states, where the user states none: of energy and forces for both or neither.

        Raises:
            DataError: they differ between label methods.
        """
        known = database_units(self._path) if self.layout in ("ASE db", "ASE json") else {}
        found: dict[str, set[str]] = {"positions": {known["positions"]} if "positions" in known else set()}
        found["energy"] = {known[keys.energy] for keys in self.labels.values() if keys.energy in known}
        found["forces"] = {known[keys.forces] for keys in self.labels.values() if keys.forces in known}
        for quantity, units in found.items():
            if len(units) > 1:
                raise DataError(
                    f"{self._path}: its metadata give {quantity} in {' and '.join(sorted(units))}: import each label "
                    "method by itself, with --labels and --unit"
                )
            own = {"positions"} if quantity == "positions" else {"energy", "forces"}
            if units and not own & set(stated):
                self.units = self.units._replace(**units_of([f"{quantity}={next(iter(units))}"]))

    def _there(self) -> str:
        first = self._first[0]
        calculated = ", ".join(sorted(results(first.atoms)))
        info = ", ".join(sorted(map(str, first.atoms.info)))
        arrays = ", ".join(sorted(set(first.atoms.arrays) - {"numbers", "positions"}))
        return (
            f"The first frame has the calculator's results {calculated or '(none)'}; in info {info or '(nothing)'}; "
            f"in arrays {arrays or '(nothing)'}"
        )

    def _part(self, frames: Sequence[AseFrame]) -> ImportedPart:
        self._require_one_method(frames)
        self._refuse_late_forces(frames)
        self._rivals.look_at(frames, self.labels.values())
        pbc = np.array([frame.atoms.pbc for frame in frames], np.bool_)
        cell = np.array([frame.atoms.cell.array for frame in frames], np.float64) * self.units.positions_factor
        positions = np.concatenate([frame.atoms.positions for frame in frames]).astype(np.float64)
        chunk = Chunk(
            sizes=np.array([len(frame.atoms) for frame in frames], np.int64),
            species=np.concatenate([_species(frame) for frame in frames]),
            positions=positions * self.units.positions_factor,
            energies={name: self._energies(frames, name, keys.energy) for name, keys in self.labels.items()},
            forces={
                name: self._forces(frames, name, keys.forces)
                for name, keys in self.labels.items()
                if keys.forces is not None
            },
            cell=np.where(pbc[:, :, None], cell, 0.0),
            pbc=pbc,
            charge=self._charges(frames),
            columns={name: [self._text(frame, name) for frame in frames] for name in self.columns},
        )
        return ImportedPart(chunk, lambda index: frames[index].place)

    def _refuse_late_forces(self, frames: Sequence[AseFrame]) -> None:
        """Refuse forces that come up after the first frames had none: they would be lost without a word."""
        late = next((frame for frame in frames if "forces" in results(frame.atoms)), None)
        if self._without_forces and late is not None:
            raise DataError(
                f"{late.place}: has forces of the calculator, which none of the first {len(self._first)} frames has. "
                f"Say --labels {self._without_forces[0]}=energy,forces"
            )

    def _of_method(self, frame: AseFrame, name: str) -> bool:
        return self._method_column is None or str(frame.atoms.info.get(self._method_column)) == name

    def _energies(self, frames: Sequence[AseFrame], name: str, key: str) -> NDArray[np.float64]:
        found = [
            self._value(frame, frame.scalars(), key, ()) if self._of_method(frame, name) else None for frame in frames
        ]
        energies = np.array([np.nan if value is None else value for value in found], np.float64)
        return energies * self.units.energy_factor

    def _forces(self, frames: Sequence[AseFrame], name: str, key: str) -> NDArray[np.float32]:
        shapes = [(len(frame.atoms), 3) for frame in frames]
        found = [
            self._value(frame, frame.arrays(), key, shape) if self._of_method(frame, name) else None
            for frame, shape in zip(frames, shapes, strict=True)
        ]
        forces = [np.full(shape, np.nan) if own is None else own for own, shape in zip(found, shapes, strict=True)]
        with np.errstate(over="ignore", invalid="ignore"):  # becomes inf, which is refused later
            return (np.concatenate(forces) * self.units.forces_factor).astype(np.float32)

    def _value(
        self, frame: AseFrame, there: Mapping[str, Any], key: str, shape: tuple[int, ...]
    ) -> NDArray[np.float64] | None:
        value = there.get(key)
        if value is None:
            return None
        self._found.add(key)
        if isinstance(value, str) and value.strip().lower() in NOTHING:
            self._unlabelled[f"{key!r} {value.strip()!r}"] += 1
            return None
        array = np.asarray(value)
        if shape == () and array.shape == (1,):  # as SchNetPack keeps numbers
            array = array[0]
        if array.shape != shape or array.dtype.kind not in "fiu":
            got = f"the text {value!r}" if isinstance(value, str) else f"{array.dtype} of shape {array.shape}"
            raise DataError(f"{frame.place}: {key!r}: expected numbers of shape {shape}, got {got}")
        return array.astype(np.float64)

    def _text(self, frame: AseFrame, key: str) -> str:
        value = frame.atoms.info.get(key)
        if value is None:
            return ""
        self._found.add(key)
        return str(value)


def _species(frame: AseFrame) -> NDArray[np.uint8]:
    numbers = frame.atoms.numbers
    if not len(numbers):
        raise DataError(f"{frame.place}: expected atoms, got none")
    if numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
        raise DataError(f"{frame.place}: atomic numbers hold {numbers.min()} to {numbers.max()}")
    return numbers.astype(np.uint8)


def _batches(frames: Iterator[AseFrame]) -> Iterator[list[AseFrame]]:
    """Yield frames, some thousands at a time."""
    batch: list[AseFrame] = []
    atoms = 0
    for frame in frames:
        batch.append(frame)
        atoms += len(frame.atoms)
        if len(batch) >= FRAMES_AT_ONCE or atoms >= ATOMS_AT_ONCE:
            yield batch
            batch, atoms = [], 0
    if batch:
        yield batch
