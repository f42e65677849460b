"""Before its first step a child computes what its parent does: looked at on a few structures, and kept in the record.

Heads that are matched wrongly, a backbone copied in part, or a scale that was lost train on without a word elsewhere.
Energies and forces of the two models are compared by every head that starts from one of the parent's. Against the
energies of a model from outside the shifts are left out: these are fitted to our energy offsets (referencing.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from mfsweep.data.batch import assemble
from mfsweep.data.view import DataView
from mfsweep.errors import TrainingError
from mfsweep.models.base import AtomGraph, Potential
from mfsweep.models.registry import build
from mfsweep.spec.stage import Training
from mfsweep.train.parent import Parent
from mfsweep.train.tensors import Sender

STRUCTURES = 4
"""Training structures that are looked at, the first of the stage's first set."""
TOLERANCE = {torch.float32: (1e-3, 1e-6), torch.float64: (1e-7, 1e-10)}
"""Precision -> difference that rounding explains: a share of the parent's largest value, and so much at least, in
eV/atom or eV/angstrom."""


class Inheritance(NamedTuple):
    """How far a child was from its parent before its first step."""

    energy: float
    """Largest difference of energies, eV/atom."""
    forces: float
    """Largest difference of a component of the forces, eV/angstrom."""
    structures: int
    heads: int
    """Heads that were compared; the others started fresh."""


def compare(
    model: Potential,
    parent: Parent,
    sources: Mapping[str, str],
    view: DataView,
    training: Training,
    device: torch.device,
) -> Inheritance | None:
    """Compare a child with its parent.

    Args:
        model: the child before its first step, on the device; left as it is.
        parent: what it started from.
        sources: head -> the parent's head that it starts from.
        view: its data.
        training: the child.
        device: of the model.

    Returns:
        The largest differences; None where every head starts fresh.

    Raises:
        TrainingError: they are larger than rounding explains.
    """
    if not sources:
        return None
    dtype = next(model.parameters()).dtype
    # Every number of it comes from the parent's state, its own energy offsets are in none of these energies.
    zero = {head: dict.fromkeys(parent.shape.elements, 0.0) for head in parent.shape.heads}
    theirs = build(parent.model, parent.shape, zero, seed=0, dtype=dtype)
    theirs.load_state_dict(dict(parent.state))
    theirs = theirs.to(device).eval()
    members = view.training(training.sets[0])[:STRUCTURES]
    method = training.sets[0].labels
    offsets = view.offsets(method, training.sets)
    batch = assemble(view, members, method, offsets, model.cutoff, with_forces=False)
    graph = Sender(model.shape.elements, dtype, device).graph(batch)
    sizes = torch.from_numpy(np.asarray(view.structures.sizes[members])).to(device, dtype)
    with_shifts = parent.reference == "ours"
    was_training = model.training
    model.eval()
    relative, least = TOLERANCE[dtype]
    energy = forces = 0.0
    explained = True
    for head, source in sources.items():
        own, other = (_predicted(*one, graph, with_shifts=with_shifts) for one in ((model, head), (theirs, source)))
        differences = _largest((own[0] - other[0]) / sizes), _largest(own[1] - other[1])
        scales = _largest(other[0] / sizes), _largest(other[1])
        explained &= all(np.isfinite(d) and d <= relative * s + least for d, s in zip(differences, scales, strict=True))
        energy, forces = max(energy, differences[0]), max(forces, differences[1])
    model.train(was_training)
    found = Inheritance(energy, forces, len(members), len(sources))
    if not explained:
        raise TrainingError(
            f"before its first step the model differs from {parent.path}, from which it starts, by {energy:.3g} "
            f"eV/atom and {forces:.3g} eV/angstrom on {len(members)} structures: expected the same ones. "
            "Its weights did not all come over: a defect of mfsweep, or the file is another model"
        )
    return found


def _predicted(model: Potential, head: str, graph: AtomGraph, *, with_shifts: bool) -> tuple[Tensor, Tensor]:
    with torch.no_grad():
        prediction = model(graph, head, forces=True)
    assert prediction.forces is not None
    energy = prediction.energy.detach()
    if not with_shifts:
        shifts = model.shifts[model.shape.heads.index(head)].index_select(0, graph.species)
        energy = energy - energy.new_zeros(graph.size).index_add(0, graph.structure, shifts)
    return energy, prediction.forces.detach()


def _largest(difference: Tensor) -> float:
    """Return the largest absolute value; of what is not finite, infinity."""
    found = float(difference.abs().max()) if difference.numel() else 0.0
    return found if np.isfinite(found) else float("inf")
