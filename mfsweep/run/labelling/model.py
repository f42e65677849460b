"""A trained stage as a labeller: its selected weights, one of its heads, and that head's energy offsets."""

from __future__ import annotations

import contextlib
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import numpy as np

from mfsweep.data.bare import Bare, unlabelled, without_labels
from mfsweep.data.labellers import Computed, Geometries, Labeller, LabellingMethod
from mfsweep.data.labellers.geometries import core_seconds
from mfsweep.data.source import digest
from mfsweep.data.structures import SYMBOLS, Structures
from mfsweep.errors import DataError, StoreError, nearest
from mfsweep.models import overlay
from mfsweep.models.registry import ARCHITECTURES
from mfsweep.records import Record
from mfsweep.run.weights import sound_weights
from mfsweep.store import StageFolder, StoreFolder

if TYPE_CHECKING:
    from mfsweep.data.view import DataView

MODEL = "model:"
MAX_ATOMS = 1024
"""Atoms that go through the model at a time."""


class StageMethod(NamedTuple):
    """A trained stage, as a method."""

    method: LabellingMethod
    name: str
    """How its labels are called where the user gives no name."""
    file: Path
    """The weights."""
    overlay: str | None
    """Folder of packages that its architecture needs in front of the environment's."""


def find(text: str, head: str | None, store: StoreFolder) -> StageMethod:
    """Return the stage that a user names.

    Args:
        text: `model:` and the first letters of the stage's key.
        head: readout head; may be left out where the stage has only one.
        store: where it lies.

    Raises:
        StoreError: no such stage, or several, or one that is not trained, or whose weights are damaged.
        DataError: no such head, or one whose predictions are no total energies.
        ResourceError: the packages of its architecture are missing.
    """
    folder = store.find(text.removeprefix(MODEL))
    record = folder.record()
    if record is None:
        raise StoreError(f"the stage {folder.key} of {store.root} is not trained to its end yet: run its spec first")
    head = _head(folder, record, head)
    file = sound_weights(folder, record.selected)
    architecture = record.training["model"]["architecture"]
    method = LabellingMethod(
        kind="model",
        text=f"{MODEL}{folder.key}",
        options={"head": head, "file": record.selected.file, "sha256": digest(file)},
        versions=_versions(architecture),
    )
    name = f"model_{folder.key[:8]}" + (f"_{head}" if len(record.heads) > 1 else "")
    place = overlay.require(architecture)
    return StageMethod(method, name, file, None if place is None else str(place))


def _head(folder: StageFolder, record: Record, head: str | None) -> str:
    heads = list(record.heads)
    if head is None and len(heads) == 1:
        head = heads[0]
    if head not in heads:
        got = "none was named" if head is None else f"got {head!r}"
        raise DataError(
            f"the stage {folder.key} has the heads {', '.join(heads)}: expected --head with one of them, {got}."
            f"{nearest(head or '', heads)}"
        )
    derived = record.training["data"].get("derived") or {}
    for share in record.shares:
        if (share.head or share.labels) == head and "minus" in derived.get(share.labels, {}):
            raise DataError(
                f"the head {head!r} of the stage {folder.key} learned the difference {share.labels!r}, which is no "
                "total energy: expected a head that learned the labels of a method"
            )
    return head


def _versions(architecture: str) -> dict[str, str]:
    found = {}
    for package in ("torch", *ARCHITECTURES[architecture].PACKAGES):
        with contextlib.suppress(PackageNotFoundError):  # it lies in the overlay, whose pins say which
            found[package] = version(package)
    pins = overlay.PINS.get(architecture, ())
    return found | dict(pin.split("==") for pin in pins)


def build(weights: bytes, head: str, packages: str | None, threads: int) -> Labeller:
    """Return the labeller of a model.

    Args:
        weights: content of its file.
        head: readout head.
        packages: the overlay.
        threads: that it may use.
    """
    if packages is not None and packages not in sys.path:
        sys.path.insert(0, packages)
    import torch

    from mfsweep.train.checkpoint import restore, weights_of

    torch.set_num_threads(threads)
    read = weights_of(weights, "the weights of the model")
    return _Labeller(restore(read), head, read.offsets[head])


