"""How errors follow sizes: one model of log error for all ways of training, from the cells that were measured.

    log E = a + b log n_ft + c x + d x log n_ft  + replicate + pre-training + rest,    x = -log(1 / n_pre + 1 / s)

A *way* is a strategy with an auxiliary method, and has its own a, b, c, d and s; direct training has no n_pre, so that
its line is a + b log n_ft, and ways are compared by what they predict. The gain by auxiliary labels is straight in
log n_pre far below the scale s, and used up far above it; s = infinity is a straight line. Cells of one replicate share
its difficulty, cells of one pre-training its error: both are random intercepts (docs/fairness.md#rule-12). A term that
a way's sizes cannot tell apart from the others is left out of it.

Here the scales are given. What is not known of them is carried along as alternatives (saturation.py).

Legend: `N` cells, `D` designs (a way with its sizes), `P` fixed effects, `K` variance components. Sizes are numbers of
labels; n_pre is 0 where there are no auxiliary labels. Errors are of any unit, and their logarithms natural.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from mfsweep.analysis import reml
from mfsweep.analysis.measured_cells import MeasuredCells, Way
from mfsweep.errors import FitError

Floats = NDArray[np.float64]

Term = tuple[int, int]
"""Powers of log n_ft and of x."""
FORMS: Mapping[str, tuple[Term, ...]] = {
    "sizes": ((0, 0), (1, 0), (0, 1)),
    "product": ((0, 0), (1, 0), (0, 1), (1, 1)),
}
"""Name of the model -> its terms, from the plainest."""
LINEAR: tuple[Term, Term] = ((1, 0), (0, 1))
DEPENDENT = 1e-7
"""Share of a column that the columns before it must leave, for it to be a term of its own."""


class Prediction(NamedTuple):
    """The log errors of designs, each field (D,)."""

    mean: Floats
    """The line."""
    sd: Floats
    """Standard error of the line: of the mean over replicates without end."""
    sd_new: Floats
    """Standard deviation for one new training on a new replicate."""
    freedom: Floats
    """Degrees of freedom of `sd_new`."""

    def interval(self, level: float = 0.95) -> tuple[Floats, Floats]:
        """Return the interval of one new training's log error, Student's."""
        half = self.sd_new * stats.t.ppf((1 + level) / 2, self.freedom)
        return self.mean - half, self.mean + half


@dataclass(frozen=True)
class Effects:
    """The fixed effects of a model: which there are, and where they stand."""

    terms: Mapping[Way, tuple[Term, ...]]
    """The terms that each way's sizes can tell apart; the fixed effects are theirs, in this order."""
    scales: Mapping[Way, float]
    """The s of each way; infinity where it is not there."""
    centre: Floats
    """(2,) what is taken off log n_ft and x, so that no term is large."""
    design: Floats
    """(N, P) of the cells."""

    def rows(self, n_pre: ArrayLike, n_ft: ArrayLike, way: Way) -> Floats:
        """Return designs of one way, (D, P); arguments and errors as of `ErrorModel.rows`."""
        if way not in self.terms:
            raise FitError(f"{way}: no cell was measured; there are {'; '.join(map(str, self.terms))}")
        pre, ft = np.broadcast_arrays(np.atleast_1d(np.asarray(n_pre, float)), np.asarray(n_ft, float))
        if not ((ft > 0).all() and (pre >= 0).all()):
            raise FitError(f"{way}: sizes above 0 are expected")
        rows = np.zeros((len(pre), self.design.shape[1]))
        logs = _logs(pre, ft, self.scales.get(way, math.inf)) - self.centre
        rows[:, _places(self.terms)[way]] = _columns(logs, self.terms[way])
        return rows


class Alternative(NamedTuple):
    """One of several scales that a way may have."""

    weight: float
    """Its probability; those of a way sum to 1."""
    scale: float
    effects: Effects
    beta: Floats
    """(P,)."""


