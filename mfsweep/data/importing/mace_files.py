"""MACE's own HDF5, as its `preprocess_data` writes it: a group for each structure.

`config_batch_N/config_M` holds `atomic_numbers` (Na,), `positions` (Na, 3) angstrom, `cell` (3, 3), `pbc` (3,),
`config_type`, and in the group `properties` (of earlier versions: beside them) `energy` () eV and `forces` (Na, 3)
eV/angstrom; what there is none of is the text "None", or has the weight 0 in the group `property_weights`.
Source: mace-torch, mace/data/utils.py, `save_configurations_as_HDF5`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from mfsweep.data.dataset import Chunk
from mfsweep.data.hdf5 import opened, require_sound_texts, require_stored
from mfsweep.data.importing.charges import NONE
from mfsweep.data.importing.glance import glance
from mfsweep.data.importing.keys import ASE_UNITS, Units, require
from mfsweep.data.importing.parts import ATOMS_AT_ONCE, ImportedPart
from mfsweep.data.importing.rules import Rules
from mfsweep.data.structures import SYMBOLS
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys

_BATCH, _CONFIG = "config_batch_", "config_"
_AT_ONCE = 5_000
_KEYS = LabelKeys(energy="energy", forces="forces")
_TYPE, _ISOLATED = "config_type", "IsolatedAtom"
_LAYOUT = "an HDF5 file of MACE"


class MaceSource:
    """A file that MACE's preprocessing wrote."""

    layout = "MACE HDF5"

    @staticmethod
    def recognises(path: Path) -> bool:
        """Return whether the first group is `config_batch_...`."""
        found = glance(path)
        return found is not None and found.top.startswith(_BATCH)

    def __init__(self, path: Path, rules: Rules) -> None:
        """Look at the names of the groups. Its charges are not read.

        Raises:
            DataError: the file is not of this layout, lacks a key, or no label method is named.
        """
        self.name = path.name
        self.units: Units = ASE_UNITS._replace(**rules.file_units)
        self.charges: list[str] = []
        self.warnings: list[str] = []
        self._path = path
        self._isolated = 0
        if rules.charge not in (None, NONE):
            raise DataError(
                f"{path}: --charge {rules.charge}: charges of {self.layout} are not read: say --charge none"
            )
        with opened(path, _LAYOUT) as file:
            self._names = list(self._configs(file))
            first = file[self._names[0]] if self._names else None
            if not isinstance(first, h5py.Group):
                raise DataError(f"{path}: holds no structures: expected {_BATCH}N/{_CONFIG}M groups, got none")
            there = set(_properties(first))
        self.total: int | None = len(self._names)
        if not rules.labels and not rules.geometries:
            raise DataError(
                f"{path}: expected a name for its labels ({self.layout} has none). Say --labels NAME for energy and "
                "forces, or --labels NAME=ENERGY_KEY,FORCES_KEY, or --geometries to take the structures without "
                f"labels. There are: {', '.join(sorted(there)) or 'none'}"
            )
        own = _KEYS if "forces" in there else LabelKeys(energy="energy")
        self.labels: Mapping[str, LabelKeys] = (
            {} if rules.geometries else {name: keys or own for name, keys in rules.labels.items()}
        )
        for name, keys in self.labels.items():
            for key in filter(None, (keys.energy, keys.forces)):
                require(str(path), f"--labels {name}", key, there)
        for name in rules.columns or ():
            require(str(path), "--column", name, {_TYPE})
        self.columns: Sequence[str] = [_TYPE] if rules.columns is None else rules.columns
        require_sound_texts(path)

    def parts(self) -> Iterator[ImportedPart]:
        """Yield all structures but isolated atoms.

        Raises:
            DataError: a dataset of another shape or type, or damage in the file.
        """
        with opened(self._path, _LAYOUT) as file:
            nodes: list[h5py.Group] = []
            atoms = 0
            for name in self._names:
                node = file[name]
                if not isinstance(node, h5py.Group):
                    raise DataError(f"{self._path}: {name!r}: expected a group, got a dataset")
                if self._text(node) == _ISOLATED:
                    self._isolated += 1
                    continue
                nodes.append(node)
                atoms += len(self._read(node, "atomic_numbers", None))
                if len(nodes) >= _AT_ONCE or atoms >= ATOMS_AT_ONCE:
                    yield self._part(nodes)
                    nodes, atoms = [], 0
            if nodes:
                yield self._part(nodes)
        if self._isolated:
            self.warnings.append(f"{self._path}: {self._isolated} isolated atoms ({_TYPE} {_ISOLATED}) are left out")

    def _configs(self, file: h5py.File) -> Iterator[str]:
        for batch in _numbered(self._path, file, _BATCH):
            group = file[batch]
            if not isinstance(group, h5py.Group):
                raise DataError(f"{self._path}: {batch!r}: expected a group of structures, got a dataset")
            for config in _numbered(self._path, group, _CONFIG):
                yield f"{batch}/{config}"

    def _part(self, nodes: list[h5py.Group]) -> ImportedPart:
        species = [self._species(node) for node in nodes]
        sizes = np.array([len(own) for own in species], np.int64)
        places = [f"{self._path}: {str(node.name).lstrip('/')}" for node in nodes]
        positions = [self._read(node, "positions", (len(own), 3)) for node, own in zip(nodes, species, strict=True)]
        energies: dict[str, NDArray[np.float64]] = {}
        forces: dict[str, NDArray[np.float32]] = {}
        for method, keys in self.labels.items():
            energies[method] = np.array([self._label(node, keys.energy, ()) for node in nodes], np.float64)
            energies[method] *= self.units.energy_factor
            if keys.forces is not None:
                each = [self._label(node, keys.forces, (len(own), 3)) for node, own in zip(nodes, species, strict=True)]
                with np.errstate(over="ignore"):  # becomes inf, which is refused later
                    forces[method] = (np.concatenate(each) * self.units.forces_factor).astype(np.float32)
        pbc = np.array([self._optional(node, "pbc", (3,), False) for node in nodes], np.bool_)
        cell = np.array([self._optional(node, "cell", (3, 3), 0.0) for node in nodes], np.float64)
        chunk = Chunk(
            sizes=sizes,
            species=np.concatenate(species),
            positions=np.concatenate(positions).astype(np.float64) * self.units.positions_factor,
            energies=energies,
            forces=forces,
            cell=np.where(pbc[:, :, None], cell * self.units.positions_factor, 0.0),
            pbc=pbc,
            charge=None,
            columns={name: [self._text(node) for node in nodes] for name in self.columns},
        )
        return ImportedPart(chunk, lambda index: places[index])

    def _species(self, node: h5py.Group) -> NDArray[np.uint8]:
        numbers = self._read(node, "atomic_numbers", None)
        if numbers.ndim != 1 or not len(numbers) or numbers.min() < 1 or numbers.max() >= len(SYMBOLS):
            raise DataError(f"{self._path}: {node.name!r}, key 'atomic_numbers': expected numbers of elements (atoms,)")
        return numbers.astype(np.uint8)

    def _label(self, node: h5py.Group, key: str, shape: tuple[int, ...]) -> NDArray[np.float64]:
        """Return a label, NaN where there is none."""
        weights = node.get("property_weights")
        weight = weights.get(key) if isinstance(weights, h5py.Group) else node.get(f"{key}_weight")
        unweighted = isinstance(weight, h5py.Dataset) and weight.shape == () and weight[()] == 0
        found = _properties(node).get(key)
        if found is None or unweighted or _is_none(found):
            return np.full(shape, np.nan)
        values = self._checked(found, shape)
        return values.astype(np.float64)

    def _optional(self, node: h5py.Group, key: str, shape: tuple[int, ...], default: Any) -> NDArray[Any]:
        found = node.get(key)
        if not isinstance(found, h5py.Dataset) or _is_none(found):
            return np.full(shape, default)
        return self._checked(found, shape)

    def _read(self, node: h5py.Group, key: str, shape: tuple[int, ...] | None) -> NDArray[Any]:
        found = node.get(key)
        if not isinstance(found, h5py.Dataset):
            raise DataError(f"{self._path}: {node.name!r} has no dataset {key!r}.{nearest(key, node.keys())}")
        return self._checked(found, found.shape if shape is None else shape)

    def _checked(self, found: h5py.Dataset, shape: tuple[int, ...]) -> NDArray[Any]:
        if shape == () and found.shape == (1,):
            return np.asarray(self._checked(found, (1,)))[0]
        if found.shape != shape or found.dtype.kind not in "fiub":
            raise DataError(
                f"{self._path}: {found.name!r}: expected numbers of shape {shape}, got {found.dtype} of {found.shape}"
            )
        require_stored(self._path, found)
        return np.asarray(found[()])

    def _text(self, node: h5py.Group) -> str:
        found = node.get(_TYPE)
        if not isinstance(found, h5py.Dataset) or found.shape != ():
            return ""
        value = found[()]
        return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _properties(node: h5py.Group) -> dict[str, h5py.Dataset]:
    """Return what may be labels: of earlier versions it stands beside the geometry."""
    inner = node.get("properties")
    where = inner if isinstance(inner, h5py.Group) else node
    geometry = {"atomic_numbers", "positions", "cell", "pbc", "weight", _TYPE, "head"}
    return {str(key): found for key, found in where.items() if isinstance(found, h5py.Dataset) and key not in geometry}


def _is_none(node: h5py.Dataset) -> bool:
    """Return whether a value is the text "None"."""
    return node.shape == () and node.dtype.kind in "SUO" and node[()] in (b"None", "None")


def _numbered(path: Path, node: h5py.Group, prefix: str) -> list[str]:
    """Return the members `PREFIX0`, `PREFIX1`, ... in the order of their numbers."""
    names = [str(name) for name in node]
    wrong = next((name for name in names if not name.removeprefix(prefix).isdecimal()), None)
    if wrong is not None:
        raise DataError(f"{path}: {node.name!r}: expected only {prefix}0, {prefix}1, ..., got {wrong!r}")
    return sorted(names, key=lambda name: int(name.removeprefix(prefix)))
