"""The condition at which a run ends: `transfer.gradient.half_width < 0.1`, or `budget.regret < 5 %`."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

from mfsweep.errors import SpecError, nearest
from mfsweep.spec.load import Spec

HALF_WIDTH = "gradient.half_width"
"""Half of the interval of a law's pooled gradient; before it stands the name of the fit."""
REGRET = "budget.regret"
"""What the recommended spending may lose against the best one; a fit is not named."""
_WRITTEN = re.compile(r"\s*(?P<named>[^\s<>=]*)\s*(?P<sign>[<>=!]*)\s*(?P<value>[^\s%]*)\s*(?P<percent>%?)\s*")


class Condition(NamedTuple):
    """What has to lie below what."""

    text: str
    """As the user wrote it."""
    fit: str | None
    """Name of the law whose gradient is meant; None: the regret of a decision."""
    target: float
    """Above 0; 0.05 of a regret is 5 %."""


def parse(text: str, spec: Spec) -> Condition:
    """Return a condition on a spec's laws or decision.

    Raises:
        SpecError: it is not written as one, or names what the spec has not; with what can be named.
    """
    known = [f"{fit}.{HALF_WIDTH}" for fit in spec.experiment.fits] + [REGRET]
    example = f"'{known[0]} < {'5 %' if known[0] == REGRET else '0.1'}'"
    found = _WRITTEN.fullmatch(text)
    if found is None or not found["named"]:
        raise SpecError(f"--until {text!r}: expected a condition like {example}")
    named, sign, value = found["named"], found["sign"], found["value"]
    if named not in known:
        raise SpecError(_unknown(text, named, known, spec))
    if sign not in ("<", "<="):
        got = f"got {sign!r}" if sign else "got no sign"
        raise SpecError(f"--until {text!r}: {got}, expected `<` between {named} and a number, as in {example}")
    percent = bool(found["percent"])
    target = _number(value)
    if target is None or not 0 < target < math.inf:
        got = f"got {value!r}" if value else "got nothing"
        raise SpecError(f"--until {text!r}: {got} behind {sign!r}, expected a number above 0, as in {example}")
    if percent and named != REGRET:
        raise SpecError(f"--until {text!r}: got a percentage, but a gradient has no unit: expected a number, {example}")
    if named == REGRET and not percent and target >= 1:
        raise SpecError(f"--until {text!r}: got {value}, which is {target:.0%}: write `{REGRET} < {value} %`")
    return Condition(text.strip(), None if named == REGRET else named.split(".")[0], target / (100 if percent else 1))


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _unknown(text: str, named: str, known: list[str], spec: Spec) -> str:
    said = f"--until {text!r}: got {named!r}, expected one of {', '.join(known)}"
    first, _, rest = named.partition(".")
    if first in spec.experiment.fits and rest.startswith("prefactor"):
        return f"{said}. A pre-factor has no interval: each group has its own"
    if first in spec.experiment.claims:
        return f"{said}. {first!r} is a claim; a run can end by the gradient of a law"
    if not spec.experiment.fits:
        return f"{said}. The spec has no `fits:`, so that there is no gradient to name"
    return f"{said}.{nearest(named, known)}"
