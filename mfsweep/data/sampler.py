"""Which structures make the batches of each optimiser step.

The law: within one pass of a labelled set each of its structures is in exactly one batch, and the batches of a step
are the same whatever the number of ranks: rank r of W takes `step()[r::W]`. Every batch is of one labelled set, drawn
with its probability (alpha); each set has a packer and passes of its own.

With the packer `cost_aware` the batches of a step also take about the same predicted time where one set is drawn from.
Of a mixture this holds set by set: the batches that a step draws of one set follow one another in a group of alike ones
or two, but beside them may stand another set's that take longer, and which sets a step draws from is chance.

Nothing random is carried along: the draws of step k depend on (seed, k) only, the order of pass p of set s on
(seed, s, p) only. So the state is a few counters, and restoring it is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.cost_aware import BatchItems, cost_aware
from mfsweep.data.packing import open_bins, worst_fit
from mfsweep.errors import DataError
from mfsweep.spec.batching import AnyBatching, Batching
from mfsweep.spec.stage import LabelledSet

Indices = NDArray[np.int64]

# numpy pads short seeds with zeros, so [seed, k] and [seed, k, 0] would be one stream: the second number keeps the
# two uses apart.
_DRAWS, _ORDER = 1, 2


class DrawnBatch(NamedTuple):
    """One batch of one labelled set."""

    set: int
    """Index into the sampler's sets."""
    method: str
    """Label method."""
    number: int
    """Which pass over the set it belongs to, from 0."""
    indices: Indices
    """(n,) structure indices."""


class Pass(NamedTuple):
    """One finished pass over a labelled set."""

    set: int
    """Index into the sampler's sets."""
    number: int
    """From 0."""
    expected: int
    """Structures of the set."""
    batches: int
    fill: float
    """Atoms over batches times the cap."""


class SetShare(NamedTuple):
    """What one labelled set got so far, requested and realised."""

    labels: str
    subset: str
    size: int
    """Structures in the set."""
    requested: float
    """Probability of a batch."""
    batches: int
    structures: int
    atoms: int
    passes: float
    """Structures drawn over structures in the set."""


class _Packed:
    """One labelled set: its current pass, packed, and what was drawn of it."""

    def __init__(self, members: Indices, items: BatchItems, batching: AnyBatching, seed: tuple[int, ...]) -> None:
        self._members = members
        self._items = items.at(members)
        self._batching = batching
        self._seed = seed
        self._packed: list[NDArray[np.int64]] | None = None
        self.number = self.cursor = self.batches = self.structures = self.atoms = 0

    def draw(self) -> tuple[Indices, tuple[int, float] | None]:
        """Return the next batch, and (batches, fill) of the pass where it is the last one."""
        packed = self._pass()
        chosen = packed[self.cursor]
        self.cursor += 1
        self.batches += 1
        self.structures += len(chosen)
        self.atoms += int(self._items.atoms[chosen].sum())
        if self.cursor < len(packed):
            return self._members[chosen], None
        room = len(packed) * self._batching.max_atoms
        finished = len(packed), float(self._items.atoms.sum() / room)
        self.number, self.cursor, self._packed = self.number + 1, 0, None
        return self._members[chosen], finished

    def state(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in ("number", "cursor", "batches", "structures", "atoms")}

    def restore(self, state: dict[str, int]) -> None:
        for name in self.state():
            setattr(self, name, state[name])
        self._packed = None

    def _pass(self) -> list[NDArray[np.int64]]:
        if self._packed is None:
            generator = np.random.default_rng([*self._seed, self.number])
            order = generator.permutation(len(self._members))
            packed = self._pack(self._items.at(order), generator)
            self._packed = [order[positions] for positions in packed]
        return self._packed

    def _pack(self, items: BatchItems, generator: np.random.Generator) -> list[NDArray[np.int64]]:
        batching = self._batching
        if isinstance(batching, Batching):
            bins = open_bins(items.atoms, batching.max_atoms, batching.bins, batching.adapt_bins)
            return worst_fit(items.atoms, batching.max_atoms, bins)
        # Those drawn before this pass, so that the groups of a set that is drawn alone are the steps.
        before = self.batches - self.cursor
        return cost_aware(items, batching, -before % batching.batches_per_step, generator)