@dataclass(frozen=True)
class ErrorModel:
    """A fitted model."""

    form: str
    """One of FORMS."""
    cells: MeasuredCells
    """What it was fitted on."""
    effects: Effects
    fitted: reml.MixedFit
    alternatives: Mapping[Way, tuple[Alternative, ...]] = field(default_factory=dict[Way, tuple[Alternative, ...]])
    """The scales that a way may have, with all others as they are here; none: this one is known."""

    @property
    def beta(self) -> Floats:
        """Return the fixed effects, (P,)."""
        return self.fitted.beta

    @property
    def covariance(self) -> Floats:
        """Return the covariance of `beta` with the scales as they are, (P, P)."""
        return self.fitted.covariance

    def rows(self, n_pre: ArrayLike, n_ft: ArrayLike, method: str, strategy: str) -> Floats:
        """Return designs of one way, (D, P): rows @ beta are their log errors, rows @ covariance @ rows.T is theirs.

        Both are with the scales as they are; `predict` counts the alternatives too.

        Args:
            n_pre: (D,) or one number.
            n_ft: (D,) or one number.
            method: auxiliary label method; empty of direct training.
            strategy: as the cells name it.

        Raises:
            FitError: a way of which no cell was measured, or a size that is not above 0.
        """
        return self.effects.rows(n_pre, n_ft, Way(strategy, method))

    @property
    def terms(self) -> Mapping[Way, tuple[Term, ...]]:
        """Return the terms of each way."""
        return self.effects.terms

    def each(self, n_pre: ArrayLike, n_ft: ArrayLike, method: str, strategy: str) -> tuple[Floats, Floats]:
        """Return the weights (A,) of a way's alternatives, and the log errors (A, D) of designs by each.

        Arguments and errors are those of `rows`.
        """
        way = Way(strategy, method)
        known = self.alternatives.get(way)
        if not known:
            return np.ones(1), (self.rows(n_pre, n_ft, method, strategy) @ self.beta)[None, :]
        found = [one.effects.rows(n_pre, n_ft, way) @ one.beta for one in known]
        return np.array([one.weight for one in known]), np.stack(found)

    def predict(self, n_pre: ArrayLike, n_ft: ArrayLike, method: str, strategy: str) -> Prediction:
        """Return the log errors of designs of one way; arguments and errors as of `rows`.

        The variances between the alternatives are added to those of the line.
        """
        rows = self.rows(n_pre, n_ft, method, strategy)
        weights, each = self.each(n_pre, n_ft, method, strategy)
        mean = weights @ each
        between = weights @ (each - mean) ** 2
        line = reml.contrasts(self.fitted, rows)
        new = reml.contrasts(self.fitted, rows, np.ones(len(self.fitted.theta)))
        sd, sd_new = (np.sqrt(one.error**2 + between) for one in (line, new))
        return Prediction(mean, sd, sd_new, new.freedom)

    def below(self, first: Sized, second: Sized) -> float:
        """Return the probability that the first design's line lies below the second's.

        What the replicates have in common falls out of it. By Student's t with Satterthwaite's degrees of freedom.
        """
        ours, others = (self.rows(*one)[0] for one in (first, second))
        ahead = reml.contrast(self.fitted, others - ours)
        weights, each = self.each(*first)
        mean, between = _moments(weights, each[:, 0])
        if first[2:] == second[2:]:
            mean, between = _moments(weights, self.each(*second)[1][:, 0] - each[:, 0])
        else:
            other = _moments(*(one if one.ndim == 1 else one[:, 0] for one in self.each(*second)))
            mean, between = other[0] - mean, other[1] + between
        error = math.sqrt(ahead.error**2 + between)
        if error == 0:
            return 0.5 if mean == 0 else float(mean > 0)
        return float(special.stdtr(ahead.freedom, mean / error))


Sized = tuple[float, float, str, str]
"""n_pre, n_ft, method and strategy of one design."""


def fit(cells: MeasuredCells, form: str = "product", scales: Mapping[Way, float] | None = None) -> ErrorModel:
    """Fit the model of one form by restricted maximum likelihood.

    Args:
        cells: measured ones.
        form: one of FORMS.
        scales: the s of each way, as far as it is not infinity.

    Raises:
        FitError: there are no more cells than fixed effects.
    """
    found = effects(cells, form, scales or {})
    number, count = found.design.shape
    if number <= count:
        told = f"{number} cells cannot carry {count} effects of ways and sizes"
        raise FitError(f"{told}: more sizes or replicates are needed")
    return ErrorModel(form, cells, found, reml.fit(np.log(cells.error), found.design, shared(cells)))