class _Labeller:
    """Predicts many structures at a time."""

    def __init__(self, model: Any, head: str, offsets: dict[int, float]) -> None:
        self._model = model
        self._head = head
        self._offsets = offsets
        self._known = np.zeros(len(SYMBOLS), np.bool_)
        self._known[sorted(set(model.shape.elements) & set(offsets))] = True
        self._warm = False

    def __call__(self, geometries: Geometries) -> Computed:
        count = len(geometries.sizes)
        offsets = np.concatenate([[0], np.cumsum(geometries.sizes)])
        failures = self._refused(geometries, offsets)
        energy = np.full(count, np.nan)
        forces = np.full((int(offsets[-1]), 3), np.nan, np.float32)
        structures = unlabelled(
            geometries.sizes,
            geometries.species,
            geometries.positions,
            charge=geometries.charge,
            cell=geometries.cell,
            pbc=geometries.pbc,
        )
        index = np.setdiff1d(np.arange(count), list(failures))
        if len(index) and not self._warm:
            self._predict(structures, index[:1])  # what is compiled at a first call is no cost of a label
            self._warm = True
        seconds = np.full(count, np.nan, np.float32)
        if len(index):
            began = core_seconds()
            energy[index], forces[structures.atoms_of(index)] = self._predict(structures, index)
            # One pass serves all: each structure is charged by its atoms.
            sizes = geometries.sizes[index]
            seconds[index] = (core_seconds() - began) * sizes / sizes.sum()
        bad = ~(np.isfinite(energy) & np.isfinite(np.add.reduceat(forces.sum(axis=1), offsets[:-1])))
        for place in np.flatnonzero(bad).tolist():
            failures.setdefault(place, "the model's energy or forces are not finite")
            forces[offsets[place] : offsets[place + 1]] = np.nan
        energy[bad] = seconds[bad] = np.nan
        return Computed(energy, forces, seconds, failures)

    def _predict(self, structures: Structures, index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return energies (n,), eV, and forces (a, 3), eV/angstrom, of some structures, finite or not."""
        from mfsweep.train.evaluate import chunks, predict

        energy, forces = list[np.ndarray](), list[np.ndarray]()
        for start, stop in chunks(structures.sizes[index], MAX_ATOMS):
            # By itself, so that the neighbours of each structure are looked for once.
            part = without_labels(structures, index[start:stop])
            (nothing,) = part.labels
            found = predict(
                self._model,
                cast("DataView", Bare(part)),
                np.arange(stop - start),
                nothing,
                head=self._head,
                offsets=self._offsets,
                forces=True,
                max_atoms=MAX_ATOMS,
                finite=False,
            )
            assert found.forces_predicted is not None, "they were asked for"
            energy.append(found.energy_predicted)
            forces.append(found.forces_predicted)
        return np.concatenate(energy), np.concatenate(forces)

    def _refused(self, geometries: Geometries, offsets: np.ndarray) -> dict[int, str]:
        """Return the structures that are none of those models learn: neutral, closed-shell, of known elements."""
        found = {}
        electrons = np.add.reduceat(geometries.species.astype(int), offsets[:-1])
        odd = electrons % 2 == 1
        if geometries.pbc is not None:  # the electrons of a cell say nothing of the shells of a crystal
            odd &= ~geometries.pbc.any(axis=1)
        for place in np.flatnonzero(odd).tolist():
            found[place] = f"an odd number of electrons ({electrons[place]}): models learn closed shells alone"
        if geometries.charge is not None:
            for place in np.flatnonzero(geometries.charge).tolist():
                found[place] = f"its charge is {geometries.charge[place]:+d}, and models know no charge"
        foreign = ~self._known[geometries.species]
        for place in np.flatnonzero(np.logical_or.reduceat(foreign, offsets[:-1])).tolist():
            atoms = slice(offsets[place], offsets[place + 1])
            names = sorted({SYMBOLS[z] for z in geometries.species[atoms][foreign[atoms]].tolist()})
            found[place] = f"the model did not learn {', '.join(names)}"
        return found
