"""What a plan's data say for a report: who trains on what, and what is known of predicted structures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.facts import Facts, Integers, Look, SubsetPart
from mfsweep.data.nearness import distances
from mfsweep.data.structures import SYMBOLS, Structures
from mfsweep.data.view import DataView
from mfsweep.plan.graph import Node
from mfsweep.prepare import Plan
from mfsweep.records import CellRecord
from mfsweep.spec.data import BY_STRUCTURE, TEST_SUBSET, Splits


class _Forces(NamedTuple):
    method: str
    values: NDArray[np.float64] | None
    """(A, 3) eV/angstrom."""


def parts(plan: Plan) -> list[SubsetPart]:
    """Return the parts of the partition of the first cell; none where the data are not at hand."""
    nodes = [plan.graph.nodes[planned.keys[planned.cell.result]] for planned in plan.graph.cells]
    if not plan.sources or not nodes:
        return []
    view = plan.view(nodes[0])
    found = []
    for subset, trained in view.partition.train.items():
        of_part = {"test" if subset == TEST_SUBSET else "train": trained}
        of_part["validation"] = view.partition.validation[subset]
        found += [_part(view, subset, name, members) for name, members in of_part.items() if len(members)]
    return found


def drawn(splits: Splits) -> str:
    """Return how the parts were made, in a sentence."""
    if splits.given is not None:
        kind = "file" if splits.indices else "column"
        return f"Parts are those that the {kind} {splits.given} gives: a formula may stand in several of them."
    if splits.by_formula:
        return "Parts are drawn by formula: none stands in two of them."
    copies = " (copies together)" if splits.by == BY_STRUCTURE else ""
    return f"Parts are drawn by {splits.groups}{copies}: none of these stands in two of them, but a formula may."


def look(plan: Plan) -> Look | None:
    """Return what tells of predicted structures; None where the data are not at hand."""
    if not plan.sources:
        return None

    def tested(cell: CellRecord, members: Integers, method: str) -> Facts:
        lineage = plan.graph.lineage(cell.stages[cell.result])
        view = plan.view(lineage[-1])
        structures = view.structures
        elements = structures.elements_of(members)
        forces = _forces(structures, members, method)
        return Facts(
            formulae=tuple(structures.formulae[one] for one in structures.formula[members].tolist()),
            elements=tuple(SYMBOLS[number] for number in elements),
            kind=np.searchsorted(elements, structures.species[structures.atoms_of(members)]),
            forces=forces.values,
            forces_of=forces.method,
            distance=distances(structures, members, _trained(plan, lineage)),
        )

    return tested


def _part(view: DataView, subset: str, part: str, members: NDArray[np.int64]) -> SubsetPart:
    structures = view.structures
    sizes, numbers = np.unique(structures.sizes[members], return_counts=True)
    atoms = np.bincount(structures.species[structures.atoms_of(members)], minlength=len(SYMBOLS))
    methods = view.data.labels
    return SubsetPart(
        subset=subset,
        part=part,
        structures=len(members),
        formulae=len(np.unique(structures.formula[members])),
        sizes=dict(zip(sizes.tolist(), numbers.tolist(), strict=True)),
        elements={SYMBOLS[number]: int(atoms[number]) for number in np.flatnonzero(atoms).tolist()},
        labels={method: int(structures.carries(method, forces=False)[members].sum()) for method in methods},
    )


def _trained(plan: Plan, lineage: list[Node]) -> NDArray[np.int64]:
    """Return the structures that any stage of a cell was trained on, whatever the labels, ascending."""
    sets = [plan.view(node).training(own) for node in lineage for own in node.training.sets]
    return np.unique(np.concatenate([np.empty(0, np.int64), *sets]))


def _forces(structures: Structures, members: Integers, method: str) -> _Forces:
    """Return the forces of the method itself, else of another that has them for all the structures."""
    for name in [method, *sorted(structures.labels.keys() - {method})]:
        forces = structures.labels[name].forces
        if forces is not None and structures.carries(name, forces=True)[members].all():
            return _Forces(name, forces[structures.atoms_of(members)].astype(np.float64))
    return _Forces("", None)
