from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from mfsweep.analysis import reml

# Reaction times (ms) of 18 subjects on ten days of little sleep: Belenky et al. (2003), as published with lme4.
SLEEP = """
249.5600 258.7047 250.8006 321.4398 356.8519 414.6901 382.2038 290.1486 430.5853 466.3535
222.7339 205.2658 202.9778 204.7070 207.7161 215.9618 213.6303 217.7272 224.2957 237.3142
199.0539 194.3322 234.3200 232.8416 229.3074 220.4579 235.4208 255.7511 261.0125 247.5153
321.5426 300.4002 283.8565 285.1330 285.7973 297.5855 280.2396 318.2613 305.3495 354.0487
287.6079 285.0000 301.8206 320.1153 316.2773 293.3187 290.0750 334.8177 293.7469 371.5811
234.8606 242.8118 272.9613 309.7688 317.4629 309.9976 454.1619 346.8311 330.3003 253.8644
283.8424 289.5550 276.7693 299.8097 297.1710 338.1665 332.0265 348.8399 333.3600 362.0428
265.4731 276.2012 243.3647 254.6723 279.0244 284.1912 305.5248 331.5229 335.7469 377.2990
241.6083 273.9472 254.4907 270.8021 251.4519 254.6362 245.4523 235.3110 235.7541 237.2466
312.3666 313.8058 291.6112 346.1222 365.7324 391.8385 404.2601 416.6923 455.8643 458.9167
236.1032 230.3167 238.9256 254.9220 250.7103 269.7744 281.5648 308.1020 336.2806 351.6451
256.2968 243.4543 256.2046 255.5271 268.9165 329.7247 379.4445 362.9184 394.4872 389.0527
250.5265 300.0576 269.8939 280.5891 271.8274 304.6336 287.7466 266.5955 321.5418 347.5655
221.6771 298.1939 326.8785 346.8555 348.7402 352.8287 354.4266 360.4326 375.6406 388.5417
271.9235 268.4369 257.2424 277.6566 314.8222 317.2135 298.1353 348.1229 340.2800 366.5131
225.2640 234.5235 238.9008 240.4730 267.5373 344.1937 281.1481 347.5855 365.1630 372.2288
269.8804 272.4428 277.8989 281.7895 279.1705 284.5120 259.2658 304.6306 350.7807 369.4692
269.4117 273.4740 297.5968 310.6316 287.1726 329.6076 334.4818 343.2199 369.1417 364.1236
"""


def sleep():
    times = np.array(SLEEP.split(), dtype=float)
    subject, day = np.repeat(np.arange(18), 10), np.tile(np.arange(10.0), 18)
    same = reml.groups_of(subject)
    crossed = same * (day[:, None] + day[None, :])
    return times, np.column_stack([np.ones(180), day]), same, crossed, same * np.outer(day, day)


def test_random_intercepts_and_slopes_are_those_that_lme4_and_lmertest_publish():
    times, design, *parts = sleep()
    model = reml.fit(times, design, parts)
    intercept, slope = (reml.contrast(model, weights) for weights in np.eye(2))
    assert intercept == pytest.approx((251.405, 6.825, 17.0), rel=1e-3)
    assert slope == pytest.approx((10.467, 1.546, 17.0), rel=1e-3)
    # lme4: standard deviations 24.741 and 5.922, residual 25.592, correlation 0.07.
    residual, levels, both, slopes = model.theta
    assert np.sqrt([residual, levels, slopes]) == pytest.approx([25.592, 24.741, 5.922], rel=1e-3)
    assert both / np.sqrt(levels * slopes) == pytest.approx(0.066, abs=0.005)
    assert slope.p_value() == pytest.approx(3.26e-6, rel=0.01)


def test_random_intercepts_alone_are_those_that_lme4_publishes():
    times, design, same, *_ = sleep()
    model = reml.fit(times, design, [same])
    assert reml.contrast(model, np.array([0.0, 1.0])) == pytest.approx((10.4673, 0.8042, 161.0), rel=1e-3)
    assert np.sqrt(model.theta) == pytest.approx([30.991, 37.124], rel=1e-3)


def test_without_components_it_is_ordinary_least_squares():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(2, 12))
    found = reml.contrast(reml.fit(y, np.column_stack([np.ones(12), x])), np.array([0.0, 1.0]))
    expected = stats.linregress(x, y)
    assert found == pytest.approx((expected.slope, expected.stderr, 10.0))
    assert found.p_value() == pytest.approx(expected.pvalue)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_random_intercept_of_a_mean_is_students_t_of_the_group_means_whatever_its_sign(scale):
    # Groups that differ less than chance would make them: the component is below zero, and the test still exact.
    rng = np.random.default_rng(2)
    values = rng.normal(size=(5, 4))
    values += 0.1 * rng.normal(size=(5, 1)) - 0.9 * values.mean(axis=1, keepdims=True)
    group = np.repeat(np.arange(5), 4)
    model = reml.fit(scale * values.ravel(), np.ones((20, 1)), [reml.groups_of(group)])
    means = scale * values.mean(axis=1)
    assert model.theta[1] < 0
    found = reml.contrast(model, np.ones(1))
    assert found == pytest.approx((means.mean(), stats.sem(means), 4.0), rel=1e-6)
    assert found.half_width() == pytest.approx(stats.sem(means) * stats.t.ppf(0.975, 4))


def test_data_without_error_have_none():
    x = np.arange(6.0)
    model = reml.fit(3 + 2 * x, np.column_stack([np.ones(6), x]), [reml.groups_of(np.repeat([0, 1], 3))])
    assert reml.contrast(model, np.array([0.0, 1.0])) == pytest.approx((2.0, 0.0, 4.0))


def test_a_new_observation_has_the_variance_of_the_mean_and_its_own():
    values = np.array([1.0, 2.0, 4.0, 7.0])
    found = reml.contrast(reml.fit(values, np.ones((4, 1))), np.ones(1), more=np.ones(1))
    assert found == pytest.approx((3.5, values.std(ddof=1) * np.sqrt(1.25), 3.0))
