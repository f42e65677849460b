"""From a numpy `Batch` to tensors on the device: the one place where energies leave float64.

Legend: S structures, A atoms, E edges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mfsweep.data.batch import Batch
from mfsweep.models.base import AtomGraph


class Labelled(NamedTuple):
    """A batch with its reference values, on the device and in the model's precision."""

    graph: AtomGraph
    atoms: Tensor
    """(S,) atoms of each structure, floating point."""
    energy: Tensor
    """(S,) interaction energies, eV: the method's offsets were subtracted in float64."""
    forces: Tensor | None
    """(A, 3) eV/angstrom."""

    def tensors(self) -> dict[str, Tensor]:
        """Return what there is of it by name, always in the same order; `of` makes it whole again."""
        found = {**self.graph._asdict(), "atoms": self.atoms, "energy": self.energy, "forces": self.forces}
        return {name: own for name, own in found.items() if isinstance(own, Tensor)}

    @classmethod
    def of(cls, tensors: Mapping[str, Tensor]) -> Labelled:
        """Return the batch of some tensors."""
        own = dict(tensors)
        atoms, energy, forces = own.pop("atoms"), own.pop("energy"), own.pop("forces", None)
        return cls(AtomGraph(**own, size=energy.shape[0]), atoms, energy, forces)


class Sender:
    """Turns batches into tensors for one model: its elements, precision and device."""

    def __init__(self, elements: Sequence[int], dtype: torch.dtype, device: torch.device) -> None:
        self._index = np.zeros(max(elements) + 1, dtype=np.int64)
        self._index[list(elements)] = np.arange(len(elements))
        self._dtype = dtype
        self._device = device

    def graph(self, batch: Batch) -> AtomGraph:
        """Return the batch without its labels."""
        return AtomGraph(
            species=self._send(self._index[batch.species]),
            positions=self._send(batch.positions, self._dtype),
            structure=self._send(batch.structure),
            edges=self._send(batch.edge_index),
            size=len(batch.atoms),
            shifts=None if batch.shifts is None else self._send(batch.shifts, self._dtype),
        )

    def labelled(self, batch: Batch) -> Labelled:
        """Return the batch with its labels."""
        return Labelled(
            graph=self.graph(batch),
            atoms=self._send(batch.atoms, self._dtype),
            energy=self._send(batch.energy, self._dtype),
            forces=None if batch.forces is None else self._send(batch.forces, self._dtype),
        )

    def _send(self, array: np.ndarray, dtype: torch.dtype | None = None) -> Tensor:
        tensor = torch.from_numpy(array).to(dtype)
        if self._device.type != "cuda":
            return tensor
        # Page-locked memory lets the copy overlap with what the GPU is still computing.
        return tensor.pin_memory().to(self._device, non_blocking=True)
