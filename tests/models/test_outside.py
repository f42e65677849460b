from __future__ import annotations

import contextlib
import copy
import pickle
import warnings

import pytest
import torch
import yaml

from mfsweep.errors import TrainingError
from mfsweep.models import outside
from mfsweep.models.mace import Mace
from mfsweep.models.mace.building import quickly
from mfsweep.models.mace.network import mace, o3
from mfsweep.models.registry import build

E0 = [[-13.5, -1030.0, -1485.0, -2042.0], [-13.0, -1029.0, -1484.0, -2041.0]]
KINDS = {
    "as mace_run_train makes it": {"compiled": True},
    "one head of an old file": {"heads": None, "distance_transform": "Agnesi", "atomic_energies": E0[0], "atomic_inter_scale": 0.7, "atomic_inter_shift": 0.3},
    "three layers, first not residual": {"interaction_cls_first": "RealAgnosticInteractionBlock", "num_interactions": 3, "hidden_irreps": "4x0e"},
    "float32": {"dtype": torch.float32},
}  # fmt: skip


def make(dtype=torch.float64, compiled=False, **changes):
    """Return a MACE made by mace-torch's own class with its defaults; its TorchScript takes seconds."""
    options = {
        "atomic_inter_scale": [0.8, 1.7], "atomic_inter_shift": [0.1, -0.2], "r_max": 4.1, "num_bessel": 6,
        "num_polynomial_cutoff": 5, "max_ell": 2, "interaction_cls_first": "RealAgnosticResidualInteractionBlock",
        "interaction_cls": "RealAgnosticResidualInteractionBlock", "num_interactions": 2, "num_elements": 4,
        "hidden_irreps": "4x0e+4x1o", "MLP_irreps": "3x0e", "atomic_energies": E0, "avg_num_neighbors": 7.25,
        "atomic_numbers": [1, 6, 7, 8], "correlation": 2, "gate": torch.nn.functional.silu, "radial_MLP": [8],
        "heads": ["pbe", "r2scan"],
    } | changes  # fmt: skip
    for name in ("interaction_cls_first", "interaction_cls"):
        options[name] = mace.interaction_classes[options[name]]
    for name in ("hidden_irreps", "MLP_irreps"):
        options[name] = o3.Irreps(options[name])
    torch.set_default_dtype(dtype)
    try:
        torch.manual_seed(3)
        with contextlib.nullcontext() if compiled else quickly(own_layers=False):
            return mace.ScaleShiftMACE(**options)
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.fixture(scope="module")
def network():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("changes", KINDS.values(), ids=KINDS.keys())
def test_a_foundation_model_keeps_its_energies_and_forces(tmp_path, changes, make_graph, molecules):
    theirs = make(**changes)
    torch.save(theirs, tmp_path / "mace.model")
    read = outside.read(tmp_path / "mace.model")
    dtype = changes.get("dtype", torch.float64)
    assert read.reference == "its own"
    assert read.precision == str(dtype).removeprefix("torch.")
    assert read.shape.elements == (1, 6, 7, 8)
    assert read.shape.heads == (("Default",) if "heads" in changes else ("pbe", "r2scan"))
    for head, energies in zip(read.shape.heads, E0, strict=False):
        assert read.offsets[head] == pytest.approx(dict(zip((1, 6, 7, 8), energies, strict=True)))
    model = build(read.model, read.shape, read.offsets, seed=0, dtype=dtype).eval()
    model.load_state_dict(read.state)
    graph = make_graph(*molecules, dtype=dtype)
    near = (graph.positions[graph.edges[0]] - graph.positions[graph.edges[1]]).norm(dim=1) < 4.1
    graph = graph._replace(edges=graph.edges[:, near])
    exact = {"rtol": 1e-10, "atol": 1e-12} if dtype == torch.float64 else {"rtol": 1e-5, "atol": 1e-5}
    for number, head in enumerate(read.shape.heads):
        expected = theirs(_as_mace_takes_it(graph, number), compute_force=True)
        ours = model(graph, head, forces=True)
        torch.testing.assert_close(ours.energy, expected["interaction_energy"], **exact)
        torch.testing.assert_close(ours.forces, expected["forces"], **exact)


