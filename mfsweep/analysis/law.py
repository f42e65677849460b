"""A transfer law as a result: its lines, what may be said of them in words, and plain rows.

The fit itself is in transfer.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from mfsweep.analysis.checks import LineChecks
from mfsweep.analysis.interval import Interval
from mfsweep.analysis.regression import Equality
from mfsweep.analysis.table import Points
from mfsweep.quantities import count

CANNOT_TELL = 0.3
"""Half-width of a gradient's interval above which it says nothing."""
CAPPED = "max_steps stopped a stage behind them, or its head was still improving"
"""What keeps a number from a claim (docs/fairness.md#rule-10)."""
WEAK = "x follows its size too weakly to allow for its errors (these are least squares); sizes further apart would do"
MARGIN = 1.15
"""How far a band, and the panel that shows it, goes beyond the outermost points of a law: a factor of x."""
SHOWN = 4
"""Groups whose new pre-trainings are named in a sentence; rows have all."""
TOLD_WITHIN = 1e3
"""Ratio of the ends of an interval of y from which on it says nothing."""
POOLED = "pooled"
POOLED_CONVERGED = "pooled, converged only"


class Verdict(StrEnum):
    """What may be said of a gradient."""

    LAW = "law"
    CANNOT_TELL = "cannot tell"
    NO_CLAIM = "no claim"
    REFUSED = "refused"


class Band(NamedTuple):
    """Where a line lies with 95 % confidence, at some x; in the units of x and y."""

    x: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]

    def at_lowest(self) -> dict[str, float]:
        """Return the band at the lowest x, that of the best pre-training."""
        return {"x": self.x[0], "low": self.low[0], "high": self.high[0]}


