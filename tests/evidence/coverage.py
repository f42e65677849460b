"""How often intervals hold the truth: seeded simulation through the functions that write a report.

    python tests/evidence/coverage.py            # every design, 400 draws each: some minutes on one core
    python tests/evidence/coverage.py --draws 50

A design is drawn as the bundled data are: the logarithm of an error differs between partitions by 0.25, between trainings
of one partition by 0.1, and x is measured with noise. The truth is known, and so is whether an interval holds it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from mfsweep.analysis.front import front, not_behind
from mfsweep.analysis.molecules import PairedErrors, beyond
from mfsweep.analysis.pooled import alone, difference
from mfsweep.analysis.ratios import ratio
from mfsweep.analysis.reml import mean_of
from mfsweep.analysis.search import SearchedPoint, SearchedStudy
from mfsweep.analysis.selection import MeasuredCell
from mfsweep.analysis.suite import ends_of_new, settled
from mfsweep.analysis.table import Point, Points
from mfsweep.quantities import MetricPath
from mfsweep.records import CellRecord
from mfsweep.report_records import ClaimRecord

PARTITION = 0.25
"""Standard deviation of log errors between partitions."""
TRAINING = 0.1
"""Of log errors between trainings of one partition."""
GRADIENT = 0.9
DRAWS = 400
FORMULAE = 54
"""Of the bundled data."""

Pair = tuple[float, float]


class Row(NamedTuple):
    """One line of the table."""

    fault: str
    design: str
    held: float
    """Share of draws whose interval holds the truth."""
    half_width: float
    """Median; of a law in its gradient, of a claim in log units."""


@dataclasses.dataclass(frozen=True)
class Design:
    """A pre-train/fine-tune grid with the law y = 2 x ** GRADIENT."""

    sizes: tuple[int, ...]
    finetunes: int
    partitions: int
    seeds: int = 1
    x_noise: float = 0.05
    slopes: float = 0.0
    """Standard deviation of the gradient between partitions."""
    missing: float = 0.0
    """Share of points that are not there."""

    @property
    def text(self) -> str:
        """Return it in words."""
        said = f"{len(self.sizes)} sizes, {self.finetunes} fine-tune sizes, {self.partitions} partitions"
        said += f" x {self.seeds} seeds" if self.seeds > 1 else ""
        said += f", x noise {self.x_noise:g}"
        said += f", gradients vary by {self.slopes:g}" if self.slopes else ""
        return said + (f", {self.missing:.0%} missing" if self.missing else "")

    def points(self, rng: np.random.Generator) -> Points:
        """Return one draw."""
        made = []
        for partition in range(self.partitions):
            level, level_x = PARTITION * rng.normal(), PARTITION * rng.normal() / 2
            own = [TRAINING * rng.normal() for _ in range(self.finetunes)]
            slope = GRADIENT + self.slopes * rng.normal()
            for seed in range(self.seeds):
                for size in self.sizes:
                    log_x = math.log(300) - 0.45 * math.log(size)
                    x = math.exp(log_x + level_x + self.x_noise * rng.normal())
                    shared = TRAINING * rng.normal()
                    for finetune in range(self.finetunes):
                        y = 2 * math.exp(
                            slope * log_x + level + own[finetune] + shared - 0.3 * finetune + TRAINING * rng.normal()
                        )
                        if rng.random() >= self.missing:
                            made.append(_point(partition, seed, size, finetune, x, y))
        labels = {point.group: str(point.group) for point in made}
        return Points("pretrain.validation.energy_mae", "result.test.cc.energy_mae", ("f",), tuple(made), labels=labels)


MINI = Design((40, 100, 240), 2, 3)
PAPER = Design((10_000, 20_000, 45_000, 90_000, 174_000), 4, 3)
WIDE = Design((10, 20, 45, 90, 174, 300), 3, 5)


def laws() -> Iterator[tuple[str, Design]]:
    """Yield fault and design of each law."""
    yield "E", MINI
    yield "E", PAPER
    for design in (MINI, PAPER, WIDE):
        yield "C", dataclasses.replace(design, x_noise=0.2)
    yield "A", dataclasses.replace(MINI, partitions=2, seeds=3)
    yield "D", dataclasses.replace(MINI, sizes=(40, 75, 140, 300), partitions=1)
    yield "E", dataclasses.replace(MINI, slopes=0.2)
    yield "E", dataclasses.replace(PAPER, slopes=0.2)
    yield "I", dataclasses.replace(PAPER, missing=1 / 6)


def gradients(fault: str, design: Design, draws: int, interval: Callable[[Points], Pair | None]) -> Row:
    """Return how often the interval of the pooled gradient holds the truth."""
    rng = np.random.default_rng(1)
    found = [one for _ in range(draws) if (one := interval(design.points(rng)))]
    return _row(fault, design.text, found, GRADIENT)


def law_interval(points: Points) -> Pair | None:
    """Return the interval of the pooled gradient."""
    found = alone(points)
    return tuple(found.gradient.by_size.interval()) if found else None


def differences(design: Design, draws: int, *, shared: bool) -> Row:
    """Return how often the interval of one gradient less another, equal in truth, holds 0.

    Args:
        design: of each side.
        draws: how many.
        shared: whether both sides are fine-tune sizes of the same pre-trainings; else methods of their own.
    """
    rng = np.random.default_rng(7)
    found = []
    for _ in range(draws):
        this = design.points(rng)
        sides = [_where(this, lambda point: point.group == (0,)), _where(this, lambda point: point.group == (1,))]
        if not shared:
            others = tuple(dataclasses.replace(one, x_key=f"other {one.x_key}") for one in design.points(rng))
            sides = [this, dataclasses.replace(this, points=others)]
        if all(map(alone, sides)):
            found.append(tuple(difference(*sides).by_size.interval()))
    return _row("C", f"difference of {'fine-tune sizes' if shared else 'methods'}: {design.text}", found, 0.0)


def _where(points: Points, keep: Callable[[Point], bool]) -> Points:
    return dataclasses.replace(points, points=tuple(filter(keep, points.points)))


def claims(
    fault: str,
    partitions: int,
    seeds: int,
    places: int,
    missing: float,
    draws: int,
    interval: Callable[..., Pair | None],
) -> Row:
    """Return how often the interval of a ratio, whose truth is 1, holds it."""
    rng = np.random.default_rng(2)
    text = f"claim: {partitions} partitions x {seeds} seeds, {places} pairs" + (
        f", {missing:.0%} missing" * (missing > 0)
    )
    found = [one for _ in range(draws) if (one := interval(_members(rng, partitions, seeds, places, missing)))]
    return _row(fault, text, found, 0.0)


def claim_interval(members: list[MeasuredCell]) -> Pair | None:
    """Return the interval of the log ratio of two sides."""
    found = ratio(members, {"side": "this"}, {"side": "against"})
    return tuple(found.estimate.interval()) if found and found.replicates > 1 else None


def suites(statements: int, partitions: int, draws: int) -> Iterator[Row]:
    """Yield the coverage of claims of one suite, alone and moderated; their standard deviations differ by a third."""
    rng = np.random.default_rng(3)
    alone, moderated = [], []
    for _ in range(max(draws // statements, 5)):
        deviations = PARTITION * np.exp(0.3 * rng.normal(size=statements))
        values = deviations[:, None] * rng.normal(size=(statements, partitions))
        for one in settled([_claim(str(index), own) for index, own in enumerate(values)]):
            moderated.append((math.log(one.low or 1), math.log(one.high or 1)))
            alone.append((math.log(one.plain_low or 1), math.log(one.plain_high or 1)))
    text = f"{statements} claims of {partitions} partitions"
    yield _row("H", f"{text}, each alone", alone, 0.0)
    yield _row("H", f"{text}, moderated", moderated, 0.0)


def searches(points: int, seeds: int, draws: int) -> Row:
    """Return how often the truly best point of a search is among those that cannot be told from the best."""
    rng = np.random.default_rng(4)
    objective = MetricPath.parse("result.validation.cc.energy_mae")
    held, share = 0, []
    for _ in range(draws):
        truth = 0.15 * rng.normal(size=points)
        scores = np.exp(
            truth[:, None] + PARTITION * rng.normal(size=seeds) + TRAINING * rng.normal(size=(points, seeds))
        )
        study = SearchedStudy(
            {}, objective, tuple(SearchedPoint({"alpha": place}, tuple(own)) for place, own in enumerate(scores)), 0
        )
        inside = {point.values["alpha"] for point in study.flat}
        held += int(truth.argmin()) in inside
        share.append(len(inside) / points)
    return Row(
        "F",
        f"search: {points} points x {seeds} seeds (share of points in the set)",
        held / draws,
        float(np.median(share)),
    )


def fronts(points: int, seeds: int, draws: int) -> Row:
    """Return how often the whole true Pareto front of a search is among the points that cannot be told from it."""
    rng = np.random.default_rng(6)
    held, share = 0, []
    for _ in range(draws):
        truth = 0.15 * rng.normal(size=(2, points))
        noise = PARTITION * rng.normal(size=(2, 1, seeds)) + TRAINING * rng.normal(size=(2, points, seeds))
        kept = not_behind(np.exp(truth[:, :, None] + noise))
        held += bool(kept[front(truth)].all())
        share.append(kept.mean())
    text = f"search of two objectives: {points} points x {seeds} seeds (share of points in the set)"
    return Row("F", text, held / draws, float(np.median(share)))


def pools(partitions: int, draws: int, interval: Callable[..., Pair | None]) -> Iterator[Row]:
    """Yield the coverage of overlapping partitions of one pool: of the pool's own mean, and of new molecules."""
    rng = np.random.default_rng(5)
    truths, found = [], []
    for _ in range(draws):
        effects = rng.normal(size=FORMULAE)
        means = [effects[rng.permutation(FORMULAE)[: FORMULAE // 3]].mean() for _ in range(partitions)]
        sides = [one for seed, mean in enumerate(means) for one in _sides(0, seed, 0, mean)]
        found.append(interval(sides) or (-math.inf, math.inf))
        truths.append(float(effects.mean()))
    half = float(np.median([(high - low) / 2 for low, high in found]))
    of_pool = np.mean([low <= truth <= high for (low, high), truth in zip(found, truths, strict=True)])
    of_new = np.mean([low <= 0 <= high for low, high in found])
    yield Row("B", f"{partitions} partitions: of this pool", float(of_pool), half)
    yield Row("B", f"{partitions} partitions: of new molecules", float(of_new), half)


def pools_of_structures(partitions: int, draws: int) -> Iterator[Row]:
    """Yield the coverage of new molecules, by the spread of partitions and with the formulae that these share."""
    rng = np.random.default_rng(6)
    plain, wider = [], []
    for _ in range(draws):
        effect = 0.6 * rng.normal(size=FORMULAE)
        tested, logs = {}, []
        for partition in range(partitions):
            formula = np.repeat(rng.permutation(FORMULAE)[: FORMULAE // 3], 8)
            this, against = (
                np.exp(sign * effect[formula] / 2 + 0.5 * rng.normal(size=len(formula))) for sign in (1, -1)
            )
            tested[partition] = [PairedErrors(formula, np.exp(TRAINING * rng.normal()) * this, against)]
            logs.append(math.log(tested[partition][0].this.mean() / against.mean()))
        found = mean_of(logs)
        more = beyond(tested)
        ends = ends_of_new(found.value, found.error**2, found.freedom, *more) if more else {}
        plain.append(tuple(found.interval()))
        wider.append((math.log(ends["new_low"]), math.log(ends["new_high"])))
    text = f"{partitions} partitions, structures: of new molecules"
    yield _row("B", f"{text}, by their spread", plain, 0.0)
    yield _row("B", f"{text}, formulae too", wider, 0.0)


def table(draws: int) -> Iterator[Row]:
    """Yield every row."""
    for fault, design in laws():
        yield gradients(fault, design, draws, law_interval)
    for shared in (True, False):
        yield differences(dataclasses.replace(MINI, x_noise=0.2), draws, shared=shared)
    for partitions, seeds in ((3, 1), (3, 2), (3, 5), (2, 5), (1, 3)):
        yield claims("A", partitions, seeds, 2, 0.0, draws, claim_interval)
    yield claims("I", 3, 1, 6, 1 / 6, draws, claim_interval)
    for statements in (5, 10, 40):
        yield from suites(statements, 3, draws * 5)
    for points, seeds in ((8, 2), (8, 3), (20, 3)):
        yield searches(points, seeds, draws)
        yield fronts(points, seeds, draws)
    for partitions in (3, 5, 10, 20):
        yield from pools(partitions, draws, claim_interval)
        yield from pools_of_structures(partitions, draws)


def _row(fault: str, text: str, found: list[Pair], truth: float) -> Row:
    if not found:
        return Row(fault, text, math.nan, math.nan)
    ends = np.array(found)
    held = (ends[:, 0] <= truth) & (truth <= ends[:, 1])
    return Row(fault, text, float(held.mean()), float(np.median(ends[:, 1] - ends[:, 0]) / 2))


def _point(partition: int, seed: int, size: int, finetune: int, x: float, y: float) -> Point:
    key = f"{partition}-{seed}-{size}"
    values = {
        "values": {}, "group": (finetune,), "x": x, "y": y, "x_key": key, "y_key": f"{key}-{finetune}", "x_method": "dft",
        "y_method": "cc", "x_setting": str(size), "y_setting": f"{size}-{finetune}", "seed": seed,
        "split_seed": partition, "x_step": 1, "y_step": 1, "x_converged": True, "y_converged": True, "sizes": {},
        "x_size": size,
    }  # fmt: skip
    return Point(**{field.name: values[field.name] for field in dataclasses.fields(Point)})


def _members(rng: np.random.Generator, partitions: int, seeds: int, places: int, missing: float) -> list[MeasuredCell]:
    made = []
    for partition in range(partitions):
        # Of one partition alone the truth is that of this partition.
        level = PARTITION * rng.normal() if partitions > 1 else 0.0
        for seed in range(seeds):
            for place in range(places):
                if rng.random() >= missing:
                    made += _sides(seed, partition, place, level + TRAINING * rng.normal())
    return made


def _sides(seed: int, partition: int, place: int, log_ratio: float) -> list[MeasuredCell]:
    made = []
    for side, value in (("this", math.exp(log_ratio)), ("against", 1.0)):
        values = {"side": side, "place": place, "seed": seed, "split_seed": partition}
        key = f"{side}-{place}-{seed}-{partition}"
        cell = CellRecord(values=values, stages={"a": key}, result="a", sizes={}, evaluations={}, sets={})
        made.append(MeasuredCell(cell, key, value, "cc", (seed, partition), True))
    return made


def _claim(name: str, logs: np.ndarray) -> ClaimRecord:
    error = float(logs.std(ddof=1) / math.sqrt(len(logs)))
    return ClaimRecord(
        name=name, says=name, measure="ratio", estimate=math.exp(logs.mean()), low=None, high=None,
        verdict="cannot tell", detail="", expect="lower", error=error, freedom=len(logs) - 1,
        replicates=len(logs), usable=True, evidence=name,
    )  # fmt: skip


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=DRAWS)
    draws = parser.parse_args().draws
    print("| fault | design | holds the truth | half-width |\n| --- | --- | --- | --- |")
    for row in table(draws):
        held = "refused" if math.isnan(row.held) else f"{row.held:.3f}"
        print(f"| {row.fault} | {row.design} | {held} | {row.half_width:.2f} |", flush=True)


if __name__ == "__main__":
    main()
