"""What specs cost, as `mfsweep plan` prints it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from mfsweep.plan.cost import STOPS, BatchWork, Rate, is_gpu
from mfsweep.plan.overview import Overview
from mfsweep.sweep.estimate import CostEstimate, model_name


def print_estimate(console: Console, estimate: CostEstimate) -> None:
    """Print the specs (if there are several), what sharing saves, and the cost."""
    if len(estimate.plans) > 1:
        console.print(_table(estimate))
        console.print(_saved(estimate.overview), soft_wrap=True)
    if estimate.assumed:
        console.print(_say_assumed(estimate), soft_wrap=True)
    for table in _rates_tables(estimate.rates):
        console.print(table)
    for line in hours_of(estimate):
        console.print(line, soft_wrap=True)
    for search in filter(None, estimate.searches):
        console.print(search.sentence(), soft_wrap=True)
    if len(estimate.plans) > 1:
        for warning in dict.fromkeys(estimate.warnings):
            console.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False)


def _table(estimate: CostEstimate) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("spec", "cells", "one a cell", "stages", "new", "done"):
        table.add_column(column, justify="left" if column == "spec" else "right")
    for plan, share in zip(estimate.plans, estimate.overview.shares, strict=True):
        counts = (share.cells, share.stages_without_sharing, share.stages, share.new, share.done)
        table.add_row(plan.name, *(f"{count:,}" for count in counts))
    together = estimate.overview
    counts = (together.cells, together.each_cell.stages, together.each_spec.stages, together.shared.stages)
    table.add_row("all", *(f"{count:,}" for count in (*counts, together.done)), style="bold")
    return table


def _say_assumed(estimate: CostEstimate) -> str:
    assumed = estimate.assumed
    assert assumed is not None
    each = " or ".join(f"{steps:,}" for steps in assumed["steps"])
    why = "--assume-steps" if estimate.options.assumed_steps else f"{STOPS} x stop_steps; --assume-steps sets it"
    return f"Assumed: {assumed['stages']:,} stages run to completion, in {each} steps each ({why})."


def hours_of(estimate: CostEstimate) -> list[str]:
    """Return steps and device-hours in sentences."""
    together = estimate.overview
    steps = f"{together.shared.steps:,} optimiser steps at most, {together.to_do.steps:,} of them to do"
    lines = [f"{steps}; {together.each_cell.steps:,} if each cell trained its own stages."]
    for device, hours in together.shared.hours.items():
        unit = "GPU-hours of" if is_gpu(device) else "device-hours (not GPU-hours) of"
        to_do, unshared = together.to_do.hours.get(device, 0.0), together.each_cell.hours[device]
        line = f"{_hours(hours)} {unit} {device}: {_hours(to_do)} to do, {_hours(unshared)} without sharing."
        if estimate.options.price is not None:
            line += f" At {estimate.options.price:g} an hour: {estimate.options.price * hours:,.2f}."
        lines.append(line)
    if together.shared.hours:
        lines.append("Validation is not counted. Workers share a step's batches: more of them cost the same hours.")
    if together.shared.unknown:
        names = sorted({work.model.architecture for work, rate in estimate.rates.items() if rate is None})
        lines.append(
            f"Not in these hours: {together.shared.unknown:,} stages of {', '.join(names)}, of which nothing is "
            "measured. `mfsweep bench` measures it, `--costs` takes a table."
        )
    return lines


def _saved(together: Overview) -> str:
    each_cell, each_spec, shared = together.each_cell.stages, together.each_spec.stages, together.shared.stages
    return (
        f"{shared:,} stages to train once, in place of {each_cell:,} ({each_cell / max(shared, 1):.1f}x): "
        f"{each_cell - each_spec:,} are shared within a spec, {each_spec - shared:,} between specs."
    )


def _rates_tables(rates: dict[BatchWork, Rate | None]) -> Iterator[Table]:
    """Yield a table of the seconds per batch for each source of them."""
    sources: dict[str, list[tuple[BatchWork, Rate]]] = {}
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


def _hours(hours: float) -> str:
    return f"{hours:,.0f}" if hours >= 10 else f"{hours:.2g}"
