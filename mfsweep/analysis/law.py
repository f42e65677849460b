"""A transfer law as a result: its lines, what may be said of them in words, and plain rows.

The fit itself is in transfer.py.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from mfsweep.analysis.regression import Equality, Interval
from mfsweep.analysis.table import Points
from mfsweep.quantities import count

CANNOT_TELL = 0.3
"""Half-width of a gradient's interval above which it says nothing."""
CAPPED = "max_steps stopped a stage behind them, or its head was still improving"
"""What keeps a number from a claim (README rule 10)."""
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


@dataclass(frozen=True, slots=True)
class Line:
    """One fitted line, y = prefactor * x ** gradient."""

    group: str
    values: dict[str, Any]
    """Axis -> value of the group; empty for the pooled line."""
    gradient: float
    interval: Interval
    prefactor: float
    """exp(c). Pooled: the geometric mean over points of y / x ** gradient (each group has its own intercept)."""
    r2: float
    """Share of the variance of log y that the line explains; pooled: of the variance within groups."""
    n: int
    clusters: int
    """Pre-trainings behind the n points."""
    capped: int
    """Of the n points, those that have not converged (README rule 10)."""
    gradient_eiv: float
    interval_eiv: Interval
    """Errors-in-variables (Deming) beside ordinary least squares, from the same resamples."""
    band: Band | None = None
    """Of a single group's line; the pooled one has as many intercepts as groups, and none."""

    @property
    def verdict(self) -> Verdict:
        """Return what may be said of the gradient."""
        if not self.interval.half_width <= CANNOT_TELL:
            return Verdict.CANNOT_TELL
        return Verdict.NO_CLAIM if self.capped else Verdict.LAW

    @property
    def sentence(self) -> str:
        """Return the line and the verdict in words."""
        behind = f"{count(self.n, 'point')} of {count(self.clusters, 'pre-training')}"
        said = [f"{self.group}: gradient {self.gradient:.2f}, 95 % interval {_span(self.interval)} ({behind})."]
        if self.verdict is Verdict.CANNOT_TELL:
            said.append(f"Cannot tell: the half-width {self.interval.half_width:.2f} is above {CANNOT_TELL}.")
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
    lines: tuple[Line, ...]
    pooled: Line | None
    """One gradient, own intercepts; None: refused."""
    refused: tuple[Refusal, ...]
    converged: Line | None = None
    """The pooled line of the converged points alone, where some but not all points are capped."""
    equal_gradients: Equality | None = None
    """None with fewer than two lines."""
    variance_ratio: float = 1.0
    """var(error of log y) / var(error of log x) of the errors-in-variables gradients."""
    ratio_source: str = ""
    method: str = ""
    """What was resampled, how often, and how the intervals follow."""
    beside: dict[str, Line] = field(default_factory=dict)
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
        said = "differ" if test.p_value < 0.05 else "cannot be told apart"
        how = f"p = {test.p_value:.3g}, wild bootstrap over {test.clusters} pre-trainings"
        claim = " No claim: points are capped." if self.pooled and self.pooled.capped else ""
        return f"The gradients of the {test.groups} groups {said} ({how}).{claim}"

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
        eiv = f"{self.pooled.gradient_eiv:.2f}, {_span(self.pooled.interval_eiv)}"
        said.append(f"With errors in x and y: pooled gradient {eiv} ({self.ratio_source}).")
        for path, line in self.beside.items():
            said.append(f"Against {path}: pooled gradient {line.gradient:.2f}, {_span(line.interval)}.")
        if self.equality_sentence:
            said.append(self.equality_sentence)
        if apart := sum(point.apart for point in self.points):
            said.append(f"Of {count(apart, 'point')} x and y are of two checkpoints of one stage, as the paths ask.")
        if groups and len(self.lines) > 1:
            said += [line.sentence for line in self.lines]
        said += [f"{one.group}: refused, {one.reason}." for one in self.refused]
        return [*said, self.method]

    def as_rows(self) -> list[dict[str, Any]]:
        """Return plain rows, one a group and the pooled one last; a refused one has nulls and its reason."""
        rows = [self._row(line) for line in self.lines]
        rows += [self._refused(one.group, one.values, one.n, one.reason) for one in self.refused]
        if self.pooled is None:
            return [*rows, self._refused(POOLED, {}, 0, self.refusal or "")]
        rows.append(self._row(self.pooled))
        if self.equal_gradients:
            rows[-1]["equal_gradients_p"] = self.equal_gradients.p_value
        rows[-1]["variance_ratio"] = self.variance_ratio
        rows[-1]["beside"] = {
            path: {"gradient": line.gradient, "ci_low": line.interval.low, "ci_high": line.interval.high}
            for path, line in self.beside.items()
        }
        return rows + ([self._row(self.converged)] if self.converged else [])

    def _row(self, line: Line) -> dict[str, Any]:
        return {
            "fit": self.name,
            "group": line.group,
            "gradient": line.gradient,
            "ci_low": line.interval.low,
            "ci_high": line.interval.high,
            "prefactor": line.prefactor,
            "r2": line.r2,
            "n": line.n,
            "values": line.values,
            "clusters": line.clusters,
            "capped": line.capped,
            "gradient_eiv": line.gradient_eiv,
            "ci_low_eiv": line.interval_eiv.low,
            "ci_high_eiv": line.interval_eiv.high,
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


def _span(interval: Interval) -> str:
    return f"{interval.low:.2f} to {interval.high:.2f}"
