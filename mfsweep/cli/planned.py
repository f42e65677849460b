"""A plan as a table: what a spec comes to."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from mfsweep.plan.graph import Node
from mfsweep.prepare import Plan


def print_plan(console: Console, plan: Plan) -> None:
    """Print what a spec comes to, a row for each kind of stage."""
    table = Table(box=None, pad_edge=False, title=f"{plan.name}: {len(plan.graph.cells)} cells", title_justify="left")
    for column in ("stage", "unique", "without sharing", "done", "trains on", "steps at most"):
        table.add_column(column, justify="left" if column in ("stage", "trains on") else "right")
    kinds: dict[str, list[Node]] = {}
    for node in plan.graph.nodes.values():
        kinds.setdefault(node.name, []).append(node)
    for name, nodes in kinds.items():
        table.add_row(
            name,
            str(len(nodes)),
            str(sum(node.cells for node in nodes)),
            str(sum(node.key in plan.done for node in nodes)),
            ", ".join(sorted({f"{s.labels}; {s.subset}" for node in nodes for s in node.training.sets})),
            _steps(nodes),
        )
    console.print(table)
    counts = plan.summary()
    resources = plan.spec.experiment.resources
    each = f"{resources.workers} worker{'s' if resources.workers > 1 else ''} with {resources.cpus_per_worker:g} CPU"
    each += f" and {resources.gpus_per_worker:g} GPU" if resources.gpus_per_worker else ""
    console.print(
        f"{counts['stages']} stages to train once, in place of {counts['stages_without_sharing']}; "
        f"{counts['done']} done already. Each has {each}. Store: {near(plan.store.root)}"
    )
    for warning in (*plan.warnings, *plan.damage()):
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False)


def near(path: Path) -> Path:
    """Return a path as one would type it: relative below the working folder, whole elsewhere."""
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path


def _steps(nodes: list[Node]) -> str:
    limits = {node.training.recipe.max_steps for node in nodes}
    return " or ".join(
        "to completion" if limit is None else str(limit) for limit in sorted(limits, key=lambda s: s or 0)
    )
