"""Settings of strategies -> one comparison: its blocks, what they say, and what there is to know of the numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfsweep.analysis.comparison import formats, words
from mfsweep.analysis.comparison.blocks import ComparedBlock, settle
from mfsweep.analysis.comparison.equal_cost import EqualIn, at_equal_cost
from mfsweep.analysis.comparison.equal_labels import at_equal_labels
from mfsweep.analysis.comparison.settings import StrategyCell, StrategySetting, settings
from mfsweep.analysis.metric import absent
from mfsweep.analysis.records import Records
from mfsweep.errors import FitError, nearest
from mfsweep.quantities import MetricPath


@dataclass(frozen=True)
class LabelPrices:
    """What one label of each method costs."""

    numbers: Mapping[str, float]
    unit: str

    def of(self, setting: StrategySetting) -> float:
        """Return what the labels of a setting cost.

        Raises:
            FitError: a method without a cost.
        """
        used = {method: number for method, number in setting.labels.items() if number}
        if unknown := sorted(used.keys() - self.numbers.keys()):
            raise FitError(
                f"costs of labels: none for {', '.join(unknown)}, which {setting.strategy} uses; "
                f"there are {', '.join(self.numbers)}"
            )
        return sum(self.numbers[method] * number for method, number in used.items())


@dataclass(frozen=True)
class Comparison:
    """Strategies side by side."""

    y: str
    """Path of the metric that is compared."""
    by: str
    """What tells strategies apart: an axis, or `stages`."""
    against: str
    """The strategy that the others are compared with."""
    blocks: tuple[ComparedBlock, ...]
    sentences: tuple[str, ...]
    """What came out, a sentence a budget."""
    notes: tuple[str, ...]
    """What there is to know of the numbers, and what cannot be compared."""
    is_gpu: bool
    """Whether training times are of GPUs."""

    @property
    def unit(self) -> str:
        """Return the unit of the errors."""
        return MetricPath.parse(self.y).quantity.unit

    def as_json(self) -> dict[str, Any]:
        """Return everything that is printed as plain data."""
        return {
            "y": self.y,
            "unit": self.unit,
            "by": self.by,
            "against": self.against,
            "devices": "gpu" if self.is_gpu else "cpu",
            "blocks": [block.as_json() for block in self.blocks],
            "sentences": list(self.sentences),
            "notes": list(self.notes),
        }

    def table(self, form: formats.TableFormat) -> str:
        """Return the tables as text: csv, latex or markdown."""
        return formats.written(self.blocks, form, self.unit, is_gpu=self.is_gpu)


def compare(
    records: Records,
    candidates: Sequence[StrategyCell],
    y: str,
    by: str,
    against: str | None = None,
    costs: LabelPrices | None = None,
) -> Comparison:
    """Compare strategies at equal labels, at equal training time and, where labels have costs, at equal cost of these.

    Args:
        records: the trained stages.
        candidates: the cells, each with its strategy.
        y: path of the metric.
        by: what told the strategies apart, for the reader.
        against: name of the strategy that the others are compared with. Default: direct training, else the first.
        costs: of labels.

    Raises:
        FitError: nothing is trained yet, there is one strategy only, no two can be compared, or a name is unknown.
    """
    names = dict.fromkeys(candidate.strategy for candidate in candidates)
    if len(names) < 2:
        only = next(iter(names), "none")
        raise FitError(f"all {len(candidates)} cells have one strategy, {only!r}: there is nothing to compare it with")
    if against is not None and against not in names:
        raise FitError(f"no strategy {against!r}: there are {', '.join(names)}.{nearest(against, names)}")
    every = settings(records, candidates, y)
    trained = dict.fromkeys(setting.base for setting in every)
    if not trained:
        _refuse_absent(records, candidates, y)
    if len(trained) < 2:
        have = f"of {len(names)} strategies only {', '.join(trained)} has" if trained else "no cell has"
        raise FitError(f"{have} {y} yet: `mfsweep run` trains what is missing")
    if against is not None and against not in trained:
        raise FitError(f"no cell of {against} has {y} yet: `mfsweep run` trains what is missing")
    chosen = against or next(
        (setting.base for setting in every if all(result.direct for result in setting.outcomes)), every[0].base
    )
    is_gpu = any(setting.work.is_gpu for setting in every)
    blocks = at_equal_labels(every, chosen, y, records)
    more: list[str] = []
    for equal in _equals(costs, is_gpu):
        at_cost, apart = at_equal_cost(every, chosen, y, equal)
        blocks += at_cost
        more += apart
    if not any(row.claim for block in blocks for row in block.rows):
        sizes = "; ".join(f"{setting.strategy} with {setting.words}" for setting in every)
        raise FitError(f"no two strategies share labels, training time or cost: {sizes}. {' '.join(more)}")
    blocks = settle(blocks)
    unit = MetricPath.parse(y).quantity.unit
    notes = [*words.notes(every, blocks), *_missing(names, trained), *more]
    return Comparison(y, by, chosen, tuple(blocks), tuple(words.sentences(blocks, unit)), tuple(notes), is_gpu)


def _refuse_absent(records: Records, candidates: Sequence[StrategyCell], y: str) -> None:
    """Refuse a metric that results have not though they are trained."""
    keys = dict.fromkeys(candidate.cell.stages.get(candidate.cell.result, "") for candidate in candidates)
    if stages := [stage for key in keys if key and (stage := records.stage(key)) is not None]:
        raise FitError(absent(MetricPath.parse(y), stages))


def _equals(costs: LabelPrices | None, is_gpu: bool) -> list[EqualIn]:
    compute = EqualIn("compute", lambda setting: setting.work.seconds, lambda cost: words.duration(cost, is_gpu=is_gpu))
    if costs is None:
        return [compute]
    return [EqualIn("label cost", costs.of, lambda cost: f"{cost:,.4g} {costs.unit}"), compute]


def _missing(names: Mapping[str, None], trained: Mapping[str, None]) -> list[str]:
    untrained = [name for name in names if name not in trained]
    return [f"Not trained yet, and left out: {', '.join(untrained)}."] if untrained else []
