"""A whole spec. `model`, `stages`, `result` and `evaluate` stay templates here: `${axis}` is filled in cell by cell."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from mfsweep.spec.base import Frozen, Name, PositiveInt, Seed
from mfsweep.spec.data import Data
from mfsweep.spec.execution import Execution
from mfsweep.spec.figures import Claim, Figure
from mfsweep.spec.resources import Resources
from mfsweep.spec.search import Search


class Fit(Frozen):
    """One transfer law: log y against log x over the cells, a line per group.

    A path is `<stage or result>.<part>[.<method>].<quantity>`, for example `pretrain.validation.energy_mae`; the method
    may be left out where the stage has just one in that part. What else a name can say (subset, head, checkpoint) is in
    quantities.py.
    """

    x: str
    """Path of the auxiliary error."""
    y: str
    """Path of the target error."""
    group_by: tuple[Name, ...] = ()
    """Axes whose values make a line of their own."""


class Tracking(Frozen):
    """Where MLflow mirrors the runs, and how finely. Never part of a stage's identity."""

    uri: str | None = None
    """MLflow tracking URI; default: an sqlite file in the store."""
    steps_per_decade: PositiveInt | Literal["all"] = 100
    """How many points go there from one power of ten of steps to the next, of what every optimiser step writes
    (training losses): some 430 of 300,000 steps. Validations go there whole, and the store keeps every step."""


class Experiment(Frozen):
    """The top level of a spec."""

    name: Name
    """Names the sweep's folder in the store and its MLflow experiment."""
    data: Data
    model: dict[str, Any] | str
    """Template of an architecture (model.py)."""
    axes: dict[str, Any] | list[dict[str, Any]] = {}
    """Axis -> values: one grid, or a list of grids whose union is meant (axes.py)."""
    stages: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    """Templates of the stages (stage.py); `continued:` in one overrides its recipe when it has a parent."""
    result: str
    """Name of the stage whose error is the cell's."""
    evaluate: list[Any] | str = []
    """Templates of the evaluations of the result; one `${axis.field}` may stand for them all."""
    fits: dict[Name, Fit] = {}
    resources: Resources = Resources()
    execution: Execution = Execution()
    tracking: Tracking = Tracking()
    precision: Literal["float32", "float64"] = "float32"
    """Precision of weights and activations; energies stay float64 until the offsets are off."""
    seed: Seed = 0
    """Seed of initial weights and order of structures; an axis named `seed` replaces it."""
    search: Search | None = None
    """How axes that are distributions are searched."""
    figures: dict[Name, Figure] = {}
    """What is drawn; without any, errors against target labels and the laws."""
    claims: dict[Name, Claim] = {}
    """Statements that the results are held against."""
    require: Literal["same_versions"] | None = None
    """`same_versions`: all stages have one version of Python and of each package on which numbers depend, or nothing is
    run and nothing fitted. Default: what differs is said. Never part of a stage's identity."""