def effects(cells: MeasuredCells, form: str, scales: Mapping[Way, float]) -> Effects:
    """Return the fixed effects of cells; arguments as of `fit`."""
    logs = np.empty((len(cells.error), 2))
    for way, members in cells.members.items():
        logs[members] = _logs(cells.n_pre[members], cells.n_ft[members], scales.get(way, math.inf))
    auxiliary = logs[cells.n_pre > 0, 1]
    centre = np.array([logs[:, 0].mean(), auxiliary.mean() if len(auxiliary) else 0.0])
    logs = logs - centre
    terms = {way: _told_apart(logs[members], FORMS[form]) for way, members in cells.members.items()}
    design = np.zeros((len(cells.error), sum(map(len, terms.values()))))
    for way, places in _places(terms).items():
        design[cells.members[way], places] = _columns(logs[cells.members[way]], terms[way])
    return Effects(terms, scales, centre, design)


def _moments(weights: Floats, values: Floats) -> tuple[float, float]:
    mean = float(weights @ values)
    return mean, float(weights @ (values - mean) ** 2)


def _logs(n_pre: Floats, n_ft: Floats, scale: float) -> Floats:
    """Return log n_ft and x, (D, 2); x of no auxiliary labels is 0."""
    x = -np.log(1 / np.where(n_pre > 0, n_pre, 1.0) + 1 / scale)
    return np.column_stack([np.log(n_ft), np.where(n_pre > 0, x, 0.0)])


def _places(terms: Mapping[Way, Sequence[Term]]) -> dict[Way, slice]:
    """Return where the effects of each way stand among all."""
    ends = np.cumsum([len(own) for own in terms.values()]).tolist()
    return {way: slice(end - len(own), end) for (way, own), end in zip(terms.items(), ends, strict=True)}


def _columns(logs: Floats, terms: Sequence[Term]) -> Floats:
    return np.column_stack([logs[:, 0] ** ft * logs[:, 1] ** pre for ft, pre in terms])


def _told_apart(logs: Floats, terms: Sequence[Term]) -> tuple[Term, ...]:
    """Return the terms whose columns the ones before them do not make up; a product only with both of its factors."""
    kept: list[Term] = []
    basis = np.empty((len(logs), 0))
    for term in terms:
        if any(power and sum(term) > 1 and factor not in kept for power, factor in zip(term, LINEAR, strict=True)):
            continue
        column = _columns(logs, [term])[:, 0]
        left = column - basis @ (basis.T @ column)
        left -= basis @ (basis.T @ left)
        length = float(np.linalg.norm(left))
        if length > DEPENDENT * max(float(np.linalg.norm(column)), 1.0):
            kept.append(term)
            basis = np.column_stack([basis, left / length])
    return tuple(kept)


def sharing(cells: MeasuredCells) -> dict[str, Sequence[Hashable]]:
    """Return the components beside the residual, `replicate` and `pretraining`, with what each cell shares (N,).

    Of pre-trainings only where these are not the same.
    """
    found: dict[str, Sequence[Hashable]] = {}
    parts: list[Floats] = []
    for name, labels in (("replicate", cells.replicate), ("pretraining", cells.pretraining)):
        # One label a cell is the residual; one label in all is an intercept.
        if labels is None or not 1 < len(set(labels)) < len(labels):
            continue
        part = alike(labels, labels)
        if not any(np.array_equal(part, other) for other in parts):
            found[name] = labels
            parts.append(part)
    return found


def alike(ones: Sequence[Hashable], others: Sequence[Hashable]) -> Floats:
    """Return (N, M): 1 where two labels are the same, else 0."""
    number = {label: place for place, label in enumerate(dict.fromkeys([*ones, *others]))}
    first, second = (np.array([number[label] for label in own], dtype=np.int64) for own in (ones, others))
    return (first[:, None] == second[None, :]).astype(np.float64)


def shared(cells: MeasuredCells) -> list[Floats]:
    """Return the covariances (N, N) of the components beside the residual, in the order of `sharing`."""
    return [alike(labels, labels) for labels in sharing(cells).values()]