def _as_mace_takes_it(graph, head):
    edges, dtype = graph.edges.shape[1], graph.positions.dtype
    return {
        "positions": graph.positions.clone(),
        "node_attrs": torch.nn.functional.one_hot(graph.species, 4).to(dtype),
        "edge_index": graph.edges,
        "batch": graph.structure,
        "ptr": torch.zeros(graph.size + 1, dtype=torch.int64),
        "head": torch.full((graph.size,), head),
        "shifts": torch.zeros(edges, 3, dtype=dtype),
        "unit_shifts": torch.zeros(edges, 3, dtype=dtype),
        "cell": torch.zeros(3 * graph.size, 3, dtype=dtype),
    }


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"pair_repulsion": True, "radial_type": "gaussian"},
            r"a pair repulsion \(ZBL\); the radial basis GaussianBasis",
        ),
        ({"interaction_cls": "RealAgnosticDensityResidualInteractionBlock"}, "block RealAgnosticDensityResidual"),
        ({"gate": torch.tanh}, "the readout's activation tanh"),
        ({"hidden_irreps": "4x0e+4x0o"}, "U_matrix_1 of shape"),
        ({"correlation": [2, 1]}, "weights.0 of shape None"),
    ],
)
def test_what_ours_cannot_express_is_refused_by_name(tmp_path, changes, text):
    torch.save(make(**changes), tmp_path / "mace.model")
    with pytest.raises(TrainingError, match=f"no training can start from the MACE in .*{text}"):
        outside.read(tmp_path / "mace.model")


class _Trap:
    def __reduce__(self):
        return (_spring, ())


def _spring():
    raise AssertionError("code from the file ran")


def test_no_code_of_a_file_runs(tmp_path, network):
    trapped = copy.copy(network)
    trapped.trap = _Trap()
    torch.save(trapped, tmp_path / "mace.model")
    with pytest.raises(AssertionError, match="ran"):
        torch.load(tmp_path / "mace.model", weights_only=False)
    assert outside.read(tmp_path / "mace.model").shape.heads == ("pbe", "r2scan")


def test_a_file_of_ours_is_read_as_it_stands(tmp_path, make_model):
    model = make_model(hidden={"cc": (6, 3)})
    content = {
        "model": model.spec.model_dump(mode="json"), "precision": "float64", "heads": ["cc", "dft"], "elements": [1, 6, 7, 8],
        "avg_num_neighbors": 7.5, "hidden": {"cc": [6, 3]}, "offsets": {"cc": {1: -1.0}}, "step": 3, "state": model.state_dict(),
    }  # fmt: skip
    torch.save(content, tmp_path / "selected.pt")
    read = outside.read(tmp_path / "selected.pt")
    assert read._replace(state={}) == outside.Outside(model.spec, model.shape, "float64", {"cc": {1: -1.0}}, {}, "ours")
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in read.state.items())


def test_what_is_no_model_file_is_one_clear_error(tmp_path, network):
    torch.save(network, tmp_path / "whole.model")
    whole = (tmp_path / "whole.model").read_bytes()
    (tmp_path / "cut.model").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.model").write_text("model: mace\n", encoding="utf-8")
    (tmp_path / "empty.model").write_bytes(b"")
    (tmp_path / "pickle.model").write_bytes(pickle.dumps({"a": 1}))
    torch.save({"epoch": 3, "weights": torch.zeros(2)}, tmp_path / "dict.model")
    torch.save(torch.nn.Linear(2, 2), tmp_path / "linear.model")
    for name, text in {
        "missing": "cannot be read",
        "cut": "cannot be read: expected a file that torch.save wrote, whole",
        "text": "cannot be read: expected a file that torch.save wrote, whole",
        "empty": "cannot be read: expected a file that torch.save wrote, whole",
        "pickle": "cannot be read: expected a file that torch.save wrote, whole",
        "dict": "holds a dictionary of epoch, weights: expected a whole model",
        "linear": "holds a Linear: expected a whole model",
    }.items():
        with pytest.raises(TrainingError, match=rf"{name}\.model {text}"):
            outside.read(tmp_path / f"{name}.model")


def test_a_model_is_described_as_a_spec_asks_for_it():
    spec = Mace(channels=128, interaction_first="residual", radial_hidden=(64, 64))
    line = outside.describe(spec)
    assert "\n" not in line
    assert Mace(**yaml.safe_load(line)["model"]) == spec
