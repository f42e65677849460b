"""The gradient of a transfer law by others: how often their intervals hold the truth, beside ours.

    python tests/evidence/others.py            # a minute on one core

Least squares with an intercept a group (as statsmodels' OLS does), orthogonal distance regression (SciPy's odr), and a
plain percentile bootstrap of points: what a script through the table of `mfsweep fit --points` would use.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from coverage import MINI, PAPER, WIDE, Design, Pair, gradients, law_interval
from scipy import stats

from mfsweep.analysis.gradient import centred
from mfsweep.analysis.pooled import sample_of
from mfsweep.analysis.table import Points

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from scipy import odr

DRAWS = 300
RESAMPLES = 400

DESIGNS = (
    MINI,
    PAPER,
    dataclasses.replace(MINI, x_noise=0.2),
    dataclasses.replace(PAPER, x_noise=0.2),
    dataclasses.replace(WIDE, x_noise=0.2),
)


class Within(NamedTuple):
    """Points about the means of their groups."""

    x: np.ndarray
    y: np.ndarray
    groups: int

    def slope(self, chosen: np.ndarray | slice = slice(None)) -> float:
        """Return the least squares gradient of some points."""
        return float(self.x[chosen] @ self.y[chosen] / (self.x[chosen] @ self.x[chosen]))


def least_squares(points: Points) -> Pair:
    """Return the interval of ordinary least squares with an intercept a group."""
    own = _within(points)
    left, free = own.y - own.slope() * own.x, len(own.x) - own.groups - 1
    half = np.sqrt(left @ left / free / (own.x @ own.x)) * stats.t.ppf(0.975, free)
    return own.slope() - half, own.slope() + half


def orthogonal(points: Points) -> Pair:
    """Return the interval of orthogonal distance regression."""
    own = _within(points)
    found = odr.ODR(odr.RealData(own.x, own.y), odr.Model(lambda beta, x: beta[0] * x), beta0=[own.slope()]).run()
    half = found.sd_beta[0] * stats.t.ppf(0.975, len(own.x) - own.groups - 1)
    return float(found.beta[0] - half), float(found.beta[0] + half)


def bootstrap(points: Points) -> Pair:
    """Return the percentile interval of resampled points."""
    own, rng = _within(points), np.random.default_rng(0)
    drawn = [own.slope(rng.integers(0, len(own.x), len(own.x))) for _ in range(RESAMPLES)]
    low, high = np.quantile(drawn, [0.025, 0.975])
    return float(low), float(high)


HOW: dict[str, Callable[[Points], Pair | None]] = {
    "mfsweep": law_interval,
    "least squares": least_squares,
    "odr": orthogonal,
    "bootstrap of points": bootstrap,
}


def row(design: Design, draws: int) -> str:
    """Return one line of the table."""
    found = [gradients("", design, draws, interval) for interval in HOW.values()]
    return f"| {design.text} | " + " | ".join(f"{one.held:.3f}, {one.half_width:.2f}" for one in found) + " |"


def _within(points: Points) -> Within:
    groups = [[point for point in points if point.group == group] for group in points.labels]
    sample = sample_of(groups)
    return Within(centred(sample.x, sample.group), centred(sample.y, sample.group), len(groups))


def main() -> None:
    """Print the table as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=DRAWS)
    draws = parser.parse_args().draws
    print("| design (coverage, half-width) | " + " | ".join(HOW) + " |\n|" + " --- |" * (1 + len(HOW)))
    for design in DESIGNS:
        print(row(design, draws), flush=True)


if __name__ == "__main__":
    main()
