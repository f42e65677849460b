"""What plans cost, as `mfsweep plan` prints it; where tables of measured seconds are read and written."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.console import Console
from rich.table import Table

from mfsweep.cli.planned import near
from mfsweep.cli.search_costs import Bound, bound
from mfsweep.errors import SpecError
from mfsweep.files import set_aside, write_text
from mfsweep.models.registry import SMALL
from mfsweep.plan.cost import OWN, STOPS, Costs, Estimator, Measured, Rate, Total, Work, is_gpu, latest
from mfsweep.plan.overview import Overview, overview
from mfsweep.prepare import Plan
from mfsweep.spec.load import dotted, shown
from mfsweep.spec.wording import problems
from mfsweep.spec.yaml12 import YamlError, line_of, parse
from mfsweep.store import Store

_ROWS = TypeAdapter(list[Measured])


@dataclass(frozen=True)
class Options:
    """What the user may set of an estimate."""

    costs: Path | None = None
    device: str | None = None
    assumed_steps: int | None = None
    price: float | None = None


@dataclass(frozen=True)
class Estimate:
    """Several plans in one store, and what they cost."""

    plans: Sequence[Plan]
    options: Options
    overview: Overview
    rates: dict[Work, Rate | None]
    searches: Sequence[Bound | None]
    """Of each plan that is a search, what it costs at most."""

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
                "steps_assumed": self._assumed(),
                **{name: self._total(total) for name, total in totals.items()},
                "seconds_per_batch": [_rate_row(work, rate) for work, rate in self.rates.items()],
            },
            "warnings": self._warnings(),
        }

    def print(self, console: Console) -> None:
        """Print the specs (if there are several), what sharing saves, and the cost."""
        if len(self.plans) > 1:
            console.print(self._table())
            console.print(_saved(self.overview), soft_wrap=True)
        if self._assumed():
            console.print(self._say_assumed(), soft_wrap=True)
        for table in _rates_tables(self.rates):
            console.print(table)
        for line in self._say_hours():
            console.print(line, soft_wrap=True)
        for search in filter(None, self.searches):
            console.print(search.sentence(), soft_wrap=True)
        if len(self.plans) > 1:
            for warning in dict.fromkeys(self._warnings()):
                console.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False)

    def _warnings(self) -> list[str]:
        return [warning for plan in self.plans for warning in (*plan.warnings, *plan.damage())]

    def _table(self) -> Table:
        table = Table(box=None, pad_edge=False)
        for column in ("spec", "cells", "one a cell", "stages", "new", "done"):
            table.add_column(column, justify="left" if column == "spec" else "right")
        for plan, share in zip(self.plans, self.overview.shares, strict=True):
            counts = (share.cells, share.stages_without_sharing, share.stages, share.new, share.done)
            table.add_row(plan.name, *(f"{count:,}" for count in counts))
        together = self.overview
        counts = (together.cells, together.each_cell.stages, together.each_spec.stages, together.shared.stages)
        table.add_row("all", *(f"{count:,}" for count in (*counts, together.done)), style="bold")
        return table

    def _assumed(self) -> dict[str, Any] | None:
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

    def _say_assumed(self) -> str:
        assumed = self._assumed()
        assert assumed is not None
        each = " or ".join(f"{steps:,}" for steps in assumed["steps"])
        why = "--assume-steps" if self.options.assumed_steps else f"{STOPS} x stop_steps; --assume-steps sets it"
        return f"Assumed: {assumed['stages']:,} stages run to completion, in {each} steps each ({why})."

    def _say_hours(self) -> list[str]:
        together = self.overview
        steps = f"{together.shared.steps:,} optimiser steps at most, {together.to_do.steps:,} of them to do"
        lines = [f"{steps}; {together.each_cell.steps:,} if each cell trained its own stages."]
        for device, hours in together.shared.hours.items():
            unit = "GPU-hours of" if is_gpu(device) else "device-hours (not GPU-hours) of"
            to_do, unshared = together.to_do.hours.get(device, 0.0), together.each_cell.hours[device]
            line = f"{_hours(hours)} {unit} {device}: {_hours(to_do)} to do, {_hours(unshared)} without sharing."
            if self.options.price is not None:
                line += f" At {self.options.price:g} an hour: {self.options.price * hours:,.2f}."
            lines.append(line)
        if together.shared.hours:
            lines.append("Validation is not counted. Workers share a step's batches: more of them cost the same hours.")
        if together.shared.unknown:
            names = sorted({work.model.architecture for work, rate in self.rates.items() if rate is None})
            lines.append(
                f"Not in these hours: {together.shared.unknown:,} stages of {', '.join(names)}, of which nothing is "
                "measured. `mfsweep bench` measures it, `--costs` takes a table."
            )
        return lines

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


def estimate(plans: Sequence[Plan], options: Options) -> Estimate:
    """Return what plans in one store come to.

    Raises:
        SpecError: a cost file that is none.
    """
    estimator = Estimator(_tables(plans[0].store, options), options.assumed_steps)
    done = frozenset[str]().union(*(plan.done for plan in plans))
    together = overview([plan.graph for plan in plans], done, estimator)
    searches = [bound(plan, estimator) if plan.spec.searched else None for plan in plans]
    return Estimate(plans, options, together, estimator.rates, searches)


def read(path: Path) -> list[Measured]:
    """Return the rows of a cost file: JSON or YAML, a list of what `mfsweep bench` writes.

    Raises:
        SpecError: it cannot be read or is no such list.
    """
    try:
        read = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: expected a list of measured seconds, in YAML or JSON: {error}") from error
    except YamlError as error:
        first = error.problems[0]
        raise SpecError(f"{path}:{first.line}: expected a list of measured seconds, not YAML: {first.text}") from error
    try:
        return _ROWS.validate_python(read.tree)
    except ValidationError as error:
        first = problems(error.errors(), list[Measured], read.tree)[0]
        place = dotted(first.place) or "the top level"
        raise SpecError(
            f"{path}:{line_of(read.root, first.place)}: {place}: got {shown(first.got)}, expected {first.expected}; "
            "rows are as mfsweep bench writes them, for example "
            f"{{device: NVIDIA H100, model: {SMALL.model}, forces: true, seconds: 0.05}}"
        ) from error


def keep(store: Store, rows: Sequence[Measured]) -> None:
    """Write measured rows into the store; those of the same work on the same device go."""
    try:
        known = read(store.costs) if store.costs.exists() else []
    except SpecError:  # seconds that were just measured are not lost to a damaged file
        set_aside(store.costs)
        known = []
    new = {(row.device, row.work) for row in rows}
    left = [row for row in known if (row.device, row.work) not in new]
    write_text(store.costs, json.dumps(_ROWS.dump_python([*left, *rows], mode="json"), indent=1))


def _tables(store: Store, options: Options) -> list[Costs]:
    given = [options.costs] if options.costs else []
    kept = [store.costs] if store.costs.exists() else []
    return [*(Costs(str(near(path)), latest(read(path), options.device)) for path in (*given, *kept)), OWN]


def _saved(together: Overview) -> str:
    each_cell, each_spec, shared = together.each_cell.stages, together.each_spec.stages, together.shared.stages
    return (
        f"{shared:,} stages to train once, in place of {each_cell:,} ({each_cell / max(shared, 1):.1f}x): "
        f"{each_cell - each_spec:,} are shared within a spec, {each_spec - shared:,} between specs."
    )


def _rates_tables(rates: dict[Work, Rate | None]) -> Iterator[Table]:
    """Yield a table of the seconds per batch for each source of them."""
    sources: dict[str, list[tuple[Work, Rate]]] = {}
    for work, rate in rates.items():
        if rate is not None:
            sources.setdefault(f"{rate.origin} ({rate.row.device})", []).append((work, rate))
    for source, found in sources.items():
        table = Table(box=None, pad_edge=False, title=f"Seconds per batch by {source}", title_justify="left")
        for column in ("seconds", "model", "atoms", "labels", "trained", ""):
            table.add_column(column, justify="right" if column in ("seconds", "atoms") else "left")
        for work, rate in found:
            how = "measured" if rate.exact else f"scaled from {model_name(rate.row.work)}"
            labels = "energy, forces" if work.forces else "energy"
            table.add_row(f"{rate.seconds:.3g}", model_name(work), str(work.max_atoms), labels, work.trainable, how)
        yield table


def model_name(work: Work) -> str:
    """Return a model as a table shows it: its architecture, and what is not the study's own."""
    fields = {name: getattr(work.model, name) for name in work.model.SHOWN}
    fields |= work.model.model_dump(exclude_defaults=True, exclude={"architecture"})
    return " ".join([work.model.architecture, *(f"{name}={value}" for name, value in fields.items())])


def _rate_row(work: Work, rate: Rate | None) -> dict[str, Any]:
    row = {**work._asdict(), "model": work.model.model_dump(mode="json")}
    if rate is None:
        return row | {"seconds": None}
    return row | {
        "seconds": rate.seconds,
        "device": rate.row.device,
        "source": rate.origin,
        "scaled_from": None if rate.exact else model_name(rate.row.work),
    }


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
