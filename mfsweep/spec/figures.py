"""`figures:` and `claims:` of a spec: what is drawn of the results, and which statements they are held against.

Each kind of figure is general: an experiment is drawn by naming a kind, metrics and axes. A metric is the path of
quantities.py, for example `result.test.cc.energy_mae`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mfsweep.spec.axes import Value
from mfsweep.spec.base import Bool, Float, Frozen, Name, NonNegativeFloat, PositiveFloat

Metric = Annotated[str, Field(min_length=1)]
Cells = dict[Name, Value | tuple[Value, ...]]
"""Axis -> the value, or values, of the cells that are meant."""


class _Figure(Frozen):
    title: str = ""
    """What stands under the figure, before what mfsweep says of it."""
    where: Cells = {}
    """Only these cells."""


class Grid(_Figure):
    """Error against the number of target labels, a line for each kind of pre-training; direct training in black."""

    kind: Literal["grid"]
    y: Metric
    """Metric of each cell."""


class Curve(_Figure):
    """Error against an axis with number values (alpha, a share of labels), with the spread over seeds."""

    kind: Literal["curve"]
    x: Name
    """Axis."""
    y: Annotated[tuple[Metric, ...], Field(min_length=1)]
    """One line each."""
    lines: tuple[Name, ...] = ()
    """Axes whose values make a line of their own."""
    log: Bool = False
    """Logarithmic x."""
    reference: Cells | None = None
    """Cells drawn as dashed horizontal lines (single-head training); their other axes agree with a line's."""


class Bars(_Figure):
    """Errors as bars, with error bars over seeds."""

    kind: Literal["bars"]
    y: Metric
    """Metric of each cell."""
    bars: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Axes whose values stand side by side in a group."""
    groups: tuple[Name, ...] = ()
    """Axes whose values make the groups."""


class LawFigure(_Figure):
    """A transfer law: points, a line a group with its interval."""

    kind: Literal["law"]
    fit: Name
    """One of the spec's `fits`."""


class Pareto(_Figure):
    """Error against what the labels cost, and the front of cells that no other beats in both."""

    kind: Literal["pareto"]
    y: Metric
    """Metric of each cell."""
    costs: Annotated[dict[Name, NonNegativeFloat | Literal["measured"]], Field(min_length=1)]
    """Label method -> cost of one label, in any one unit, 0 to leave it out of account. Derived methods cost what their
    parts do. `measured`: the core-seconds that `mfsweep data label` took for one, on average."""
    unit: str = "core-seconds"
    """Unit of the costs, as the figure shows it."""
    lines: tuple[Name, ...] = ()
    """Axes whose values have a colour of their own."""

    @property
    def numbers(self) -> dict[Name, float]:
        """Return the costs, once those that are to be measured are filled in (labelcosts.py)."""
        costs = {method: cost for method, cost in self.costs.items() if cost != "measured"}
        assert len(costs) == len(self.costs), "measured costs are filled in before a figure is drawn"
        return costs


class Residuals(_Figure):
    """Histograms of what auxiliary methods differ by from the target after energy offsets; needs no training."""

    kind: Literal["residuals"]
    target: Name
    """Label method that the others are compared with."""
    methods: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Label methods, a histogram each."""


class Table(_Figure):
    """Errors by axes (rows) and metrics (columns), mean and standard error over seeds."""

    kind: Literal["table"]
    rows: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Axes whose values make the rows."""
    columns: Annotated[tuple[Metric, ...], Field(min_length=1)]
    """Metrics, a column each."""


class Gradients(_Figure):
    """The gradients of laws, one row a group, with intervals."""

    kind: Literal["gradients"]
    fits: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Some of the spec's `fits`."""


Figure = Annotated[
    Grid | Curve | Bars | LawFigure | Pareto | Residuals | Table | Gradients, Field(discriminator="kind")
]


Expected = Literal["lower", "higher", "at_most", "at_least", "equal", "value"]


class Claim(Frozen):
    """A statement, and the comparison of cells that agrees with it, disagrees, or cannot tell.

    Cells of `this` and `against` are paired where all other axes agree. Of a metric `y` the ratio of geometric means is
    compared, with an interval over replicates (partitions, else seeds); of a law its groups' gradients.
    """

    says: Annotated[str, Field(min_length=1)]
    """What the source states, in a few words."""
    y: Metric | None = None
    """Metric whose ratio is compared."""
    gradient: Name | None = None
    """In place of `y`: one of the spec's `fits`, whose gradients are compared; without `against`, one with 0."""
    this: Cells = {}
    """The cells that the statement is about."""
    against: Cells | None = None
    """The cells that they are compared with."""
    over: Cells | None = None
    """Who gains more: each cell's `y` is first divided by that of the cell that has these values of these axes and is
    the same else (its direct training), so that a ratio of ratios is compared."""
    where: Cells = {}
    """Only these cells."""
    expect: Expected
    """What `this` is beside `against`, for the statement to hold: `lower` or `higher`; `at_most` or `at_least` a stated
    `bound`; `equal` within a `margin`; a stated `value`."""
    bound: Float | None = None
    """`at_most`, `at_least`: the ratio (of gradients: the difference, or the gradient) that `this` keeps to."""
    value: Float | None = None
    """`value`: the ratio (of gradients: the difference, or the gradient) that is stated."""
    margin: PositiveFloat | None = None
    """`equal`: the ratio lies between 1 / (1 + margin) and 1 + margin (of gradients: the difference, at most this from
    0). Default: 0.1."""
    recommends: str = ""
    """The advice that the source draws from it, if any."""

    @property
    def neutral(self) -> float:
        """Return what no effect is: a ratio of 1, a gradient or a difference of 0."""
        return 0.0 if self.y is None else 1.0

    @model_validator(mode="after")
    def _require_one_measure(self) -> Self:
        if (self.y is None) == (self.gradient is None):
            raise ValueError("`y` (a metric) or `gradient` (a fit), and not both")
        if self.y is not None and self.against is None:
            raise ValueError("`against`: the cells that those of `this` are compared with")
        if self.over is not None and (self.y is None or not self.over):
            raise ValueError("`over`: of a metric `y`, the values of at least one axis")
        return self

    @model_validator(mode="after")
    def _require_what_is_expected(self) -> Self:
        needed = {"at_most": "bound", "at_least": "bound", "value": "value"}.get(self.expect)
        for name in ("bound", "value", "margin"):
            stated = getattr(self, name)
            if name == needed and stated is None:
                raise ValueError(f"`expect: {self.expect}` needs `{name}`, a number")
            if stated is not None and name != needed and not (name == "margin" and self.expect == "equal"):
                raise ValueError(f"`{name}` says nothing with `expect: {self.expect}`")
            if stated is not None and name != "margin" and self.y is not None and stated <= 0:
                raise ValueError(f"`{name}`: a ratio is above 0, not {stated}")
        if self.value is not None and self.value == self.neutral:
            raise ValueError("`value`: that is no effect, of which `expect: equal` speaks")
        return self
