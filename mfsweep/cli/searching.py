"""What `mfsweep run` prints and writes of a search when it ends."""

from __future__ import annotations

import json
import re

from rich.console import Console

from mfsweep.analysis.search import SearchedStudy, searched, text
from mfsweep.files import write_text
from mfsweep.prepare import Plan
from mfsweep.quantities import count


def show(plan: Plan, console: Console, failed: int, refused: int) -> dict[str, str]:
    """Print the best point of each study and the flat region around it, and write them as search.json.

    Args:
        plan: with all points that were asked for.
        console: where it is printed.
        failed: points that failed in this run, with the refused ones.
        refused: points of this run that cannot be planned.

    Returns:
        The best parameters, as tags for the sweep's run in MLflow.
    """
    settings = plan.spec.experiment.search
    assert settings is not None
    studies = searched(plan.store, plan.cells(), list(plan.spec.searched), settings.objective)
    for study in studies:
        console.print(f"Search{f', {study.name}' if study.name else ''}:", style="bold")
        for sentence in study.sentences():
            console.print(f"  {sentence}", soft_wrap=True)
    if failed > refused:
        console.print(f"{count(failed - refused, 'point')} failed: the next run tries again", style="red")
    if refused:
        console.print(f"{count(refused, 'point')} refused: not asked for again, others take their place", style="red")
    write_text(plan.store.sweep(plan.name).search, json.dumps([study.as_json() for study in studies], indent=1))
    return {tag: value for study in studies for tag, value in _tags(study).items()}


def _tags(study: SearchedStudy) -> dict[str, str]:
    # MLflow takes letters, digits and a few signs in a tag's name; `=` is none of them.
    of = "".join(f".{axis}-{value}" for axis, value in study.values.items())
    stem = re.sub(r"[^\w./ -]", "_", f"best{of}")
    best, error = study.best, study.best.standard_error
    spread = f" ± {error:.2g}" if error is not None else ""
    values = {f"{stem}.{axis}": str(value) for axis, value in best.values.items()}
    flat = {f"{stem}.flat": "; ".join(map(text, study.flat))} if study.flat else {}
    return values | flat | {f"{stem}.objective": f"{best.mean:.6g}{spread} {study.objective.quantity.unit}"}
