"""Row 5: how full batches are and how evenly four ranks are loaded, by packer, and how fast packing is.

The sizes are drawn like those of ANI-1ccx (mean 13.8 atoms). A batch's edges are nearly all ordered pairs of atoms in
molecules of this size; its predicted time is that of the spec's default coefficients. Imbalance: the largest rank's
edges, or time, over the mean, averaged over steps of four batches, since the slowest rank sets the pace of a step.

`next fit` keeps one bin open (as fairchem's sampler by atoms does), `best fit` keeps all bins open and takes the
fullest that has room, `fixed count` takes as many structures as fill a batch on average, whatever their size. `cost
aware` is best fit, whose batches are then put into steps of about the same predicted time; with a cap on edges, fill
is that of the cap that is nearer.

    OMP_NUM_THREADS=1 python tests/benchmarks/packing.py
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from paired import interleaved, table

from mfsweep.data.cost_aware import BatchItems, cost_aware, predicted
from mfsweep.data.packing import worst_fit
from mfsweep.spec.batching import CostAwareBatching, StepTime

CAPACITY = 256
EDGES = 4000
"""The cap on edges, about 10 % above what a full batch has on average."""
BINS = 8
RANKS = 4
COUNT = 100_000
ALL = 490_000
"""Structures of ANI-1ccx, about."""
ROUNDS = 5

OURS = f"mfsweep worst fit, {BINS} bins"

Batches = list[NDArray[np.int64]]


def main() -> None:
    """Print the tables."""
    sizes = _ani_like(COUNT)
    packers: dict[str, Callable[[NDArray[np.int64]], Batches]] = {
        OURS: lambda sizes: worst_fit(sizes, CAPACITY, BINS),
        "mfsweep cost aware": lambda sizes: _cost_aware(sizes, None),
        f"mfsweep cost aware, at most {EDGES} edges": lambda sizes: _cost_aware(sizes, EDGES),
        "next fit": _next_fit,
        "best fit": _best_fit,
        "fixed count": _fixed_count,
    }
    print(f"{COUNT:,} structures, {RANKS} ranks\n")
    print("| packer | fill | edge imbalance | time imbalance | largest batch, atoms | edges |")
    print("|---|---|---|---|---|---|")
    for name, pack in packers.items():
        batches = pack(sizes)
        atoms = np.array([sizes[batch].sum() for batch in batches])
        edges = np.array([(sizes[batch] * (sizes[batch] - 1)).sum() for batch in batches])
        fill = max(atoms.mean() / CAPACITY, edges.mean() / EDGES if edges.max() <= EDGES else 0)
        even = f"{_imbalance(edges):.4f} | {_imbalance(predicted(StepTime(), atoms, edges)):.4f}"
        print(f"| {name} | {fill:.2%} | {even} | {atoms.max()} | {edges.max()} |")
    everyone = _ani_like(ALL)

    def timed(pack: Callable[[NDArray[np.int64]], Batches]) -> Callable[[], float]:
        def run() -> float:
            pack(everyone)
            return ALL

        return run

    rates = interleaved({name: timed(pack) for name, pack in packers.items()}, ROUNDS)
    print(f"\n{ALL:,} structures, {ROUNDS} turns each\n")
    print(table(rates, OURS, "structures / CPU s"))
    for name, values in rates.items():
        print(f"{name}: {ALL / np.median(values):.2f} s for {ALL:,}")


def _ani_like(count: int) -> NDArray[np.int64]:
    sizes = np.rint(np.random.default_rng(0).normal(13.8, 4.5, count))
    return np.clip(sizes, 2, 63).astype(np.int64)


def _cost_aware(sizes: NDArray[np.int64], max_edges: int | None) -> Batches:
    batching = CostAwareBatching(packer="cost_aware", max_atoms=CAPACITY, max_edges=max_edges, batches_per_step=RANKS)
    return cost_aware(BatchItems(sizes, sizes * (sizes - 1)), batching, 0, np.random.default_rng(0))


def _imbalance(work: NDArray[np.int64] | NDArray[np.float64]) -> float:
    steps = work[: len(work) // RANKS * RANKS].reshape(-1, RANKS)
    return float((steps.max(axis=1) / steps.mean(axis=1)).mean())


def _next_fit(sizes: NDArray[np.int64]) -> Batches:
    batches: Batches = []
    current: list[int] = []
    load = 0
    for position, size in enumerate(sizes.tolist()):
        if load + size > CAPACITY:
            batches.append(np.array(current))
            current, load = [], 0
        current.append(position)
        load += size
    return [*batches, np.array(current)]


def _best_fit(sizes: NDArray[np.int64]) -> Batches:
    bins: list[list[int]] = []
    by_room: list[list[int]] = [[] for _ in range(CAPACITY + 1)]
    for position, size in enumerate(sizes.tolist()):
        room = next((room for room in range(size, CAPACITY + 1) if by_room[room]), None)
        if room is None:
            bins.append([])
            chosen, room = len(bins) - 1, CAPACITY
        else:
            chosen = by_room[room].pop()
        bins[chosen].append(position)
        by_room[room - size].append(chosen)
    return [np.array(own) for own in bins]


def _fixed_count(sizes: NDArray[np.int64]) -> Batches:
    count = int(CAPACITY // sizes.mean())
    return np.array_split(np.arange(len(sizes)), len(sizes) // count)


if __name__ == "__main__":
    main()
