"""What a law's points say against a straight line: curvature, sizes left out, and the size on which most rests.

Legend: `N` points. Logarithms are natural.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy import stats

from mfsweep.analysis import reml
from mfsweep.analysis.gradient import Floats, RegressionSample, centred, freedom, gradient, instrument

CURVED = 0.05
"""p-value below which a straight line is refused."""
SEEN = 0.8
"""Power below which a curvature that is not seen may well be there."""


class LineChecks(NamedTuple):
    """What was looked at to see whether the pooled line may be a straight one."""

    curvature: reml.Estimate
    """Coefficient of (log x) ** 2."""
    power: float
    """Probability that a gradient that falls by half over these x would have been seen as curvature."""
    saturating: float | None
    """AICc of y = a + b x ** m less that of y = b x ** m: below -2 the points are for the former; None with too few."""
    left_out: float
    """Root mean square of log y less its prediction from the other sizes."""
    influence: tuple[float, float] | None
    """The size without which the gradient is most another, and that gradient; None where sizes are not known."""

    @property
    def is_curved(self) -> bool:
        """Return whether a straight line is refused."""
        return self.curvature.p_value() < CURVED

    def as_row(self) -> dict[str, float | None]:
        """Return plain numbers."""
        size, without = self.influence or (None, None)
        return {
            "curvature": self.curvature.value,
            "curvature_p": self.curvature.p_value(),
            "curvature_power": self.power,
            "saturating_aicc": self.saturating,
            "left_out_error": None if math.isnan(self.left_out) else math.expm1(self.left_out),
            "influential_size": None if size is None else float(f"{size:.6g}"),
            "gradient_without": without,
        }

    def sentences(self) -> list[str]:
        """Return them in words."""
        p = self.curvature.p_value()
        if self.is_curved:
            said = f"Curved: a straight line is refused (p = {p:.2g})."
        elif self.power < SEEN:
            said = (
                f"Curvature cannot be seen here (p = {p:.2g}): had the gradient halved over these x, that would have "
                f"been found in {self.power:.0%} of such studies."
            )
        else:
            said = f"No curvature (p = {p:.2g}; a gradient that halves would have been found in {self.power:.0%})."
        made = [said]
        if self.saturating is not None and self.saturating < -2:
            made.append(f"A floor, y = a + b x^m, fits better (AICc {self.saturating:+.1f}).")
        if not math.isnan(self.left_out):
            made.append(f"A size that the line has not seen is predicted to {math.expm1(self.left_out):.0%}.")
        if self.influence:
            size, without = self.influence
            made.append(f"Most rests on size {size:,.0f}: without it the gradient is {without:.2f}.")
        return made


def checks(sample: RegressionSample, *, by_size: bool = True) -> LineChecks | None:
    """Return the checks of the line that all points share; None where one more coefficient leaves no freedom."""
    free = freedom(sample) - 1
    if free < 1:
        return None
    blocks = np.eye(int(sample.block.max()) + 1)[sample.block]
    x = centred(sample.x, sample.block)
    squares = centred(x**2, sample.block)
    design = np.column_stack([blocks, x, squares])
    if np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    shapes = [reml.groups_of(sample.cluster)] if sample.cluster.max() + 1 < len(x) else []
    found = reml.contrast(reml.fit(sample.y, design, shapes), np.eye(design.shape[1])[-1])
    value = gradient(sample).value
    return LineChecks(
        curvature=found,
        power=_power(value / (4 * float(np.ptp(x))), found),
        saturating=_saturating(sample, x, blocks),
        left_out=_left_out(sample),
        influence=_influence(sample, instrument(sample) if by_size else None),
    )


def _power(curvature: float, found: reml.Estimate) -> float:
    """Return the power of the two-sided test of 5 % against a curvature."""
    if found.error == 0:
        return 1.0
    limit, away = float(stats.t.ppf(0.975, found.freedom)), abs(curvature) / found.error
    return float(stats.nct.sf(limit, found.freedom, away) + stats.nct.cdf(-limit, found.freedom, away))


def _saturating(sample: RegressionSample, x: Floats, blocks: Floats) -> float | None:
    """Return AICc of the saturating law less that of the straight one, a floor for each block in one proportion."""
    number, parameters = len(x), blocks.shape[1] + 2
    if number - parameters - 3 < 1:
        return None

    apart = np.eye(number) - blocks @ np.linalg.pinv(blocks)
    left = centred(sample.y, sample.block)
    straight = float(left @ x) / float(x @ x)
    plain = float(((left - straight * x) ** 2).sum())
    best, steepest, shares = plain, np.linspace(1, 3, 41), np.linspace(-6, 4, 41)
    for _ in range(3):  # a grid of gradients and floors, then finer ones about the best
        powers = np.exp(np.multiply.outer(x, straight * steepest))
        curves: Floats = np.log(powers[:, :, None] + np.exp(shares))
        rest: Floats = ((apart @ (sample.y[:, None, None] - curves).reshape(number, -1)) ** 2).sum(axis=0)
        place = np.unravel_index(int(rest.argmin()), curves.shape[1:])
        best = min(best, float(rest.min()))
        steepest = steepest[place[0]] + np.linspace(-1, 1, 41) * (steepest[1] - steepest[0])
        shares = shares[place[1]] + np.linspace(-1, 1, 41) * (shares[1] - shares[0])

    def penalty(k: int) -> float:
        return 2 * k + 2 * k * (k + 1) / (number - k - 1)

    if plain <= 0:
        return penalty(parameters + 1) - penalty(parameters)
    return number * math.log(max(best / plain, 1e-300)) + penalty(parameters + 1) - penalty(parameters)


def _left_out(sample: RegressionSample) -> float:
    """Return the root mean square error of log y, each size predicted from the others by least squares."""
    errors: list[float] = []
    for out in _sizes(sample):
        x, y = (values - _means(values[~out], sample.block[~out], sample.block) for values in (sample.x, sample.y))
        known = ~out & np.isfinite(x)
        if x[known] @ x[known] > 0:
            slope = float(x[known] @ y[known]) / float(x[known] @ x[known])
            errors += (y - slope * x)[out & np.isfinite(x)].tolist()
    return float(np.sqrt(np.mean(np.square(errors)))) if errors else math.nan


def _influence(sample: RegressionSample, z: Floats | None) -> tuple[float, float] | None:
    if sample.size is None:
        return None
    z = sample.x if z is None else z
    whole, found = gradient(sample, z).value, list[tuple[float, float]]()
    for out in _sizes(sample):
        first = centred(z[~out], sample.block[~out])
        if (along := float(first @ sample.x[~out])) != 0:
            found.append((math.exp(float(sample.size[out][0])), float(first @ sample.y[~out]) / along))
    return max(found, key=lambda one: abs(one[1] - whole)) if found else None


def _sizes(sample: RegressionSample) -> list[np.ndarray]:
    """Return (N,) masks of the points of each size; of each pre-training where sizes are not known."""
    labels = sample.cluster if sample.size is None else sample.size
    return [labels == one for one in np.unique(labels)]


def _means(values: Floats, block: np.ndarray, wanted: np.ndarray) -> Floats:
    """Return the means of blocks at `wanted`, NaN where a block has no value."""
    size = int(wanted.max()) + 1
    counts = np.bincount(block, minlength=size).astype(float)
    with np.errstate(invalid="ignore"):
        return (np.bincount(block, values, minlength=size) / counts)[wanted]
