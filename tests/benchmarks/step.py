"""Row 6: one training step of MACE against `mace.tools.train.take_step`, same weights, same batch, interleaved.

A step is: gradients to zero, energies (and forces), loss, backward, Adam. Energy-only steps are compared with the same
`take_step`, which always computes forces: mace_run_train has no other.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable

import torch
from paired import interleaved, table
from rival import as_mace_builds

from mfsweep.models.architecture import Shape
from mfsweep.models.base import AtomGraph, Potential
from mfsweep.models.mace import Mace
from mfsweep.models.registry import build
from mfsweep.spec.execution import Execution
from mfsweep.spec.stage import LossWeights
from mfsweep.train.bench import ELEMENTS, molecules
from mfsweep.train.execution import BACKENDS
from mfsweep.train.loss import summed_loss
from mfsweep.train.step import Task, find, moving
from mfsweep.train.tensors import Labelled, Sender

SPECS = {
    "16 channels, max_L 0, max_ell 2, correlation 2": Mace(channels=16, max_L=0, max_ell=2, correlation=2),
    "64 channels, max_L 1, max_ell 3, correlation 3": Mace(channels=64),
}
STRUCTURES = 20
ROUNDS = 9
GOALS = 1.5, 3.0
"""Of steps with forces, and without."""


def main() -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    for name, spec in SPECS.items():
        batch = Sender(ELEMENTS, torch.float32, torch.device("cpu")).labelled(
            molecules(STRUCTURES, spec.r_max, forces=True)
        )
        atoms = len(batch.graph.species)
        with as_mace_builds():
            rival = made(spec)
        contestants = {
            "mfsweep, energies and forces": ours(made(spec), batch, forces=True),
            "mfsweep, energies": ours(made(spec), batch, forces=False),
            "mace.tools.train.take_step": maces(rival, batch),
        }
        print(f"\n{name}: {atoms} atoms, {batch.graph.edges.shape[1]} edges\n")
        errors = ", ".join(f"{gradient_error(spec, dtype):.0e} ({dtype})" for dtype in (torch.float32, torch.float64))
        print(f"Gradients of energies and forces differ from those of mace-torch's blocks by {errors}, as a whole.\n")
        rates = interleaved(contestants, ROUNDS)
        for own, goal in zip(list(contestants)[:2], GOALS, strict=True):
            print(table({key: rates[key] for key in (own, "mace.tools.train.take_step")}, own, "atoms/s"))
            print(f"\nGoal: {goal} x\n")


def made(spec: Mace, dtype: torch.dtype = torch.float32) -> Potential:
    offsets = {"bench": dict.fromkeys(ELEMENTS, 0.0)}
    return build(spec, Shape(("bench",), ELEMENTS, 12.0), offsets, seed=0, dtype=dtype)


def gradient_error(spec: Mace, dtype: torch.dtype) -> float:
    """Return how far the gradient by our layers is from that by mace-torch's blocks, over its size."""
    model = made(spec, dtype).train()
    batch = Sender(ELEMENTS, dtype, torch.device("cpu")).labelled(molecules(STRUCTURES, spec.r_max, forces=True))
    task, parameters = Task("bench", forces=True, weights=LossWeights()), list(moving(model).values())
    theirs = BACKENDS["eager"](model, Execution(backend="eager"))(batch, task)
    ours, theirs = (
        torch.cat([part.flatten() for part in found.gradients])
        for found in (find(model, parameters, batch, task), theirs)
    )
    return float((ours - theirs).norm() / theirs.norm())


def ours(model: Potential, batch: Labelled, *, forces: bool) -> Callable[[], float]:
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-6)
    model.train()

    def step() -> float:
        optimizer.zero_grad()
        prediction = model(batch.graph, "bench", forces=forces)
        (summed_loss(prediction, batch, LossWeights()) / batch.graph.size).backward()
        optimizer.step()
        return len(batch.graph.species)

    return step


def maces(model: Potential, batch: Labelled) -> Callable[[], float]:
    from mace.modules.loss import WeightedEnergyForcesLoss
    from mace.tools.torch_geometric.batch import Batch
    from mace.tools.train import take_step

    network = model.network
    assert isinstance(network, torch.nn.Module)
    data = Batch(**as_mace(batch))
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-6)
    wanted = {"forces": True, "virials": False, "stress": False}

    def step() -> float:
        take_step(
            network, WeightedEnergyForcesLoss(1.0, 100.0), data, optimizer, None, wanted, 10.0, torch.device("cpu")
        )
        return len(batch.graph.species)

    return step


def as_mace(batch: Labelled) -> dict[str, torch.Tensor]:
    """Return the batch under the names that mace-torch gives its parts."""
    graph: AtomGraph = batch.graph
    edges, structures = graph.edges.shape[1], graph.size
    counts = torch.bincount(graph.structure, minlength=structures)
    ones = torch.ones(structures)
    return {
        "positions": graph.positions,
        "node_attrs": torch.nn.functional.one_hot(graph.species, len(ELEMENTS)).to(graph.positions),
        "edge_index": graph.edges,
        "batch": graph.structure,
        "ptr": torch.cat([counts.new_zeros(1), counts.cumsum(0)]),
        "head": torch.zeros(structures, dtype=torch.int64),
        "shifts": graph.positions.new_zeros(edges, 3),
        "unit_shifts": graph.positions.new_zeros(edges, 3),
        "cell": graph.positions.new_zeros(3 * structures, 3),
        "energy": batch.energy,
        "forces": batch.forces if batch.forces is not None else torch.zeros_like(graph.positions),
        "weight": ones,
        "energy_weight": ones,
        "forces_weight": ones,
    }


if __name__ == "__main__":
    sys.exit(main())
