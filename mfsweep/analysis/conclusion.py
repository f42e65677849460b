"""What the auxiliary labels did, in one plain sentence for a reader who reads nothing else."""

from __future__ import annotations

from collections.abc import Sequence

from mfsweep.analysis.balance import SplitSeed, balanced
from mfsweep.analysis.gain import FinishedCell, gain_of, paired, setting_text
from mfsweep.analysis.replicates import by_partition, label
from mfsweep.analysis.study import Result
from mfsweep.quantities import count

FEW = 3
"""Sizes of the target set that a sentence names one by one."""

CellPair = tuple[FinishedCell, FinishedCell]


def conclusions(result: Result) -> list[str]:
    """Return a sentence for each way in which auxiliary labels were used: which methods, before or beside the target's.

    Each is of the cells that had the most auxiliary labels, all sizes of the target set together, against direct
    training on the same target labels. Nothing is picked by its error. Where replicates do not all have the same
    settings, what some replicate lacks is left out, or the replicate is (balance.py), and counted.
    """
    ways: dict[tuple[tuple[str, ...], bool], list[CellPair]] = {}
    for one, other in paired(result.outcomes):
        if min(one.error, other.error) > 0 and (methods := tuple(_auxiliary(one))):
            ways.setdefault((methods, _is_joint(one)), []).append((one, other))
    partitions = by_partition((one.seed, one.split_seed) for one in result.outcomes)
    return [_sentence(result, pairs, joint=joint, partitions=partitions) for (_, joint), pairs in ways.items()]


def _sentence(result: Result, pairs: Sequence[CellPair], *, joint: bool, partitions: bool) -> str:
    most = max(sum(_auxiliary(one).values()) for one, _ in pairs)
    every = [(one, other) for one, other in pairs if sum(_auxiliary(one).values()) == most]
    largest = _balanced(every, partitions)
    gain = gain_of(largest, partitions)
    over = gain.over
    if left := len(every) - len(largest):
        over += f"; {count(left, 'pair')} of cells left out that not every replicate has"
    one = largest[0][0]
    labels = " and ".join(f"{size:,} {method}" for method, size in _auxiliary(one).items())
    did = f"Training on {labels} labels beside" if joint else f"Pre-training on {labels} labels, then fine-tuning on"
    target = f"{did} {_sizes(largest)} {one.method} labels"
    low, high = gain.interval or (None, None)
    told = low is not None and high is not None and (low > 0 or high < 0) and not gain.capped
    verb = ("cut" if gain.change < 0 else "raised") if told else "changed"
    error = f"the {one.method} test error" if one.path.part == "test" else f"the {one.path.part} error of {one.method}"
    unit = result.path.quantity.unit
    settings = len({setting_text(one) for one, _ in largest})
    mean = f" on average over {settings} settings" if settings > 1 else ""
    said = f"{target}, {verb} {error}{mean} from {gain.direct_error:.3g} to {gain.error:.3g} {unit}: {gain.change:+.0%}"
    if low is None or high is None:
        return f"{said}. It cannot be told how sure that is: {over}."
    said += f", 95 % interval {low:+.0%} to {high:+.0%} ({over})"
    if gain.capped:
        return f"{said}. No claim: {gain.capped} of {count(gain.pairs, 'pair')} of cells have not converged."
    return f"{said}." if told else f"{said}. It cannot be told whether it helps."


def _balanced(pairs: Sequence[CellPair], partitions: bool) -> list[CellPair]:
    """Return the pairs of which every replicate has every setting."""
    have: dict[SplitSeed, set[str]] = {}
    for one, _ in pairs:
        have.setdefault(label((one.seed, one.split_seed), partitions), set()).add(setting_text(one))
    kept = balanced(have)
    return [
        (one, other)
        for one, other in pairs
        if label((one.seed, one.split_seed), partitions) in kept.replicates and setting_text(one) in kept.settings
    ]


def _auxiliary(one: FinishedCell) -> dict[str, int]:
    """Return the labels of other methods that a cell's stages train on: the most of any stage, by method."""
    found: dict[str, int] = {}
    for sizes in one.cell.sizes.values():
        for method, size in sizes.items():
            if method not in (one.method, *one.learned) and size:
                found[method] = max(size, found.get(method, 0))
    return found


def _is_joint(one: FinishedCell) -> bool:
    """Return whether some stage learns the target and another method at once."""
    return any(len(sizes) > 1 and one.method in sizes for sizes in one.cell.sizes.values())


def _sizes(pairs: Sequence[CellPair]) -> str:
    """Return the sizes of the target sets in words."""
    sizes = sorted({one.cell.sizes.get(one.cell.result, {}).get(one.method, 0) for one, _ in pairs})
    if len(sizes) <= FEW:
        *first, last = (f"{size:,}" for size in sizes)
        return f"{', '.join(first)} or {last}" if first else last
    return f"{sizes[0]:,} to {sizes[-1]:,}"
