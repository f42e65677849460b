"""Packing by what a batch costs: full batches, and steps whose batches take about the same time.

Two pure steps. Best Fit with every bin of the pass open fills batches to a fraction of a per cent. Then the batches
are sorted by predicted time and cut into groups of `batches_per_step`, so that the ranks, which share a group, wait for
one another as little as can be. Shapes: `n` items, `b` batches.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.spec.batching import CostAwareBatching, StepTime

Positions = NDArray[np.int64]


class BatchItems(NamedTuple):
    """What a batch's caps and its predicted time count."""

    atoms: NDArray[np.int64]
    """(n,)."""
    edges: NDArray[np.int64]
    """(n,) neighbours of all atoms of an item, both directions counted."""

    def at(self, positions: Positions) -> BatchItems:
        """Return some of them."""
        return BatchItems(self.atoms[positions], self.edges[positions])


def cost_aware(
    items: BatchItems, batching: CostAwareBatching, first: int, generator: np.random.Generator
) -> list[Positions]:
    """Pack the items of one pass into batches and put these in the order in which they are drawn.

    Args:
        items: in the order in which they arrive.
        batching: caps, coefficients of the predicted time, batches in a step.
        first: batches that complete the step in which the pass begins, 0 where it begins with a step of its own.
        generator: of the order of the groups.

    Returns:
        Positions in `items`, one array per batch; every position is in exactly one.

    Raises:
        ValueError: an item above a cap.
    """
    owner = best_fit(items, batching.max_atoms, batching.max_edges)
    by_owner = np.argsort(owner, kind="stable")
    sizes = np.bincount(owner)
    bounds = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    times = predicted(batching.step_time, _summed(items.atoms, owner), _summed(items.edges, owner))
    batches = [by_owner[start:end] for start, end in pairwise(bounds)]
    return [batches[place] for place in alike(times, batching.batches_per_step, first, generator).tolist()]


def predicted(step_time: StepTime, atoms: NDArray[np.int64], edges: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the time that batches of so many atoms and edges are predicted to take, (b,), in any unit."""
    return step_time.constant + step_time.atom * atoms + step_time.edge * edges


def best_fit(items: BatchItems, max_atoms: int, max_edges: int | None = None) -> NDArray[np.int64]:
    """Give each item to the fullest bin that still has room for it, with all bins open.

    With a cap on edges too, a bin's room and an item's need are each counted in atoms: the room is the smaller of the
    two that are left, the need the larger of the two asked for, an edge being worth max_atoms / max_edges. What is
    filled in is the true atoms and edges, so a bin takes edge-rich and edge-poor items until either cap is near.

    Args:
        items: in the order in which they arrive.
        max_atoms: of a bin.
        max_edges: of a bin; None: no cap.

    Returns:
        (n,) number of the bin of each item, from 0 in the order of opening.

    Raises:
        ValueError: an item above a cap.
    """
    needs = _needs(items, max_atoms, max_edges)
    atoms, edges = items.atoms.tolist(), items.edges.tolist()
    # Bit r of `mask` says that some bin has a room of r: shifted by an item's need, its lowest bit is the best fit.
    bits = [1 << room for room in range(max_atoms + 1)]
    by_room: list[list[int]] = [[] for _ in bits]
    mask = 0
    atoms_left: list[int] = []
    edges_left: list[int] = []
    owner: list[int] = []
    for position, need in enumerate(needs):
        fitting = mask >> need
        if fitting:
            room = need + (fitting & -fitting).bit_length() - 1
            same = by_room[room]
            chosen = same.pop()
            if not same:
                mask ^= bits[room]
            room = atoms_left[chosen] - atoms[position]
        else:
            chosen = len(atoms_left)
            room = max_atoms - atoms[position]
            atoms_left.append(max_atoms)
            if max_edges:
                edges_left.append(max_edges)
        atoms_left[chosen] = room
        if max_edges:
            edges_left[chosen] -= edges[position]
            room = min(room, edges_left[chosen] * max_atoms // max_edges)
        owner.append(chosen)
        same = by_room[room]
        if not same:
            mask |= bits[room]
        same.append(chosen)
    return np.array(owner, np.int64)


def alike(
    times: NDArray[np.float64], batches_per_step: int, first: int, generator: np.random.Generator
) -> NDArray[np.int64]:
    """Return the order in which batches are drawn, (b,): in each step batches that take about the same time.

    The groups come in an order of the generator's, and so do the batches of a group, or the ranks' shares would differ
    in the same way in every step. Passes seldom end with a step: what is left over at both ends of a pass is of
    middling time, so that the step in which one pass ends and the next begins is of batches that are alike too.

    Args:
        times: (b,) predicted.
        batches_per_step: batches in a group.
        first: batches that complete the step in which the pass begins.
        generator: of the order.
    """
    order = np.argsort(times, kind="stable")
    count = len(order)
    head = min(first, count)
    tail = (count - head) % batches_per_step
    middle = slice(start := (count - head - tail) // 2, start + head + tail)
    ends = generator.permutation(order[middle])
    groups = np.delete(order, middle).reshape(-1, batches_per_step)
    groups = generator.permuted(groups[generator.permutation(len(groups))], axis=1)
    return np.concatenate([ends[:head], groups.ravel(), ends[head:]])


def _needs(items: BatchItems, max_atoms: int, max_edges: int | None) -> list[int]:
    for name, values, cap in (("atoms", items.atoms, max_atoms), ("edges", items.edges, max_edges)):
        if cap is not None and len(values) and values.max() > cap:
            raise ValueError(f"item {values.argmax()} has {values.max()} {name}, more than the cap of {cap}")
    return (items.atoms if max_edges is None else loads(items, max_atoms, max_edges)).tolist()


def loads(items: BatchItems, max_atoms: int, max_edges: int) -> NDArray[np.int64]:
    """Return what of a batch each item takes up by the cap that it fills more of, (n,), in atoms."""
    return np.maximum(items.atoms, -(-items.edges * max_atoms // max_edges))


def _summed(values: NDArray[np.int64], owner: NDArray[np.int64]) -> NDArray[np.int64]:
    # Sums below 2^53 are exact in the float64 of bincount.
    return np.bincount(owner, weights=values).astype(np.int64)
