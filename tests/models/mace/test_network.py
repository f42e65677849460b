from __future__ import annotations

import pytest
import torch
from pydantic import ValidationError

from mfsweep.models.architecture import Shape
from mfsweep.models.mace import Mace
from mfsweep.models.registry import build


@pytest.mark.parametrize(("channels", "count"), [(64, 269_136), (128, 848_528), (256, 2_990_352)])
def test_the_studys_sizes_have_its_parameter_counts(channels, count):
    """The source study: 269k, 849k and 2.99M parameters for one head."""
    shape = Shape(("cc",), (1, 6, 7, 8), 10.0)
    model = build(Mace(channels=channels), shape, {"cc": {}}, seed=0, dtype=torch.float32)
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("hidden", [{}, {"cc": (6, 3)}], ids=["equal heads", "an enlarged head"])
def test_energies_are_those_of_mace_itself(make_model, architecture, make_graph, molecules, hidden):
    model, graph = make_model(architecture, hidden=hidden), make_graph(*molecules)
    theirs = _require_equal_to_mace(model, graph)
    offsets = torch.tensor([-100.0 * n for n in (6, 3, 9)], dtype=torch.float64)
    torch.testing.assert_close(theirs["energy"], theirs["interaction_energy"] + offsets)


def test_energies_of_a_crystal_are_those_of_mace_itself(make_model, architecture, make_crystal, ice):
    graph = make_crystal(ice, ice.repeat((1, 2, 1)))
    assert graph.shifts.abs().max() > 0
    _require_equal_to_mace(make_model(architecture), graph)


def _require_equal_to_mace(model, graph):
    """Compare energies and forces of the head `dft` with those of mace's own forward, which is returned."""
    edges = graph.edges.shape[1]
    shifts = torch.zeros(edges // 2, 3, dtype=torch.float64) if graph.shifts is None else graph.shifts
    data = {
        "positions": graph.positions.clone(),
        "node_attrs": torch.nn.functional.one_hot(graph.species, 4).double(),
        "edge_index": graph.edges,
        "batch": graph.structure,
        "ptr": torch.zeros(graph.size + 1, dtype=torch.int64),
        "head": torch.ones(graph.size, dtype=torch.int64),
        "shifts": torch.cat([shifts, -shifts]),
        "unit_shifts": torch.zeros(edges, 3, dtype=torch.float64),
        "cell": torch.zeros(3 * graph.size, 3, dtype=torch.float64),
    }
    theirs = model.network(data, compute_force=True)
    ours = model(graph, "dft", forces=True)
    torch.testing.assert_close(ours.energy, theirs["interaction_energy"], rtol=1e-11, atol=1e-13)
    torch.testing.assert_close(ours.forces, theirs["forces"], rtol=1e-9, atol=1e-11)
    return theirs


def test_offsets_are_kept_in_float64(make_model):
    model = make_model(dtype=torch.float32)
    assert model.network.atomic_energies_fn.atomic_energies.dtype == torch.float64
    assert next(model.parameters()).dtype == torch.float32


def test_an_enlarged_head_leaves_backbone_and_linear_readouts_as_they_were(make_model, architecture):
    plain = dict(make_model(architecture).named_parameters())
    wide = dict(make_model(architecture, hidden={"dft": (8, 8)}).named_parameters())
    last = f"network.readouts.{architecture.layers - 1}."
    same = [name for name in plain if not name.startswith(last)]
    assert all(torch.equal(plain[name], wide[name]) for name in same)
    assert sorted(name for name in wide if name.startswith(last)) == [
        *(f"{last}heads.0.layer{layer}.weight" for layer in (0, 1)),
        *(f"{last}heads.1.layer{layer}.weight" for layer in (0, 1, 2)),
    ]


def test_the_models_own_width_is_no_other_model(make_model):
    assert make_model(hidden={"cc": (4,)}).state_dict().keys() == make_model().state_dict().keys()


def test_a_file_of_a_version_without_shifts_loads(make_model):
    model, state = make_model(seed=1), make_model(seed=2).state_dict()
    del state["shifts"]
    model.load_state_dict(state)
    assert not model.shifts.any()


def test_a_model_of_no_harmonics_is_refused_before_it_is_built():
    """mace-torch breaks on it."""
    with pytest.raises(ValidationError, match="max_ell"):
        Mace(max_ell=0)
