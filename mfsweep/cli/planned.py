"""A plan as a table: what a spec would train."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from mfsweep.plan.graph import Node, StageGraph
from mfsweep.plan.kinds import kinds
from mfsweep.prepare import Plan
from mfsweep.quantities import count
from mfsweep.spec.resources import Resources
from mfsweep.sweep.search_costs import at_most


def print_plan(console: Console, plan: Plan) -> None:
    """Print what a spec would train, a row for each kind of stage."""
    # The title is a line of its own: a table would wrap it to its own width.
    console.print(_title(plan), style="italic", soft_wrap=True)
    console.print(_search_table(plan) if plan.spec.searched else _table(plan))
    counts, stages = plan.summary(), count(len(plan.graph.nodes), "stage")
    so_far = " of the points asked for so far" if plan.spec.searched else ""
    console.print(
        f"{stages}{so_far} to train once, in place of {counts['stages_without_sharing']}; "
        f"{counts['done']} done already. {_given(plan)}. Store: {plan.store.name}",
        soft_wrap=True,
    )
    for warning in (*plan.warnings, *plan.damage()):
        console.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False)


def _given(plan: Plan) -> str:
    """Say what stages are given, each kind of them where they differ."""
    graph = plan.tried if plan.spec.searched else plan.graph
    said = {called: _each(own) for called, own in kinds(graph.nodes.values()).items()}
    if len(set(said.values())) == 1:
        return f"Each has {next(iter(said.values()))}"
    return "; ".join(f"{called} has {each}" for called, each in said.items())


def _each(resources: Resources) -> str:
    each = f"{count(resources.workers, 'worker')} with {resources.cpus_per_worker:g} CPU"
    return each + (f" and {resources.gpus_per_worker:g} GPU" if resources.gpus_per_worker else "")


def _title(plan: Plan) -> str:
    if not plan.spec.searched:
        return f"{plan.name}: {count(len(plan.graph.cells), 'cell')}"
    reach = at_most(plan)
    points, cells = count(reach.points, "point"), count(reach.cells, "cell")
    return f"{plan.name}: a search, {points} at most, {cells}; {len(plan.points)} asked for so far"


def _table(plan: Plan) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "unique", "without sharing", "done", "trains on", "steps at most"):
        table.add_column(column, justify="left" if column in ("stage", "trains on") else "right")
    for name, nodes in _kinds(plan.graph).items():
        unshared, done = sum(node.cells for node in nodes), sum(node.key in plan.done for node in nodes)
        table.add_row(name, str(len(nodes)), str(unshared), str(done), _trained_on(nodes), _steps(nodes))
    return table


def _search_table(plan: Plan) -> Table:
    """Return what a search has asked for so far, and may come to: it chooses its points as it goes."""
    reach = at_most(plan)
    table = Table(box=None, pad_edge=False)
    for column in ("stage", "at most", "so far", "done", "trains on", "steps at most"):
        table.add_column(column, justify="left" if column in ("stage", "trains on") else "right")
    asked = _kinds(plan.graph)
    for name, nodes in _kinds(plan.tried).items():
        own = asked.get(name, [])
        done = sum(node.key in plan.done for node in own)
        stages = f"{reach.stages.get(name, 0):,}"
        table.add_row(name, stages, str(len(own)), str(done), _trained_on(nodes), _steps(nodes))
    return table


def _kinds(graph: StageGraph) -> dict[str, list[Node]]:
    kinds: dict[str, list[Node]] = {}
    for node in graph.nodes.values():
        kinds.setdefault(node.name, []).append(node)
    return kinds


def _trained_on(nodes: list[Node]) -> str:
    return ", ".join(sorted({f"{s.labels}; {s.subset}" for node in nodes for s in node.training.sets}))


def _steps(nodes: list[Node]) -> str:
    limits = {node.training.recipe.max_steps for node in nodes}
    return " or ".join(
        "to completion" if limit is None else str(limit) for limit in sorted(limits, key=lambda s: s or 0)
    )
