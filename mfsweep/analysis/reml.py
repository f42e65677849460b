"""Linear mixed models by restricted maximum likelihood, with Satterthwaite's degrees of freedom.

Legend: `N` observations, `P` fixed effects, `K` variance components. The covariance is V = sum_k theta_k A_k, with
known symmetric A_k (N, N), the first the identity. A component may be below zero as long as V is positive definite: in
balanced designs the estimates are then those of the analysis of variance, and the tests exact.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, stats

from mfsweep.analysis.interval import Interval

Floats = NDArray[np.float64]

STEPS = 60
"""Scoring steps at most; ten are many."""
EXACT = 1e-11
"""Share of y's standard deviation below which residuals are rounding: the model then fits without error."""


SINGULAR = 1e-9
"""Least pivot of V over its greatest one: data that lie in a subspace would lead to none."""


class MixedFit(NamedTuple):
    """A fitted model."""

    beta: Floats
    """(P,) fixed effects."""
    covariance: Floats
    """(P, P) of `beta`."""
    theta: Floats
    """(K,) variance components, the residual's first."""
    theta_covariance: Floats
    """(K, K), from the expected information."""
    slopes: Floats
    """(K, P, P): derivatives of `covariance` by each component."""
    freedom: int
    """N - P."""


class Estimate(NamedTuple):
    """A number with its standard error and degrees of freedom."""

    value: float
    error: float
    freedom: float

    def half_width(self, level: float = 0.95) -> float:
        """Return half the width of Student's interval."""
        return self.error * float(stats.t.ppf((1 + level) / 2, self.freedom))

    def interval(self, level: float = 0.95) -> Interval:
        """Return Student's interval."""
        half = self.half_width(level)
        return Interval(self.value - half, self.value + half)

    def p_value(self, null: float = 0.0) -> float:
        """Return the two-sided p-value of `null`."""
        if self.error == 0:
            return 1.0 if self.value == null else 0.0
        return float(2 * stats.t.sf(abs(self.value - null) / self.error, self.freedom))


def groups_of(labels: NDArray[np.int64]) -> Floats:
    """Return (N, N): 1 where two observations have one label, the component of a random intercept."""
    return (labels[:, None] == labels[None, :]).astype(np.float64)


def mean_of(values: Sequence[float]) -> Estimate:
    """Return the mean of independent values (R,) with its standard error; without one where R is 1."""
    found = np.asarray(values, dtype=np.float64)
    error = float(found.std(ddof=1)) / math.sqrt(len(found)) if len(found) > 1 else math.nan
    return Estimate(float(found.mean()), error, float(len(found) - 1))


class _State(NamedTuple):
    likelihood: float
    score: Floats
    information: Floats


def fit(y: Floats, design: Floats, parts: Sequence[Floats] = ()) -> MixedFit:
    """Fit y (N,) = design (N, P) beta + error; arguments as of `MixedDesign` and `MixedDesign.fit`."""
    return MixedDesign(design, parts).fit(y)


class MixedDesign:
    """A design with its components: what several responses share is made once.

    Restricted likelihood is that of what the fixed effects leave, which is looked at in an orthonormal basis (N - P).
    """

    def __init__(self, design: Floats, parts: Sequence[Floats] = ()) -> None:
        """Take a design.

        Arguments:
            design: (N, P) fixed effects, of full rank, P < N.
            parts: A_k (N, N) of the components beside the residual.
        """
        self.design = design
        self.shapes = np.stack([np.eye(len(design)), *parts])
        self.basis = np.linalg.qr(design, mode="complete")[0][:, design.shape[1] :]
        self.parts = [self.basis.T @ part @ self.basis for part in parts]
        self.largest = 0.0
        if len(parts) == 1:
            # With one component beside the residual both are diagonal in its basis, and a step costs nothing.
            self.eigenvalues, vectors = np.linalg.eigh(self.parts[0])
            self.basis = self.basis @ vectors
            self.largest = float(np.linalg.eigvalsh(parts[0])[-1])

    def fit(self, y: Floats) -> MixedFit:
        """Fit a response (N,).

        The components solve the equations of restricted likelihood by Fisher scoring (Searle, Casella and McCulloch
        1992, chapter 6); each step is halved until V is positive definite and the likelihood does not fall.
        """
        freedom = self.basis.shape[1]
        left = self.basis.T @ y
        start = float(left @ left) / freedom
        if math.sqrt(start) <= EXACT * max(float(np.abs(y).max()), 1.0):
            return _exact(y, self.design, len(self.shapes), freedom)
        # In units of the residual variance, so that one tolerance serves every scale.
        left = left / math.sqrt(start)
        theta = np.eye(len(self.shapes))[0]
        state = self._state(left, theta)
        assert state is not None
        for _ in range(STEPS if self.parts else 0):
            moved = self._moved(left, theta, state)
            if moved is None:
                break
            change, theta, state = float(np.abs(moved[0] - theta).max()), *moved
            if change < 1e-9:
                break
        return self._model(y, theta, state, start)

    def _model(self, y: Floats, theta: Floats, state: _State, scale: float) -> MixedFit:
        inverse = np.linalg.inv(np.tensordot(theta, self.shapes, 1))
        covariance = np.linalg.inv(self.design.T @ inverse @ self.design)
        half = inverse @ self.design @ covariance
        return MixedFit(
            beta=half.T @ y,
            covariance=np.asarray(covariance * scale, dtype=np.float64),
            theta=theta * scale,
            theta_covariance=np.asarray(np.linalg.pinv(state.information, hermitian=True) * scale**2, np.float64),
            slopes=np.stack([half.T @ shape @ half for shape in self.shapes]),
            freedom=self.basis.shape[1],
        )

    def _moved(self, left: Floats, theta: Floats, state: _State) -> tuple[Floats, _State] | None:
        step = np.linalg.pinv(state.information, hermitian=True) @ state.score
        for halving in range(30):
            moved = theta + step / 2**halving
            found = self._state(left, moved)
            if found and found.likelihood >= state.likelihood - 1e-12:
                return moved, found
        return None

    def _state(self, left: Floats, theta: Floats) -> _State | None:
        """Return the restricted likelihood at `theta` with its derivatives; None where V is not positive definite."""
        if len(self.parts) > 1:
            return self._dense(left, theta)
        values = self.eigenvalues if self.parts else np.zeros(len(left))
        powers = np.stack([np.ones(len(left)), values])[: len(theta)]
        spread = theta @ powers
        outer = theta[0] + (theta[1] * self.largest if self.parts else 0.0)
        if min(float(spread.min()), outer, float(theta[0])) < SINGULAR * max(float(spread.max()), outer):
            return None
        weighted = powers / spread
        squares = left**2 / spread
        likelihood = -(float(np.log(spread).sum()) + float(squares.sum())) / 2
        return _State(likelihood, weighted @ (squares - 1) / 2, weighted @ weighted.T / 2)

    def _dense(self, left: Floats, theta: Floats) -> _State | None:
        try:
            whole = np.diag(np.linalg.cholesky(np.tensordot(theta, self.shapes, 1))) ** 2
            within = np.stack([np.eye(len(left)), *self.parts])
            root = np.linalg.cholesky(np.tensordot(theta, within, 1))
        except np.linalg.LinAlgError:
            return None
        if whole.min() < SINGULAR * whole.max():
            return None
        half = np.linalg.inv(root)
        inverse = half.T @ half
        solved = inverse @ left
        products = inverse @ within
        squares = np.einsum("i,kij,j->k", solved, within, solved)
        information = np.einsum("kij,lji->kl", products, products) / 2
        likelihood = -float(np.log(np.diag(root)).sum()) - float(left @ solved) / 2
        return _State(likelihood, (squares - np.trace(products, axis1=1, axis2=2)) / 2, information)


