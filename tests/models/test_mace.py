from __future__ import annotations

import pytest
import torch

from mfsweep.errors import TrainingError
from mfsweep.models import Shape, build, match_heads
from mfsweep.spec.model import Mace


@pytest.mark.parametrize(("channels", "count"), [(64, 269_136), (128, 848_528), (256, 2_990_352)])
def test_the_studys_sizes_have_its_parameter_counts(channels, count):
    """The source study: 269k, 849k and 2.99M parameters for one head."""
    shape = Shape(("cc",), (1, 6, 7, 8), 10.0)
    model = build(Mace(channels=channels), shape, {"cc": {}}, seed=0, dtype=torch.float32)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


def test_energies_are_those_of_mace_itself(make_model, architecture, make_graph, molecules):
    model, graph = make_model(architecture), make_graph(*molecules)
    edges, atoms = graph.edges.shape[1], len(graph.species)
    data = {
        "positions": graph.positions.clone(),
        "node_attrs": torch.nn.functional.one_hot(graph.species, 4).double(),
        "edge_index": graph.edges,
        "batch": graph.structure,
        "ptr": torch.zeros(graph.size + 1, dtype=torch.int64),
        "head": torch.ones(graph.size, dtype=torch.int64),
        "shifts": torch.zeros(edges, 3, dtype=torch.float64),
        "unit_shifts": torch.zeros(edges, 3, dtype=torch.float64),
        "cell": torch.zeros(3 * graph.size, 3, dtype=torch.float64),
    }
    theirs = model.network(data, compute_force=True)
    ours = model(graph, "dft", forces=True)
    torch.testing.assert_close(ours.energy, theirs["interaction_energy"], rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(ours.forces, theirs["forces"], rtol=1e-9, atol=1e-11)
    offsets = torch.tensor([-100.0 * n for n in (6, 3, 9)], dtype=torch.float64)
    torch.testing.assert_close(theirs["energy"], theirs["interaction_energy"] + offsets)
    assert atoms == 18


def test_the_seed_alone_makes_the_initial_weights(make_model):
    torch.manual_seed(11)
    expected = torch.rand(1)
    torch.manual_seed(11)
    one, same, other = make_model(seed=1), make_model(seed=1), make_model(seed=2)
    assert torch.equal(torch.rand(1), expected), "torch's own generator is left alone"
    assert torch.get_default_dtype() == torch.float32
    equal = [torch.equal(a, b) for a, b in zip(one.parameters(), same.parameters(), strict=True)]
    assert all(equal)
    assert not all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


def test_offsets_are_kept_in_float64(make_model):
    model = make_model(dtype=torch.float32)
    assert model.network.atomic_energies_fn.atomic_energies.dtype == torch.float64
    assert next(model.parameters()).dtype == torch.float32


@pytest.mark.parametrize(
    ("parent_heads", "heads", "sources"),
    [
        (("cc", "dft"), ("cc",), {"cc": "cc"}),
        (("cc", "dft"), ("dft",), {"dft": "dft"}),
        (("dft",), ("cc", "dft"), {"cc": "dft", "dft": "dft"}),
        (("dft",), ("cc",), {"cc": "dft"}),
        (("cc", "dft", "xtb"), ("dft", "xtb"), {"dft": "dft", "xtb": "xtb"}),
    ],
)
def test_a_child_computes_what_its_parent_computed(
    make_model, architecture, make_graph, molecules, parent_heads, heads, sources
):
    parent = make_model(architecture, heads=parent_heads, seed=1)
    child = make_model(architecture, heads=heads, seed=2)
    assert match_heads(heads, parent_heads) == sources
    child.adopt(parent.state_dict(), parent_heads, sources)
    graph = make_graph(*molecules)
    for head, source in sources.items():
        ours, theirs = child(graph, head, forces=True), parent(graph, source, forces=True)
        torch.testing.assert_close(ours.energy, theirs.energy, rtol=1e-11, atol=1e-13)
        torch.testing.assert_close(ours.forces, theirs.forces, rtol=1e-9, atol=1e-11)


def test_a_head_that_several_could_give_is_refused():
    with pytest.raises(TrainingError, match="'cc' cannot start from the parent stage: it has the heads dft, xtb"):
        match_heads(["cc"], ["dft", "xtb"])
