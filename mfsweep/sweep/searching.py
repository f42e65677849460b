"""What `mfsweep run` writes of a search when it ends."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console

from mfsweep.analysis.search import SearchedStudy, searched, text
from mfsweep.files import json_text, write_text
from mfsweep.prepare import Plan
from mfsweep.prepare.pruned import pruned_points
from mfsweep.quantities import count


def show(plan: Plan, console: Console, failed: int, refused: int) -> dict[str, str]:
    """Write what each study found as search.json, and say what came to nothing.

    Args:
        plan: with all points that were asked for.
        console: where it is printed.
        failed: points that failed in this run, with the refused ones.
        refused: points of this run that cannot be planned.

    Returns:
        The best parameters, as tags for the sweep's run in MLflow.
    """
    studies = found_by(plan)
    if failed > refused:
        console.print(f"{count(failed - refused, 'point')} failed: the next run tries again", style="red")
    if refused:
        console.print(f"{count(refused, 'point')} refused: not asked for again, others take their place", style="red")
    write_text(plan.store.sweep(plan.name).search, json_text([study.as_json() for study in studies]))
    return {tag: value for study in studies for tag, value in _tags(study).items()}


def found_by(plan: Plan) -> list[SearchedStudy]:
    """Return what the search of a plan has found so far; nothing where it has none."""
    settings = plan.spec.experiment.search
    if settings is None:
        return []
    return searched(plan.store, plan.cells(), list(plan.spec.searched), settings.objectives, pruned_points(plan))


def print_found(studies: Iterable[SearchedStudy], console: Console) -> None:
    """Print the best point of each study and the flat region around it, or its Pareto front."""
    for study in studies:
        console.print(f"Search{f', {study.name}' if study.name else ''}:", style="bold")
        for sentence in study.sentences():
            console.print(f"  {sentence}", soft_wrap=True)


def _tags(study: SearchedStudy) -> dict[str, str]:
    # MLflow takes letters, digits and a few signs in a tag's name; `=` is none of them.
    of = "".join(f".{axis}-{value}" for axis, value in study.values.items())
    stem = re.sub(r"[^\w./ -]", "_", f"best{of}")
    if study.also:
        return {f"{stem.replace('best', 'front', 1)}": "; ".join(map(text, study.front))}
    best, error = study.best, study.best.standard_error
    spread = f" ± {error:.2g}" if error is not None else ""
    values = {f"{stem}.{axis}": str(value) for axis, value in best.values.items()}
    flat = {f"{stem}.flat": "; ".join(map(text, study.flat))} if study.flat else {}
    return values | flat | {f"{stem}.objective": f"{best.mean:.6g}{spread} {study.objective.quantity.unit}"}