@dataclass(frozen=True, slots=True)
class FittedLine:
    """One fitted line, y = prefactor * x ** gradient."""

    group: str
    values: dict[str, Any]
    """Axis -> value of the group; empty for the pooled line."""
    gradient: float
    interval: Interval
    """95 %, errors of x allowed for where `by_size`; else the same as by least squares."""
    error: float
    """Standard error of the gradient."""
    freedom: float
    """Degrees of freedom of its interval."""
    least_squares: float
    interval_least_squares: Interval
    """What least squares gives, which noise of x flattens."""
    by_size: bool
    """Whether the pre-training size is the instrument."""
    weak: bool
    """Whether it would be, but x follows it too weakly: the numbers are then least squares, and no verdict."""
    own_slopes: bool
    """Whether replicates differ in their gradients by more than chance."""
    prefactor: float
    """exp(c). Pooled: the geometric mean over points of y / x ** gradient (each group has its own intercept)."""
    r2: float
    """Share of the variance of log y within groups that least squares explain."""
    n: int
    clusters: int
    """Pre-trainings behind the n points."""
    replicates: str
    """How many there are, and of what, in words."""
    capped: int
    """How many of the n points have not converged (docs/fairness.md#rule-10)."""
    is_curved: bool = False
    """Whether a straight line through the points of all groups is refused (`LineChecks`)."""
    band: Band | None = None
    """Band of a single group's line; the pooled line has as many intercepts as groups, and no band."""
    prediction: Band | None = None
    """Where one new pre-training in a new replicate lies with 95 % confidence."""

    @property
    def behind(self) -> str:
        """Return what the line is through, in words."""
        return through(self.n, self.clusters)

    @property
    def disagree(self) -> bool:
        """Return whether least squares and the gradient by size have no value in common."""
        (low, high), (below, above) = self.interval, self.interval_least_squares
        return high < below or low > above

    @property
    def verdict(self) -> Verdict:
        """Return what may be said of the gradient."""
        if self.weak or not self.interval.half_width <= CANNOT_TELL:
            return Verdict.CANNOT_TELL
        return Verdict.NO_CLAIM if self.capped or self.disagree or self.is_curved else Verdict.LAW

    @property
    def sentence(self) -> str:
        """Return the line and the verdict in words."""
        said = [f"{self.group}: gradient {self.gradient:.2f}, 95 % interval {self.interval} ({self.behind})."]
        if self.verdict is Verdict.CANNOT_TELL:
            wide = f"the half-width {self.interval.half_width:.2f} is above {CANNOT_TELL}"
            said.append(f"Cannot tell: {WEAK if self.weak else wide}.")
        if self.disagree:
            said.append(
                f"No claim is made: least squares give {self.least_squares:.2f}, {self.interval_least_squares}, "
                "which has no value in common with that."
            )
        if self.is_curved:
            said.append("No claim is made: the points lie on a curve, so that there is no one gradient.")
        if self.capped:
            said.append(f"No claim is made: {self.capped} of {count(self.n, 'point')} have not converged: {CAPPED}.")
        return " ".join(said)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A group that carries no line."""

    group: str
    values: dict[str, Any]
    n: int
    reason: str


@dataclass(frozen=True, slots=True)
class Law:
    """The fit of one x against one y."""

    name: str
    points: Points
    lines: tuple[FittedLine, ...]
    pooled: FittedLine | None
    """One gradient, own intercepts; None: refused."""
    refused: tuple[Refusal, ...]
    converged: FittedLine | None = None
    """The pooled line of the converged points alone, where some but not all points are capped."""
    equal_gradients: Equality | None = None
    """None with fewer than two lines."""
    along: dict[str, Equality] = field(default_factory=dict)
    """Axis -> the same of its values, whatever the others' are; where there are several axes."""
    checks: LineChecks | None = None
    """The checks of the pooled line."""
    method: str = ""
    """What the intervals are over, and how they follow."""
    beside: dict[str, FittedLine] = field(default_factory=dict)
    """Path of another measure of x -> pooled line against it (x on the test set beside x on the validation set)."""

    @property
    def refusal(self) -> str | None:
        """Return why there is no law at all, or None."""
        if self.pooled is not None:
            return None
        left_out = [
            count(self.points.vanished, "cell") + " without a pre-training" if self.points.vanished else "",
            count(self.points.unfinished, "cell") + " not finished" if self.points.unfinished else "",
        ]
        counts = ", ".join(text for text in left_out if text)
        reasons = [f"{one.group}: {one.reason}" for one in self.refused] or ["no cell has both x and y"]
        return f"fit {self.name!r} is refused. {'; '.join(reasons)}" + (f" ({counts})" if counts else "")

    @property
    def equality_sentence(self) -> str | None:
        """Return the test of equal gradients in words."""
        test = self.equal_gradients
        if test is None:
            return None
        how = f"{_told(test)}, wild bootstrap over {test.clusters} pre-trainings"
        axes = "".join(f" Along {axis.replace('_', ' ')} they {_told(one)})." for axis, one in self.along.items())
        claim = " No claim: points are capped." if self.pooled and self.pooled.capped else ""
        return f"The gradients of the {test.groups} groups {how}).{axes}{claim}"

    def sentences(self, *, groups: bool = True) -> list[str]:
        """Return everything that is said of the law, the pooled line first.

        Args:
            groups: with a sentence for each group's line, which a table beside it makes superfluous.
        """
        if self.refusal:
            return [self.refusal]
        assert self.pooled is not None
        said = [self.pooled.sentence]
        if self.converged:
            said.append(self.converged.sentence)
        if self.pooled.by_size and not self.pooled.disagree:
            plain = f"{self.pooled.least_squares:.2f}, {self.pooled.interval_least_squares}"
            said.append(f"By least squares, which noise of x flattens: pooled gradient {plain}.")
        for path, line in self.beside.items():
            said.append(f"Against {path}: pooled gradient {line.gradient:.2f}, {line.interval}.")
        if self.equality_sentence:
            said.append(self.equality_sentence)
        if self._predicted:
            said.append(self._predicted)
        if self.checks:
            said += self.checks.sentences()
        if apart := sum(point.apart for point in self.points):
            said.append(f"Of {count(apart, 'point')} x and y are of two checkpoints of one stage, as the paths ask.")
        if groups and len(self.lines) > 1:
            said += [line.sentence for line in self.lines]
        said += [f"{one.group}: refused, {one.reason}." for one in self.refused]
        return [*said, self.method]

    @property
    def _predicted(self) -> str:
        """Return where new pre-trainings would lie, in words; empty where no line says so."""
        told = [
            f"{line.group} {at['low']:.3g} to {at['high']:.3g} at x {at['x']:.3g}"
            for line in self.lines
            if line.prediction and (at := line.prediction.at_lowest())["high"] < TOLD_WITHIN * at["low"]
        ]
        more = f", and {len(told) - SHOWN} more groups" if len(told) > SHOWN else ""
        shown = "; ".join(told[:SHOWN])
        return f"A new pre-training in a new replicate has its y (95 %) in: {shown}{more}." if told else ""

    def as_rows(self) -> list[dict[str, Any]]:
        """Return plain rows, one a group and the pooled one last; a refused one has nulls and its reason."""
        rows = [self._row(line) for line in self.lines]
        rows += [self._refused(one.group, one.values, one.n, one.reason) for one in self.refused]
        if self.pooled is None:
            return [*rows, self._refused(POOLED, {}, 0, self.refusal or "")]
        rows.append(self._row(self.pooled))
        if self.equal_gradients:
            rows[-1]["equal_gradients_p"] = self.equal_gradients.p_value
            rows[-1]["equal_gradients_along"] = {axis: test.p_value for axis, test in self.along.items()}
        if self.checks:
            rows[-1]["checks"] = self.checks.as_row()
        rows[-1]["beside"] = {
            path: {"gradient": line.gradient} | _ends("ci", line.interval) for path, line in self.beside.items()
        }
        return rows + ([self._row(self.converged)] if self.converged else [])

    def _row(self, line: FittedLine) -> dict[str, Any]:
        return {
            "fit": self.name,
            "group": line.group,
            "gradient": line.gradient,
            **_ends("ci", line.interval),
            "prefactor": line.prefactor,
            "r2": line.r2,
            "n": line.n,
            "values": line.values,
            "clusters": line.clusters,
            "capped": line.capped,
            "replicates": line.replicates,
            "freedom": line.freedom,
            "by_size": line.by_size,
            "weak": line.weak,
            "least_squares": line.least_squares,
            **_ends("least_squares", line.interval_least_squares),
            "prediction": line.prediction.at_lowest() if line.prediction else None,
            "verdict": line.verdict.value,
            "reason": None,
        }

    def _refused(self, group: str, values: dict[str, Any], n: int, reason: str) -> dict[str, Any]:
        numbers = dict.fromkeys(("gradient", "ci_low", "ci_high", "prefactor", "r2"))
        return {
            "fit": self.name,
            "group": group,
            **numbers,
            "n": n,
            "values": values,
            "verdict": Verdict.REFUSED.value,
            "reason": reason,
        }


def through(points: int, clusters: int) -> str:
    """Return what a line is through, in words."""
    return f"{count(points, 'point')} of {count(clusters, 'pre-training')}"


def _told(test: Equality) -> str:
    return f"{'differ' if test.p_value < 0.05 else 'cannot be told apart'} (p = {test.p_value:.3g}"


def _ends(name: str, interval: Interval) -> dict[str, float | None]:
    """Return the ends of an interval as plain values, null where it has none."""
    ends = interval if interval.bounded else (None, None)
    return dict(zip((f"{name}_low", f"{name}_high"), ends, strict=True))
