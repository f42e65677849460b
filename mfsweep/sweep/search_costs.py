"""What a search costs at most: it asks for its points as it goes, so only the number of them is known before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from mfsweep.plan.cost import Estimator, Total, total
from mfsweep.prepare import Plan
from mfsweep.prepare.points import SearchPoint, without_seeds
from mfsweep.quantities import count
from mfsweep.spec.axes import Value


@dataclass(frozen=True)
class Bound:
    """Every study with all its trials and seeds, each point as dear as the dearest at which the search was tried."""

    name: str
    studies: int
    trials: int
    seeds: int
    """Cells of each point."""
    asked: int
    """Points so far."""
    total: Total
    """What all points come to, nothing shared between two of them."""

    def as_json(self) -> dict[str, Any]:
        """Return the bound as plain data."""
        return {
            "studies": self.studies,
            "points_at_most": self.studies * self.trials,
            "points_asked": self.asked,
            "stages_at_most": self.total.stages,
            "steps_at_most": self.total.steps,
            "device_hours_at_most": self.total.hours,
            "stages_without_a_cost": self.total.unknown,
        }

    def sentence(self) -> str:
        """Return what the search adds to what is counted."""
        studies = f"{self.studies} {'study' if self.studies == 1 else 'studies'}"
        hours = "".join(f", {value:.2g} hours of {device}" for device, value in self.total.hours.items())
        return (
            f"{self.name} is a search, {studies} of {count(self.trials, 'point')}, {count(self.seeds, 'cell')} each: "
            f"only the {self.asked} asked for so far are counted above. All of them are at most {self.total.stages:,} "
            f"stages, {self.total.steps:,} steps{hours}; each point taken to cost as much as the dearest at the ends "
            "and in the middle of the axes."
        )


def bound(plan: Plan, estimator: Estimator) -> Bound:
    """Return what a search costs at most."""
    settings = plan.spec.experiment.search
    assert settings is not None
    studies = plan.spec.studies()
    dearest = [max((_cost(plan, point, estimator) for point in _points(plan, study)), key=_size) for study in studies]
    tried = plan.tried.cells
    return Bound(
        name=plan.name,
        studies=len(studies),
        trials=settings.trials,
        seeds=sum(without_seeds(cell.cell.values) == without_seeds(tried[0].cell.values) for cell in tried),
        asked=len(plan.points),
        total=_times(settings.trials, dearest),
    )


class Reach(NamedTuple):
    """What a search comes to at most."""

    points: int
    cells: int
    stages: dict[str, int]
    """Stage name -> stages, nothing shared between two points."""


def at_most(plan: Plan) -> Reach:
    """Return how many points, cells and stages a search may take at most.

    A point has as many stages of a name as the one with most of them at which the search was tried.
    """
    settings = plan.spec.experiment.search
    assert settings is not None
    cells, stages = 0, dict[str, int]()
    studies = plan.spec.studies()
    for study in studies:
        points = _points(plan, study)
        of_points = [
            [planned for planned in plan.tried.cells if without_seeds(planned.cell.values) == point] for point in points
        ]
        cells += settings.trials * max(map(len, of_points))
        most: dict[str, int] = {}
        for members in of_points:
            keys = {(name, key) for planned in members for name, key in planned.keys.items()}
            for name in {name for name, _ in keys}:
                most[name] = max(most.get(name, 0), sum(own == name for own, _ in keys))
        for name, number in most.items():
            stages[name] = stages.get(name, 0) + settings.trials * number
    return Reach(settings.trials * len(studies), cells, stages)


def _points(plan: Plan, study: SearchPoint) -> list[dict[str, Value]]:
    """Return the points of a study at which the search was tried."""
    points = [without_seeds(planned.cell.values) for planned in plan.tried.cells]
    return [point for point in points if study.items() <= point.items()]


def _cost(plan: Plan, point: SearchPoint, estimator: Estimator) -> Total:
    cells = [planned for planned in plan.tried.cells if without_seeds(planned.cell.values) == point]
    keys = {key for planned in cells for key in planned.keys.values()}
    return total((estimator.cost(plan.tried.nodes[key].training), 1) for key in keys)


def _size(one: Total) -> tuple[float, int]:
    return sum(one.hours.values()), one.steps


def _times(number: int, totals: list[Total]) -> Total:
    hours: dict[str, float] = {}
    for one in totals:
        for device, value in one.hours.items():
            hours[device] = hours.get(device, 0.0) + number * value
    return Total(
        number * sum(one.stages for one in totals),
        number * sum(one.steps for one in totals),
        hours,
        number * sum(one.unknown for one in totals),
    )
