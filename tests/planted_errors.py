"""Made-up cells with a known truth in them."""

from __future__ import annotations

import numpy as np

from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.measured import DIRECT, MeasuredWays
from mfsweep.analysis.measured_cells import MeasuredCells
from mfsweep.quantities import MetricPath

PRE = "pre-training"
PRICES = Prices({"cc": 6.0, "dft": 1.0, "xtb": 0.01}, "core-seconds")
TRUTH = {"": (6.0, -0.4, 0.0, 0.0), "dft": (5.5, -0.3, -0.3, 0.02), "xtb": (5.6, -0.25, -0.2, 0.01)}
"""Method -> a, b, c and d of the error model."""


def log_error(method, n_pre, n_ft, truth=None, scale=np.inf):
    """Return the true log error of sizes."""
    a, b, c, d = (truth or TRUTH)[method]
    x = -np.log(1 / n_pre + 1 / scale) if method else 0.0
    return a + b * np.log(n_ft) + c * x + d * x * np.log(n_ft)


def cells(
    methods=("dft", "xtb"),
    n_pre=(60, 300, 1800),
    n_ft=(60, 240),
    replicates=3,
    noise=0.0,
    seed=0,
    scale=np.inf,
    truth=None,
):
    """Return cells of direct training and of pre-training on some methods."""
    rng = np.random.default_rng(seed)
    rows = []
    for replicate in range(replicates):
        shift = rng.normal(0, 2 * noise)
        for method in ("", *methods):
            for pre in n_pre if method else (0,):
                for ft in n_ft:
                    y = log_error(method, pre, ft, truth, scale) + shift + rng.normal(0, noise)
                    rows.append(
                        (float(pre), float(ft), method, float(np.exp(y)), replicate, f"{replicate}{method}{pre}")
                    )
    pre, ft, method, error, replicate, parent = zip(*rows, strict=True)
    return MeasuredCells(
        np.array(pre),
        np.array(ft),
        method,
        [PRE if one else DIRECT for one in method],
        np.array(error),
        replicate,
        parent,
    )


def study(made, hours=0.001):
    """Return cells as those of a study."""
    shares = {way: {way.method: 1.0} if way.method else {} for way in made.members}
    path = MetricPath.parse("result.test.cc.energy_mae")
    return MeasuredWays(path, made, "cc", shares, np.full(len(made.error), hours), "cpu", "3 folds")
