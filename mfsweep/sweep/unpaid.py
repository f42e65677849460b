"""Labels that energy offsets have seen and cells do not pay for (docs/fairness.md#rule-5), where costs are drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.study import Unpaid
from mfsweep.data.reference import fit_offsets, offset_energy
from mfsweep.data.view import DataView
from mfsweep.errors import DataError
from mfsweep.plan.graph import Node
from mfsweep.prepare import Plan
from mfsweep.spec.data import parts
from mfsweep.spec.figures import Pareto
from mfsweep.spec.stage import Evaluation

MEV = 1000.0
Indices = NDArray[np.int64]


def unpaid(plan: Plan, *, asked: bool = False) -> list[Unpaid]:
    """Return what the fixed offsets of each of the file's methods have seen; nothing where all of it is paid for.

    Args:
        plan: of the spec.
        asked: whether somebody counts labels; a figure of costs does.
    """
    asked = asked or any(isinstance(figure, Pareto) for figure in plan.figures.values())
    if not asked or plan.spec.experiment.data.offsets != "fixed" or not plan.sources:
        return []
    most: dict[str, Unpaid] = {}
    for key in dict.fromkeys(planned.keys[planned.cell.result] for planned in plan.graph.cells):
        lineage, view = plan.graph.lineage(key), plan.view(plan.graph.nodes[key])
        tests = {one.offsets or one.labels: one for one in lineage[-1].evaluations if one.part == "test"}
        known = plan.spec.experiment.data.labels
        for method in sorted(known.keys() & {*tests, *(name for node in lineage for name in node.training.methods)}):
            own = _paid(view, lineage, method)
            seen, _ = view.fit_set(method, [one for node in lineage for one in node.training.sets])
            labels = len(np.setdiff1d(seen, own))
            if labels > (most[method].labels if method in most else 0):
                most[method] = Unpaid(method, labels, _tested(view, lineage[-1], tests, method, seen, own))
    return list(most.values())


def _paid(view: DataView, lineage: list[Node], method: str) -> Indices:
    """Return the structures whose labels of a method, or of one that is made of it, any stage trains on."""
    sets = [
        view.training(own)
        for node in lineage
        for own in node.training.sets
        if method in parts(own.labels, node.training.data.derived or {})
    ]
    return np.unique(np.concatenate([np.empty(0, np.int64), *sets]))


def _tested(
    view: DataView, node: Node, tests: Mapping[str, Evaluation], method: str, seen: Indices, own: Indices
) -> tuple[float, float | None] | None:
    """Return the test errors of offsets alone, meV/atom: fitted on what they have seen, and on what is paid for."""
    if method not in tests:
        return None
    structures, members = view.structures, view.part(tests[method], node.training.sets)
    energy = structures.labels[tests[method].labels].energy[members]

    def error(fitted: Indices) -> float | None:
        with contextlib.suppress(DataError):  # too few labels, or an element that none of them has
            offsets = fit_offsets(structures, method, fitted)
            left = (energy - offset_energy(structures, members, offsets)) / structures.sizes[members]
            return MEV * float(np.abs(left).mean())
        return None

    whole = error(seen)
    return None if whole is None else (whole, error(own))
