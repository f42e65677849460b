"""What the stages of a plan cost: measured where a stage like them is trained, else as the cost model has it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from mfsweep.analysis.spent import CostRates
from mfsweep.errors import SpecError
from mfsweep.plan.cost import OWN, Estimator
from mfsweep.prepare import Plan
from mfsweep.quantities import HOUR
from mfsweep.spec.stage import Training
from mfsweep.sweep.cost_tables import tables


class StagePrices(NamedTuple):
    """Stage key -> what it costs."""

    of: dict[str, float]
    unit: str
    """`h`: device-hours, or `steps` where no table knows some model."""

    def text(self, price: float) -> str:
        """Return a price in words."""
        if self.unit == "steps":
            return f"{price:,.0f} steps"
        return f"{price:.1f} h" if price >= 1 else f"{60 * price:.1f} min"


def prices(plan: Plan) -> StagePrices:
    """Return what each stage of a plan is expected to cost: its training, without evaluations.

    A stage costs what its replicates have cost on average. Where none is trained it costs what the cost model says,
    times what trained stages of its name have cost against that.

    Raises:
        SpecError: the store's cost file is none.
    """
    estimator = Estimator(tables(plan.store, None, None))
    made = {key: estimator.cost(node.training) for key, node in plan.graph.nodes.items()}
    if any(cost.hours is None for cost in made.values()):
        return StagePrices({key: float(cost.steps) for key, cost in made.items()}, "steps")
    expected = {key: sum((cost.hours or {}).values()) for key, cost in made.items()}
    measured = dict(_measured(plan))
    alike: dict[object, list[float]] = {}
    names: dict[str, list[str]] = {}
    for key, hours in measured.items():
        alike.setdefault(plan.graph.setting(key), []).append(hours)
        names.setdefault(plan.graph.nodes[key].name, []).append(key)
    factor = {name: _ratio(measured, expected, keys) for name, keys in names.items()}
    rest = _ratio(measured, expected, measured) if measured else 1.0
    found = {}
    for key, node in plan.graph.nodes.items():
        if seen := alike.get(plan.graph.setting(key)):
            found[key] = sum(seen) / len(seen)
        else:
            found[key] = expected[key] * factor.get(node.name, rest)
    return StagePrices(found, "h")


def expected(plan: Plan) -> Callable[[Training], float]:
    """Return what tells how long a stage will take: by the cost model, or in steps where that knows too little."""
    try:
        estimator = Estimator(tables(plan.store, None, None))
    except SpecError:  # a table of seconds is no reason not to run
        estimator = Estimator([OWN])
    in_steps = any(estimator.cost(node.training).hours is None for node in plan.graph.nodes.values())

    def seconds(training: Training) -> float:
        cost = estimator.cost(training)
        return float(cost.steps) if in_steps or cost.hours is None else HOUR * sum(cost.hours.values())

    return seconds


def rates_of(plan: Plan, price: float | None = None, grams: float | None = None) -> CostRates:
    """Return what a device-hour costs and a kWh emits, by the spec where the user does not say it.

    Args:
        plan: of the spec.
        price: of a device-hour.
        grams: CO2 of a kWh.
    """
    resources = plan.spec.experiment.resources
    return CostRates(
        resources.price_per_hour if price is None else price, resources.co2_g_per_kwh if grams is None else grams
    )


def _measured(plan: Plan) -> Iterable[tuple[str, float]]:
    """Yield key and device-hours of each trained stage."""
    for key in plan.done:
        record = plan.store.stage(key).record()
        if record is not None and record.seconds > 0:
            yield key, record.device_hours


def _ratio(measured: dict[str, float], expected: dict[str, float], keys: Iterable[str]) -> float:
    keys = list(keys)
    return sum(measured[key] for key in keys) / sum(expected[key] for key in keys)
