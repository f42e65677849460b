"""What a decision is expected to lose once some more cells are trained: a knowledge gradient over correlated beliefs.

Truths are drawn as the measured cells leave them possible (regret.py), and with each of them what the cells that are
not trained yet would measure. By what they measure the prediction of every design moves, as in the linear model, and
another design may be taken. What that one loses, on average over the truths, is the expected regret with these cells:
less than now, or equal where nothing that they can measure changes the decision (Frazier, Powell and Dayanik 2009, The
knowledge-gradient policy for correlated normal beliefs).

Legend: `D` designs that are the best in some truth, `F` slots that are not trained, `M` truths, `P` fixed effects,
`N` measured cells.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mfsweep.analysis.budget.decide import Decision
from mfsweep.analysis.budget.regret import Truths, losses, truths
from mfsweep.analysis.error_model import Alternative, ErrorModel, Floats, alike, sharing
from mfsweep.analysis.measured_cells import MeasuredCells, Way

DRAWS = 1000
UNKNOWN = 1.0
"""Variance between replicates while there is one: what a first cell of another says of levels is nothing."""
LEAST = 1e-12
"""Residual variance of cells that lie on the model to rounding."""


class Foresight:
    """A decision, and what more cells are expected to do to it.

    Args:
        decision: by the measured cells.
        free: (F,) cells that are not trained; their errors mean nothing. Ways that were not measured are left out.
        spread: factor of all standard deviations.
        seed: of the draws.
    """

    def __init__(self, decision: Decision, free: MeasuredCells | None, *, spread: float = 1.0, seed: int = 0) -> None:
        model, (places, chosen) = decision.catalogue.model, decision.compared
        drawn = truths(decision.catalogue, places, draws=DRAWS, seed=seed, spread=spread)
        self.now: Floats = losses(drawn.errors, chosen)
        """(M,) loss of what is recommended now."""
        kept = np.unique(np.append(drawn.errors.argmin(axis=0), chosen))
        self._errors = drawn.errors[kept]
        self._mean = decision.catalogue.mean[places[kept]]
        self.known = np.array([], dtype=np.int64)
        """Places in `free` of the cells of measured ways."""
        if free is None:
            return
        self.known = np.flatnonzero(
            [Way(*names) in model.terms for names in zip(free.strategy, free.method, strict=True)]
        )
        if len(self.known):
            mask = np.zeros(len(free.error), dtype=np.bool_)
            mask[self.known] = True
            cells = _Untrained(model, free.only(mask))
            self._surprise = cells.surprise(drawn, np.random.default_rng(seed + 1))
            rows = decision.catalogue.rows(places[kept])
            factor = spread**2 * _inflation(model)
            self._own = factor * (cells.rows @ model.covariance @ cells.rows.T + cells.noise)
            self._cross = factor * rows @ model.covariance @ cells.rows.T
            way = np.array(decision.catalogue.way)[places[kept]]
            for number, name in enumerate(decision.catalogue.ways):
                if name in model.alternatives and name in drawn.taken:
                    here = np.flatnonzero(way == number)
                    at = places[kept[here]]
                    n_pre, n_ft = decision.catalogue.n_pre[at], decision.catalogue.n_ft[at]
                    weights, off = model.each(n_pre, n_ft, name.method, name.strategy)
                    off, other = off - weights @ off, cells.bent[name]
                    self._cross[here] += (weights * off.T) @ other
                    self._own += (weights * other.T) @ other

    def after(self, slots: Sequence[int]) -> Floats:
        """Return the losses (M,) of what is recommended once some cells are measured, places in `free`."""
        places = np.flatnonzero(np.isin(self.known, slots))
        if not len(places):
            return self.now
        gain = np.linalg.solve(self._own[np.ix_(places, places)], self._cross[:, places].T).T
        moved = self._mean[:, None] + gain @ self._surprise[places]
        return losses(self._errors, moved.argmin(axis=0))


class _Untrained:
    """What cells that are not trained share with those that are."""

    def __init__(self, model: ErrorModel, cells: MeasuredCells) -> None:
        measured = model.cells
        components = sharing(measured)
        residual, *others = np.maximum(model.fitted.theta, 0.0).tolist() or [0.0]
        theta = dict(zip(components, others, strict=False))
        if measured.replicates == 1:
            theta["replicate"] = UNKNOWN
        residual = max(residual, LEAST)
        number, new = len(measured.error), len(cells.error)
        among, between, own = residual * np.eye(number), np.zeros((new, number)), residual * np.eye(new)
        for name, variance in theta.items():
            ours, theirs = (getattr(one, name) or range(len(one.error)) for one in (cells, measured))
            own = own + variance * alike(ours, ours)
            between += variance * alike(ours, theirs)
            among = among + variance * alike(theirs, theirs)
        told = np.linalg.solve(among, between.T).T
        self._told = told
        self._model, self._cells = model, cells
        self.noise = own - told @ between.T
        """(F, F) covariance of what neither effects nor the measured cells tell."""
        self.rows = self._off(np.stack([self._row(place) for place in range(new)]), model.effects.design)
        """(F, P) by which a cell is off where effects are."""
        self.bent = {way: self._alternatives(way, known) for way, known in model.alternatives.items()}
        """Way -> (A, F) by which cells are off where one of its alternatives holds."""

    def surprise(self, drawn: Truths, generator: np.random.Generator) -> Floats:
        """Return by how much the cells lie off their predictions in each truth, (F, M)."""
        values, vectors = np.linalg.eigh(self.noise)
        chance = vectors * np.sqrt(np.maximum(values, 0.0)) @ generator.standard_normal((len(values), len(drawn.scale)))
        found = self.rows @ drawn.noise + chance * drawn.scale
        for way, off in self.bent.items():
            if way in drawn.taken:
                found += off[drawn.taken[way]].T
        return found

    def _row(self, place: int) -> Floats:
        cells = self._cells
        sizes = float(cells.n_pre[place]), float(cells.n_ft[place])
        return self._model.rows(*sizes, cells.method[place], cells.strategy[place])[0]

    def _off(self, cells: Floats, measured: Floats) -> Floats:
        """Return what of a change of cells the measured ones do not show beforehand."""
        return cells - self._told @ measured

    def _alternatives(self, way: Way, known: Sequence[Alternative]) -> Floats:
        weights = np.array([one.weight for one in known])
        cells, measured = self._lines(known, self._cells, way), self._lines(known, self._model.cells, way)
        return np.stack(
            [self._off(*pair) for pair in zip(cells - weights @ cells, measured - weights @ measured, strict=True)]
        )

    def _lines(self, known: Sequence[Alternative], cells: MeasuredCells, way: Way) -> Floats:
        """Return the log errors (A, F) of a way's cells by each alternative; 0 of other ways."""
        found = np.zeros((len(known), len(cells.error)))
        here = cells.members.get(way, np.array([], dtype=np.int64))
        if len(here):
            for line, one in zip(found, known, strict=True):
                line[here] = one.effects.rows(cells.n_pre[here], cells.n_ft[here], way) @ one.beta
        return found


def _inflation(model: ErrorModel) -> float:
    """Return the variance of Student's t over that of its scale."""
    freedom = max(model.fitted.freedom, 3)
    return freedom / (freedom - 2)
