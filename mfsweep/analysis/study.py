"""From a study's cells to everything that is said of them: laws, gains, curves."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.budget.advice import Advice, advice
from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.claims import judge
from mfsweep.analysis.curves import SizeCurve, curves
from mfsweep.analysis.facts import Look, SubsetPart
from mfsweep.analysis.figures import Residual
from mfsweep.analysis.gain import FinishedCell, Gain, gains, outcomes
from mfsweep.analysis.law import Law, Refusal
from mfsweep.analysis.metric import find
from mfsweep.analysis.mixed import Mixed, mixed
from mfsweep.analysis.palette import Palette, palette
from mfsweep.analysis.records import Records, score_of
from mfsweep.analysis.search import SearchedStudy
from mfsweep.analysis.spent import UNPRICED, CostRates
from mfsweep.analysis.suite import settled
from mfsweep.analysis.table import Point, Points, as_records, points
from mfsweep.analysis.transfer import RESAMPLES, FitRequest, fit
from mfsweep.errors import FitError
from mfsweep.quantities import RESULT, MetricPath, Quantity, count
from mfsweep.records import CellRecord
from mfsweep.report_records import ClaimRecord
from mfsweep.spec.figures import Claim, Figure
from mfsweep.store import StoreFolder


class Differences(NamedTuple):
    """What auxiliary methods differ by from a target after energy offsets. `M` methods, `n` structures."""

    target: str
    methods: tuple[str, ...]
    values: NDArray[np.float64]
    """(M, n) target less method, meV/atom."""
    pearson: NDArray[np.float64]
    """(M, M) correlation of the methods' values."""


class Unpaid(NamedTuple):
    """Labels of a method that energy offsets have seen and a cell has not paid for (`data.offsets: fixed`)."""

    method: str
    labels: int
    """The most of any cell."""
    tested: tuple[float, float | None] | None
    """Only for a method that is tested: the test error of these offsets alone, and of offsets fitted on what the cell
    pays for, meV/atom; the latter None where that does not determine any."""

    @property
    def sentence(self) -> str:
        """Return what a figure of costs has to say of it."""
        labels = count(self.labels, "label")
        said = f"Energy offsets of {self.method} have seen up to {labels} that a cell does not pay for"
        if self.tested is None:
            return f"{said}."
        error, strict = self.tested
        alone = "there are none" if strict is None else f"they are off by {strict:.3g} meV/atom, not {error:.3g}"
        return f"{said} (fitted on its own alone, {alone})."


class DecisionBasis(NamedTuple):
    """What a decision takes beside the cells."""

    prices: Prices
    path: str
    """Metric that is to be low."""
    notes: Sequence[str]
    """What else there is to say of it."""


@dataclass(frozen=True, slots=True)
class ReportStudy:
    """What a report is written about: a spec, its cells, and what was planned."""

    name: str
    spec_text: str
    cells: Sequence[CellRecord]
    fits: Sequence[FitRequest] = ()
    plan: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """Counts as `mfsweep plan` prints them: cells, stages, stages_without_sharing, done."""
    residuals: Sequence[Residual] = ()
    commands: Sequence[str] = ()
    """Commands that make this study again."""
    figures: Mapping[str, Figure] = field(default_factory=dict[str, Figure])
    """Name -> what the spec asks to be drawn; without any, the errors and the laws."""
    claims: Mapping[str, Claim] = field(default_factory=dict[str, Claim])
    """Name -> statement."""
    differences: Mapping[str, Differences] = field(default_factory=dict[str, Differences])
    """Name of a figure of residuals -> its data."""
    unpaid: Sequence[Unpaid] = ()
    """Only for a study with a figure of costs."""
    search: Sequence[SearchedStudy] = ()
    """What a search of axes has found so far."""
    warnings: Sequence[str] = ()
    """What the plan has to say of the spec and its data."""
    parts: Sequence[SubsetPart] = ()
    """Who trains and tests on what, of the first partition; empty where the data are not at hand."""
    drawn: str = ""
    """How these parts were made, in a sentence."""
    basis: DecisionBasis | str = ""
    """What a decision takes, or a text that says what is missing for one. Empty: none is asked for."""
    rates: CostRates = UNPRICED
    """Prices of device-hours and energy."""
    look: Look | None = None
    """Tells what the data say of predicted structures; None where they are not at hand."""

    @property
    def methods(self) -> frozenset[str]:
        """Return the label methods that the cells train on or are scored against."""
        trained = {method for cell in self.cells for sizes in cell.sizes.values() for method in sizes}
        scored = {one["labels"] for cell in self.cells for asked in cell.evaluations.values() for one in asked}
        return frozenset(trained | scored)

    @property
    def palette(self) -> Palette:
        """Return the colours of the cells' axis values, the same in all figures."""
        return palette(self.cells, self.methods)


