"""What of the data determines each stage, and what of them an evaluation reads besides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from mfsweep.plan.mixture import Mixture
from mfsweep.spec.data import Content, Derived, ResolvedData, Shuffled, Splits, SubsetName, parts
from mfsweep.spec.load import Spec


class DataOf:
    """The resolved data of each split seed and set of methods, each made once."""

    def __init__(self, spec: Spec, needs: dict[SubsetName, tuple[str, ...]], content: Content) -> None:
        self.data = spec.experiment.data
        self.needs = needs
        self.content = content
        self.made: dict[tuple[int, frozenset[str], tuple[str, ...]], ResolvedData] = {}

    def __call__(self, split_seed: int, methods: Iterable[str], derived: Mapping[str, Derived]) -> ResolvedData:
        """Return the data of a stage that trains on some methods, of which some are derived."""
        used = self._used(methods, derived)
        key = (split_seed, used, tuple(sorted(derived)))
        if key not in self.made:
            subsets = {name: subset.but(needs=self.needs[name]) for name, subset in self.data.splits.subsets().items()}
            labels = {method: keys for method, keys in self.data.labels.items() if method in used}
            column = self.data.splits.column
            shuffles = any(isinstance(made, Shuffled) for made in derived.values())
            self.made[key] = ResolvedData(
                digest=self.content.digest,
                contents=self.content.of(labels),
                labels=labels,
                derived=dict(sorted(derived.items())) or None,
                shuffled="within parts" if shuffles and column is not None else None,
                splits=Splits(seed=split_seed, by=column, **subsets),
                column=self.content.of_column(column),
                offsets=self.data.offsets,
            )
        return self.made[key]

    def beyond(self, mixture: Mixture, asked: Iterable[str]) -> tuple[tuple[str, str], ...] | None:
        """Return method and digest of the labels behind some methods that a stage's key leaves out, or None."""
        behind = {part for method in asked for part in mixture.parts(method)}
        behind -= self._used(mixture.methods, mixture.derived)
        found = self.content.of({method: self.data.labels[method] for method in sorted(behind)})
        return tuple(found.items()) if found else None

    def _used(self, methods: Iterable[str], derived: Mapping[str, Derived]) -> frozenset[str]:
        """Return the methods to which the partition or a training refers: no other must matter to its key."""
        return frozenset(part for method in methods for part in parts(method, derived)).union(*self.needs.values())
