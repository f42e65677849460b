"""The pages of several sweeps of one store, and the page of them all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mfsweep.analysis.index import write_index
from mfsweep.prepare import Plan
from mfsweep.sweep.results import analyse


def write_reports(plans: Sequence[Plan], out: Path | None = None) -> Path:
    """Write the report of each plan from what the store has of it, nothing trained.

    Args:
        plans: of specs in one store.
        out: in place of the sweep's own folder in the store; of a single plan.

    Returns:
        The page: of several plans that of all reports, which judges their claims as one suite.

    Raises:
        SpecError: two specs of one name.
        StoreError: a spec requires one version of everything, and its stages have several.
    """
    refuse_same_names(plans)
    if len(plans) == 1:
        return analyse(plans[0]).write_report(out)
    for plan in plans:
        results = analyse(plan)
        results.folder.write_cells(list(results.study.cells))
        results.write()
    return write_index(plans[0].store, [plan.name for plan in plans])


def refuse_same_names(plans: Sequence[Plan]) -> None:
    """Refuse two specs of one name, which would write one report over the other.

    Raises:
        SpecError: with both files.
    """
    files: dict[str, Plan] = {}
    for plan in plans:
        other = files.setdefault(plan.name, plan)
        if other is not plan:
            expected = f"another name than that of {other.spec.document.path}: it names the sweep's folder in the store"
            raise plan.spec.document.error(("name",), plan.name, expected)