@dataclass(frozen=True, slots=True)
class Result:
    """One target metric over all finished cells."""

    path: MetricPath
    """With its label method."""
    outcomes: tuple[FinishedCell, ...]
    gains: tuple[Gain, ...]
    curves: tuple[SizeCurve, ...]
    offsets_only: float | None
    """Mean over distinct results of the null model's error."""


@dataclass(frozen=True, slots=True)
class Analysis:
    """Everything that the records of a study say."""

    records: Records
    laws: tuple[Law, ...]
    results: tuple[Result, ...]
    """One for each target metric of the fits; without fits, for each test error."""
    claims: tuple[ClaimRecord, ...] = ()
    """What came out for each claim of the spec."""
    mixed: tuple[Mixed, ...] = ()
    """Software and hardware that is not the same for all stages."""
    advice: Advice | str = ""
    """What to buy, or why that cannot be said; empty where it is not asked for."""


def analyse(store: StoreFolder | Records, study: ReportStudy, *, resamples: int = RESAMPLES) -> Analysis:
    """Fit every law of a study and compare its results with direct training.

    A fit that cannot be made, for want of points or of what it names, is a law that is refused with the reason: the
    other fits do not suffer for it.
    """
    records = as_records(store, study.cells)
    laws = tuple(_law_or_refusal(records, study.cells, request, resamples) for request in study.fits)
    results: dict[str, Result] = {}
    for path in dict.fromkeys(request.y for request in study.fits) or tested_errors(study.cells):
        with contextlib.suppress(FitError):  # its laws are refused, and say why
            if made := result(records, study.cells, path):
                results.setdefault(str(made.path), made)
    claims = settled([judge(records, study.cells, name, claim, study.fits) for name, claim in study.claims.items()])
    unlike = tuple(mixed(records, study.cells))
    return Analysis(records, laws, tuple(results.values()), tuple(claims), unlike, _advice(records, study))


def law(
    store: StoreFolder | Records, cells: Sequence[CellRecord], request: FitRequest, *, resamples: int = RESAMPLES
) -> Law:
    """Fit one law; where x was measured on the test set too, that gradient stands beside (docs/fairness.md#rule-12).

    Raises:
        FitError: a path or an axis that does not exist.
    """
    records = as_records(store, cells)
    found = points(records, cells, request.x, request.y, request.group_by)
    made = fit(request.name, found, resamples=resamples)
    other = _on_test(records, found)
    beside = fit(request.name, other, resamples=resamples).pooled if other else None
    return replace(made, beside={other.x: beside}) if other and beside else made


def result(store: StoreFolder | Records, cells: Sequence[CellRecord], path: str) -> Result | None:
    """Return one target metric over the finished cells, or None while there is none.

    A path of another stage than the result (the x of a joint training's law) gives None too: there is no direct
    training to compare it with.
    """
    metric = MetricPath.parse(path)
    found = outcomes(store, cells, path) if metric.stage in {RESULT, *(cell.result for cell in cells)} else []
    if not found:
        return None
    null = {one.key: one.offsets_only for one in found if one.offsets_only is not None}
    return Result(
        path=found[0].path,
        outcomes=tuple(found),
        gains=tuple(gains(found)),
        curves=tuple(curves(found)),
        offsets_only=sum(null.values()) / len(null) if null else None,
    )


def _advice(records: Records, study: ReportStudy) -> Advice | str:
    if isinstance(study.basis, str):
        return study.basis
    prices, path, notes = study.basis
    try:
        return advice(records, study.cells, prices, path, notes=notes)
    except FitError as error:
        return str(error)


def _law_or_refusal(records: Records, cells: Sequence[CellRecord], request: FitRequest, resamples: int) -> Law:
    try:
        return law(records, cells, request, resamples=resamples)
    except FitError as error:
        nothing = Points(request.x, request.y, request.group_by, ())
        return Law(request.name, nothing, (), None, (Refusal("all", {}, 0, str(error)),))


def tested_errors(cells: Sequence[CellRecord]) -> dict[str, None]:
    """Return the paths of the results' test errors, each method's by the head that has learned it."""
    asked = [evaluation for cell in cells for evaluation in cell.evaluations.get(cell.result, ())]
    own = (
        score_of(one)
        for one in asked
        if one["part"] == "test" and (one.get("own") or one.get("head") in (None, one["labels"]))
    )
    return dict.fromkeys(f"{RESULT}.{name}.{Quantity.ENERGY_MAE}" for name in own)


def _on_test(records: Records, found: Points) -> Points | None:
    """Return the points with x measured on the test set, where every one has it."""
    path = MetricPath.parse(found.x)._replace(subset=None)
    if path.part != "validation" or not len(found):
        return None
    moved: list[Point] = []
    for point in found:
        stage = records.stage(point.x_key)
        value = find(stage, path._replace(part="test", method=point.x_method)) if stage and point.x_method else None
        if stage is None or value is None or not value.value > 0:
            return None
        moved.append(replace(point, x=value.value, x_step=stage.weights[value.name].step))
    return replace(found, x=str(path._replace(part="test")), points=tuple(moved))
