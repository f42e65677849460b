"""What `mfsweep data split --folds K` prints: what each fold tests on, and a block to paste into a spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mfsweep.cli.data import split_tables
from mfsweep.data.splits import Partition
from mfsweep.data.structures import Column, Structures
from mfsweep.data.survey.balance import named_parts
from mfsweep.data.survey.duplicates import leaks, structure_hashes
from mfsweep.data.survey.opening import Opened
from mfsweep.quantities import count
from mfsweep.spec.data import FOLD, TEST_SUBSET, Splits

SHOWN = 6
"""Groups of a fold that are named on a terminal; JSON has all."""


class Fold(NamedTuple):
    """One fold."""

    tested: dict[str, int]
    """Formula, or value of the column by which it is split -> its structures in the test part, the most first."""
    sizes: dict[str, int]
    """Part -> its structures."""
    leaked: int
    """Structures with the same geometry as one of another part."""

    @property
    def test(self) -> int:
        """Return how many structures it tests on."""
        return sum(self.tested.values())


def folds_of(structures: Structures, groups: Column, made: Sequence[Partition]) -> list[Fold]:
    """Return what there is to say of each fold.

    Args:
        structures: all of them.
        groups: what is kept whole.
        made: the partition of each fold.
    """
    hashes = structure_hashes(structures)
    return [
        Fold(
            _tested(groups, partition),
            {name: len(own) for name, own in named_parts(partition).items()},
            sum(len(leak.pairs.other) for leak in leaks(hashes, named_parts(partition))),
        )
        for partition in made
    ]


def _tested(groups: Column, partition: Partition) -> dict[str, int]:
    codes, counts = np.unique(groups.codes[partition.train[TEST_SUBSET]], return_counts=True)
    found = {str(groups.values[code]): int(number) for code, number in zip(codes, counts, strict=True)}
    return dict(sorted(found.items(), key=lambda item: (-item[1], item[0])))


def in_common(found: Sequence[Fold]) -> list[str]:
    """Return the groups that more than one fold tests on: none, but for groups without structures of their own."""
    names = [name for fold in found for name in fold.tested]
    return sorted({name for name in names if names.count(name) > 1})


def print_folds(console: Console, opened: Opened, splits: Splits, found: Sequence[Fold]) -> None:
    """Print a line for each fold, and whether their test parts are disjoint."""
    groups = "formulae" if splits.by_formula else splits.column or "groups"
    parts = [name for name in found[0].sizes if name != TEST_SUBSET]
    title = f"{opened.path}, {len(found)} folds by {splits.by or 'formula'}"
    table = Table(box=None, pad_edge=False, title=escape(title), title_justify="left", collapse_padding=True)
    for column in ("fold", "t", groups, *parts):
        table.add_column(escape(column), justify="right", no_wrap=True)
    table.add_column(escape(f"tested {groups}, with their structures"))
    for place, fold in enumerate(found):
        named = [f"{name} {number}" for name, number in list(fold.tested.items())[:SHOWN]]
        more = f", and {len(fold.tested) - SHOWN} more" if len(fold.tested) > SHOWN else ""
        sizes = [f"{fold.sizes.get(part, 0):,}" for part in parts]
        numbers = str(place), f"{fold.test:,}", f"{len(fold.tested):,}"
        table.add_row(*numbers, *sizes, escape(", ".join(named) + more))
    console.print(table)
    shared = in_common(found)
    apart = "no two folds test on a common one" if not shared else f"several folds test on {', '.join(shared)}"
    console.print(f"{groups}: {sum(len(fold.tested) for fold in found):,} tested, {escape(apart)}")
    for place, fold in enumerate(found):
        if fold.leaked:
            same = count(fold.leaked, "structure")
            console.print(f"[red]leak:[/] fold {place}: {same} with the same geometry as one of another part")
    console.print()


def as_json(opened: Opened, splits: Splits, found: Sequence[Fold]) -> dict[str, Any]:
    """Return the folds as plain data."""
    return {
        "file": str(opened.path),
        "folds": [
            {"fold": place, "test": fold.test, "tested": fold.tested, "parts": fold.sizes, "leaked": fold.leaked}
            for place, fold in enumerate(found)
        ],
        "in_common": in_common(found),
        "splits": _block(splits, len(found))["splits"],
    }


def as_yaml(splits: Splits, folds: int) -> str:
    """Return the `splits:` block of a spec, and the axis that it goes with."""
    axis = ", ".join(map(str, range(folds)))
    return f"{split_tables.as_yaml(_block(splits, folds))}# and among the axes of the spec:  fold: [{axis}]\n"


def _block(splits: Splits, folds: int) -> dict[str, Any]:
    return {"splits": {**split_tables.block(splits)["splits"], "folds": folds, "fold": FOLD}}
