"""What a report leaves in the store for other reports: its claims and figures, as typed records."""

from __future__ import annotations

from typing import Literal

from mfsweep.records import Plain


class ClaimRecord(Plain):
    """What came out for one statement of a spec.

    `error` and what follows it are on the scale of the test: of a ratio its logarithm, of a gradient itself.
    """

    name: str
    says: str
    """The statement."""
    measure: str
    """What was compared."""
    estimate: float | None
    low: float | None
    high: float | None
    """95 % interval that the verdict is of; None where there are too few replicates for one."""
    verdict: Literal["agree", "disagree", "cannot tell"]
    detail: str
    """What the numbers rest on, and what was left out."""
    recommends: str = ""
    """The advice that the source draws from the statement, if any."""
    expect: Literal["lower", "higher", "at_most", "at_least", "equal", "value"] = "lower"
    stated: float | None = None
    """The bound, value or margin of the statement."""
    ratio: bool = True
    """Whether a ratio was compared, not gradients."""
    error: float | None = None
    """Standard error."""
    freedom: float | None = None
    """Degrees of freedom."""
    replicates: int = 0
    """Partitions, or seeds."""
    usable: bool = False
    """Whether a verdict may rest on the numbers: there is an interval, and nothing in it is capped."""
    plain_low: float | None = None
    plain_high: float | None = None
    """Student's 95 % interval of this claim alone, where `low` and `high` rest on the variances of the suite."""
    suite: int = 0
    """Claims whose variances they rest on."""
    p: float | None = None
    """p-value of the statement: of no effect, of the bound, or of a difference beyond the margin."""
    adjusted_p: float | None = None
    """The same with Benjamini and Hochberg's rule over the suite."""
    needed: int | None = None
    """Replicates that would decide a statement that cannot be told, with 80 % power."""
    evidence: str = ""
    """Equal for statements about one result."""
    beyond: float | None = None
    """Variance that the choice of tested formulae adds; of one replicate all that is known. None: not known."""
    formulae: int = 0
    """Tested ones behind it."""
    new_low: float | None = None
    new_high: float | None = None
    """95 % interval for molecules of other formulae too."""

    @property
    def came_out(self) -> str:
        """Return the measured number with its interval."""
        if self.estimate is None:
            return "not measured"
        interval = "" if self.low is None else f", 95 % interval {self.low:.2f} to {self.high:.2f}"
        alone = "" if self.plain_low is None else f" (alone {self.plain_low:.2f} to {self.plain_high:.2f})"
        return f"{self.measure} {self.estimate:.2f}{interval}{alone}"


class FigureRecord(Plain):
    """One figure or table of a report."""

    stem: str
    """Its files are `figures/<stem>.*`."""
    caption: str
    kind: Literal["picture", "table"]
