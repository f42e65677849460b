"""What of the data determines each stage, and what of them an evaluation reads besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

from mfsweep.plan.mixture import Mixture
from mfsweep.spec.data import INDICES, Content, Derived, ResolvedData, Shuffled, Splits, SubsetName, parts
from mfsweep.spec.load import Spec

_Place = tuple[int, int | None]
"""Split seed and fold."""


class DataOf:
    """The resolved data of each partition and set of methods, each made once."""

    def __init__(self, spec: Spec, needs: dict[SubsetName, tuple[str, ...]], content: Content) -> None:
        self.data = spec.experiment.data
        self.document = spec.document
        self.needs = needs
        self.content = content
        self.made: dict[tuple[_Place, frozenset[str], tuple[str, ...]], ResolvedData] = {}

    def __call__(self, place: _Place, methods: Iterable[str], derived: Mapping[str, Derived]) -> ResolvedData:
        """Return the data of a stage that trains on some methods, of which some are derived."""
        split_seed, fold = place
        used = self._used(methods, derived)
        key = (place, used, tuple(sorted(derived)))
        if key not in self.made:
            subsets = {name: subset.but(needs=self.needs[name]) for name, subset in self.data.splits.subsets().items()}
            labels = {method: keys for method, keys in self.data.labels.items() if method in used}
            splits = self.data.splits
            column = INDICES if splits.indices else splits.column
            shuffles = any(isinstance(made, Shuffled) for made in derived.values())
            self.made[key] = ResolvedData(
                digest=self.content.digest,
                contents=self.content.of(labels),
                labels=labels,
                derived=dict(sorted(derived.items())) or None,
                shuffled="within parts" if shuffles and not splits.by_formula else None,
                splits=Splits(
                    seed=split_seed,
                    by=None if splits.by_formula else splits.by,
                    given=column if splits.given else None,
                    folds=splits.folds,
                    fold=fold,
                    **subsets,
                ),
                column=self.content.of_column(column),
                offsets=self._offsets(),
            )
        return self.made[key]

    def _offsets(self) -> Literal["fixed", "paid"] | dict[str, dict[str, float]]:
        """Return where energy offsets come from, those of isolated atoms as the table that they are."""
        offsets = self.data.offsets
        if offsets != "isolated_atoms":
            return offsets
        tables = {method: self.content.isolated(keys) for method, keys in self.data.labels.items()}
        lacking = [method for method, table in tables.items() if not table]
        if lacking and self.content.at_hand:
            there = [f"{method} of {', '.join(table)}" for method, table in tables.items() if table] or ["none"]
            raise self.document.error(
                ("data", "offsets"),
                offsets,
                f"isolated atoms of {' and '.join(lacking)} in the data (there are {'; '.join(there)}), or a table: "
                f"{{{lacking[0]}: {{H: -13.6, ...}}}}, in eV",
            )
        return {method: table for method, table in tables.items() if table}

    def beyond(self, mixture: Mixture, asked: Iterable[str]) -> tuple[tuple[str, str], ...] | None:
        """Return method and digest of the labels behind some methods that a stage's key leaves out, or None."""
        behind = {part for method in asked for part in mixture.parts(method)}
        behind -= self._used(mixture.methods, mixture.derived)
        found = self.content.of({method: self.data.labels[method] for method in sorted(behind)})
        return tuple(found.items()) if found else None

    def _used(self, methods: Iterable[str], derived: Mapping[str, Derived]) -> frozenset[str]:
        """Return the methods to which the partition or a training refers: no other must matter to its key."""
        return frozenset(part for method in methods for part in parts(method, derived)).union(*self.needs.values())
