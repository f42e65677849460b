from __future__ import annotations

import numpy as np
import pytest

from mfsweep.analysis import regression
from mfsweep.analysis.gradient import RegressionSample


def design(rng, *, sizes=4, replicates=2, groups=2, gradient=1.35, x_noise=0.0, shared=0.0, own=0.0, nested=False):
    """Return points of several groups; `x_noise` and `shared` (of y) are common to the points of a cluster."""
    clusters = sizes * replicates * (groups if nested else 1)
    truth = np.tile(np.repeat(np.linspace(0, 2.3, sizes), replicates), groups if nested else 1)
    x = truth + x_noise * rng.normal(size=clusters)
    cluster = np.arange(clusters) if nested else np.tile(np.arange(clusters), groups)
    group = np.repeat(np.arange(groups), sizes * replicates)
    slope = np.broadcast_to(gradient, groups)[group]
    y = slope * truth[cluster] + (shared * rng.normal(size=clusters))[cluster] + own * rng.normal(size=len(cluster))
    return RegressionSample(x[cluster], y - 0.7 * group, group, cluster, np.zeros(len(cluster), dtype=int))


@pytest.mark.parametrize("nested", [False, True])
def test_equal_gradients_are_rarely_told_apart_and_unequal_ones_are(nested):
    rng = np.random.default_rng(8)
    noise = {"sizes": 4, "replicates": 3, "x_noise": 0.05, "shared": 0.05, "own": 0.05, "nested": nested}
    equal = [regression.equal_gradients(design(rng, **noise), 199, rng).p_value for _ in range(150)]
    assert np.mean(np.array(equal) <= 0.05) <= 0.11
    unequal = [regression.equal_gradients(design(rng, gradient=(1.35, 0.9), **noise), 199, rng) for _ in range(20)]
    assert np.mean([test.p_value <= 0.05 for test in unequal]) >= 0.9


def test_what_the_points_of_a_replicate_share_hides_no_difference():
    rng = np.random.default_rng(9)
    told = []
    for _ in range(20):
        sample = design(rng, gradient=(1.35, 0.9), x_noise=0.02, shared=0.02, own=0.02, replicates=3)
        replicate = sample.cluster % 3
        levels = rng.normal(size=(3, 2))[replicate, sample.group]
        harder = sample._replace(replicate=replicate, y=sample.y + levels)
        told.append(regression.equal_gradients(regression.within_blocks(harder), 199, rng).p_value <= 0.05)
    assert np.mean(told) >= 0.9
