"""What plans come to in one store: stages, steps, and device-hours from measured seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mfsweep.plan.cost import STOPS, BatchWork, Estimator, Rate, Total
from mfsweep.plan.overview import Overview, overview
from mfsweep.prepare import Plan
from mfsweep.sweep.cost_tables import tables
from mfsweep.sweep.search_costs import Bound, bound


@dataclass(frozen=True)
class EstimateOptions:
    """What the user may set of an estimate."""

    costs: Path | None = None
    """A table of measured seconds; those of the store come after it."""
    device: str | None = None
    """Part of the name of the device whose seconds are used; None: the one that was measured last."""
    assumed_steps: int | None = None
    """Steps of a stage without a limit."""
    price: float | None = None
    """What a device-hour costs, in any currency."""


@dataclass(frozen=True)
class CostEstimate:
    """Several plans in one store, and what they cost."""

    plans: Sequence[Plan]
    options: EstimateOptions
    overview: Overview
    rates: dict[BatchWork, Rate | None]
    searches: Sequence[Bound | None]
    """What each plan that is a search costs at most."""

    def as_json(self) -> dict[str, Any]:
        """Return everything that is printed as plain data."""
        together = self.overview
        totals = {
            "each_cell_its_own": together.each_cell,
            "shared_within_specs": together.each_spec,
            "shared": together.shared,
            "to_do": together.to_do,
        }
        limits = [plan.graph.steps() for plan in self.plans]
        unshared = [plan.graph.steps(shared=False) for plan in self.plans]
        return {
            "cells": together.cells,
            "stages": together.shared.stages,
            "stages_without_sharing": together.each_cell.stages,
            "done": together.done,
            "steps_at_most": together.shared.steps if None not in limits else None,
            "steps_at_most_without_sharing": together.each_cell.steps if None not in unshared else None,
            "specs": [
                {"name": plan.name, "spec": str(plan.spec.document.path), **share._asdict()}
                | ({"search": search.as_json()} if search else {})
                for plan, share, search in zip(self.plans, together.shares, self.searches, strict=True)
            ],
            "cost": {
                "model": "steps x batches_per_step x seconds per batch; no validation; workers share the batches",
                "steps_assumed": self.assumed,
                **{name: self._total(total) for name, total in totals.items()},
                "seconds_per_batch": [_rate_row(work, rate) for work, rate in self.rates.items()],
            },
            "warnings": self.warnings,
        }

    @property
    def warnings(self) -> list[str]:
        """Return what there is to say of the specs, their data, and the store."""
        return [warning for plan in self.plans for warning in (*plan.warnings, *plan.damage())]

    @property
    def assumed(self) -> dict[str, Any] | None:
        """Return how many stages have no limit, and the steps that each was taken to run."""
        recipes = {
            key: node.training.recipe
            for plan in self.plans
            for key, node in plan.graph.nodes.items()
            if node.training.recipe.max_steps is None
        }
        if not recipes:
            return None
        each = {self.options.assumed_steps or STOPS * recipe.schedule.stop_steps for recipe in recipes.values()}
        return {"stages": len(recipes), "steps": sorted(each)}

    def _total(self, total: Total) -> dict[str, Any]:
        row: dict[str, Any] = {
            "stages": total.stages,
            "steps": total.steps,
            "device_hours": total.hours,
            "stages_without_a_cost": total.unknown,
        }
        if self.options.price is not None:
            row["price"] = {device: self.options.price * hours for device, hours in total.hours.items()}
        return row


def estimate(plans: Sequence[Plan], options: EstimateOptions) -> CostEstimate:
    """Return what plans in one store come to.

    Raises:
        SpecError: a cost file that is none.
    """
    estimator = Estimator(tables(plans[0].store, options.costs, options.device), options.assumed_steps)
    done = frozenset[str]().union(*(plan.done for plan in plans))
    together = overview([plan.graph for plan in plans], done, estimator)
    searches = [bound(plan, estimator) if plan.spec.searched else None for plan in plans]
    return CostEstimate(plans, options, together, estimator.rates, searches)


def model_name(work: BatchWork) -> str:
    """Return a model as a table shows it: its architecture, and what is not the study's own."""
    fields = {name: getattr(work.model, name) for name in work.model.SHOWN}
    fields |= work.model.model_dump(exclude_defaults=True, exclude={"architecture"})
    return " ".join([work.model.architecture, *(f"{name}={value}" for name, value in fields.items())])


def _rate_row(work: BatchWork, rate: Rate | None) -> dict[str, Any]:
    row = {**work._asdict(), "model": work.model.model_dump(mode="json")}
    if rate is None:
        return row | {"seconds": None}
    return row | {
        "seconds": rate.seconds,
        "device": rate.row.device,
        "source": rate.origin,
        "scaled_from": None if rate.exact else model_name(rate.row.work),
    }
