from __future__ import annotations

import numpy as np
import torch

from mfsweep.data.batch import assemble
from mfsweep.train.tensors import Sender


def test_edges_are_all_pairs_once_and_then_turned_round(view):
    batch = assemble(view, np.array([4, 0, 77]), "dft", view.offsets("dft", ()), 3.0, with_forces=True)
    graph = Sender(view.elements, torch.float32, torch.device("cpu")).graph(batch)
    pairs = graph.edges.shape[1] // 2
    assert torch.equal(graph.edges[:, pairs:], graph.edges[:, :pairs].flip(0))
    assert sorted(map(tuple, graph.edges.T.tolist())) == sorted(map(tuple, batch.edge_index.T.tolist()))


def test_species_count_the_models_elements(view):
    batch = assemble(view, np.array([0]), "cc", view.offsets("cc", ()), 5.0, with_forces=False)
    elements = (1, 2, *view.elements[1:])
    labelled = Sender(elements, torch.float32, torch.device("cpu")).labelled(batch)
    assert [elements[index] for index in labelled.graph.species.tolist()] == batch.species.tolist()
    assert labelled.forces is None


def test_energies_are_rounded_after_the_offsets_are_off(view):
    """1e3 to 1e4 eV in float32 is worth 0.1 to 1 meV; what is left after the offsets is not."""
    offsets = view.offsets("dft", ())
    batch = assemble(view, view.validation("dft", ["a", "b"]), "dft", offsets, 5.0, with_forces=True)
    labelled = Sender(view.elements, torch.float32, torch.device("cpu")).labelled(batch)
    assert labelled.energy.dtype == torch.float32
    assert np.abs(labelled.energy.double().numpy() - batch.energy).max() < 1e-6