class Estimates(NamedTuple):
    """Numbers (D,) with their standard errors and degrees of freedom."""

    value: Floats
    error: Floats
    freedom: Floats


def contrast(model: MixedFit, weights: Floats, more: Floats | None = None) -> Estimate:
    """Return weights (P,) @ beta with its standard error and Satterthwaite's degrees of freedom (1946).

    Arguments:
        model: from `fit`.
        weights: of the fixed effects.
        more: (K,), variance that is added, theta @ more: that of a new observation.
    """
    found = contrasts(model, weights[None, :], more)
    return Estimate(float(found.value[0]), float(found.error[0]), float(found.freedom[0]))


def contrasts(model: MixedFit, weights: Floats, more: Floats | None = None) -> Estimates:
    """Return what `contrast` does, of many weights (D, P) at once."""
    variance = np.einsum("dp,pq,dq->d", weights, model.covariance, weights)
    by_theta = np.einsum("dp,kpq,dq->dk", weights, model.slopes, weights)
    if more is not None:
        variance, by_theta = variance + float(more @ model.theta), by_theta + more
    # What has no variance has no error, and the freedom of the residual.
    spread = np.where(variance > 0, np.einsum("dk,kl,dl->d", by_theta, model.theta_covariance, by_theta), 0.0)
    freedom = np.full(len(weights), float(model.freedom))
    known = spread > 0
    freedom[known] = np.clip(2 * variance[known] ** 2 / spread[known], 1.0, float(model.freedom))
    return Estimates(weights @ model.beta, np.sqrt(np.maximum(variance, 0.0)), freedom)


def root_of(parts: Sequence[Floats], theta: Floats) -> Floats:
    """Return the Cholesky root (N, N) of V = sum_k theta_k A_k, `parts` without the identity."""
    size = len(parts[0]) if parts else 1
    covariance = np.tensordot(theta, np.stack([np.eye(size), *parts]), 1)
    return np.asarray(np.linalg.cholesky(covariance), dtype=np.float64)


def given(y: Floats, design: Floats, root: Floats | None) -> Known:
    """Fit y (N,) = design (N, P) beta + error, whose covariance is known up to a factor.

    Arguments:
        y: the response.
        design: fixed effects, of full rank.
        root: of the covariance, from `root_of`; None: the identity.
    """
    columns = np.column_stack([design, y])
    if root is not None:
        columns = np.asarray(linalg.solve_triangular(root, columns, lower=True), dtype=np.float64)
    beta = np.linalg.lstsq(columns[:, :-1], columns[:, -1])[0]
    left = columns[:, -1] - columns[:, :-1] @ beta
    return Known(np.asarray(beta, dtype=np.float64), float(left @ left) / (len(y) - design.shape[1]))


class Known(NamedTuple):
    """Effects with a covariance that is known up to a factor."""

    beta: Floats
    """(P,)."""
    factor: float
    """The covariance over the known one, by the residuals."""


def _exact(y: Floats, design: Floats, parts: int, freedom: int) -> MixedFit:
    fixed = design.shape[1]
    return MixedFit(
        np.asarray(np.linalg.lstsq(design, y)[0], dtype=np.float64),
        np.zeros((fixed, fixed)),
        np.zeros(parts),
        np.zeros((parts, parts)),
        np.zeros((parts, fixed, fixed)),
        freedom,
    )