class Sampler:
    """Draws the batches of each optimiser step from a mixture of labelled sets."""

    def __init__(
        self,
        sets: Sequence[LabelledSet],
        members: Sequence[Indices],
        sizes: NDArray[np.integer],
        batching: AnyBatching,
        seed: int,
        edges: NDArray[np.integer] | None = None,
    ) -> None:
        """Start before the first step.

        Args:
            sets: labelled sets with their probabilities.
            members: for each set its structure indices, (n,), n > 0.
            sizes: (S,) atoms of every structure of the source.
            batching: how structures become batches.
            seed: of the draws and the orders.
            edges: (S,) edges of every structure of the source, where the batching counts them (`counts_edges`).

        Raises:
            DataError: a structure with more atoms or edges than a batch may have.
        """
        assert len(sets) == len(members)
        assert all(len(own) for own in members), "empty sets vanish before a training is made"
        assert edges is not None or not counts_edges(batching)
        items = BatchItems(np.asarray(sizes, np.int64), np.asarray(sizes if edges is None else edges, np.int64))
        for own in members:
            _require_under(own, items.atoms, batching.max_atoms, "atoms")
            if not isinstance(batching, Batching) and batching.max_edges is not None:
                _require_under(own, items.edges, batching.max_edges, "edges")
        self.sets = tuple(sets)
        self._sizes = [len(own) for own in members]
        self._requested = np.array([_probability(labelled) for labelled in sets])
        # Dividing by the last sum makes it exactly 1, so that no draw falls behind it or into a set of probability 0.
        bounds = np.cumsum(self._requested)
        self._bounds = bounds / bounds[-1]
        self._batching = batching
        self._seed = seed
        self._packed = [_Packed(own, items, batching, (seed, _ORDER, number)) for number, own in enumerate(members)]
        self._step = 0
        self._finished: list[Pass] = []

    def step(self) -> list[DrawnBatch]:
        """Return the next optimiser step's batches, `batches_per_step` of them."""
        points = np.random.default_rng([self._seed, _DRAWS, self._step]).random(self._batching.batches_per_step)
        self._step += 1
        drawn: list[DrawnBatch] = []
        for number in np.searchsorted(self._bounds, points, side="right").tolist():
            pass_number = self._packed[number].number
            indices, finished = self._packed[number].draw()
            drawn.append(DrawnBatch(number, self.sets[number].labels, pass_number, indices))
            if finished is not None:
                self._finished.append(Pass(number, pass_number, self._sizes[number], *finished))
        return drawn

    def passes(self) -> list[Pass]:
        """Return the passes finished since this was last asked."""
        finished, self._finished = self._finished, []
        return finished

    def shares(self) -> list[SetShare]:
        """Return what each set got so far."""
        return [
            SetShare(
                labels=labelled.labels,
                subset=labelled.subset,
                size=size,
                requested=float(requested),
                batches=packed.batches,
                structures=packed.structures,
                atoms=packed.atoms,
                passes=packed.structures / size,
            )
            for labelled, size, requested, packed in zip(
                self.sets, self._sizes, self._requested, self._packed, strict=True
            )
        ]

    def state(self) -> dict[str, Any]:
        """Return where the sampler stands, as plain data."""
        return {
            "step": self._step,
            "sets": [packed.state() for packed in self._packed],
            "finished": [list(finished) for finished in self._finished],
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Stand where `state` was taken, by a sampler made with the same arguments."""
        self._step = state["step"]
        for packed, own in zip(self._packed, state["sets"], strict=True):
            packed.restore(own)
        self._finished = [Pass(*finished) for finished in state["finished"]]


def counts_edges(batching: AnyBatching) -> bool:
    """Return whether a way of batching needs to know how many edges each structure has."""
    return not isinstance(batching, Batching)


def _require_under(members: Indices, values: Indices, cap: int, what: str) -> None:
    largest = members[np.argmax(values[members])]
    if values[largest] > cap:
        raise DataError(
            f"structure {largest} has {values[largest]} {what}; a batch holds {cap} at most. Raise batch.max_{what}"
        )


def _probability(labelled: LabelledSet) -> float:
    assert labelled.probability is not None, "a training's sets all have their probability"
    return labelled.probability
