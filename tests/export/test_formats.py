"""What leaves gives the numbers of the stage, by the programs that it is for."""

from __future__ import annotations

import sys
import types
import warnings
import zipfile

import ase.io
import numpy as np
import performed
import pytest
import torch
from ase import Atoms
from ase.build import bulk, molecule
from mace.calculators import MACECalculator
from mace.cli import eval_configs

from mfsweep.data.bare import bare_batch, of_atoms
from mfsweep.errors import TrainingError
from mfsweep.export.formats import KINDS, write
from mfsweep.export.leave import export
from mfsweep.passport import beside, read_passport
from mfsweep.train.checkpoint import Weights
from mfsweep.train.predictor import load_model
from mfsweep.train.trained import Trained

pytestmark = pytest.mark.filterwarnings("ignore")  # of mace-torch's calculators and torch.jit

KINDS_OF_MODELS = ("two heads", "a foundation model")


def leave(kind, format_, tmp_path, **options):
    return export(
        performed.store(), performed.stage(kind), format_, out=tmp_path / f"model{KINDS[format_].suffix}", **options
    )


def crystal() -> Atoms:
    found = bulk("C", "diamond", a=3.4, cubic=True)
    found.rattle(0.05, seed=1)
    return found


@pytest.fixture(scope="module")
def molecules():
    return [*performed.atoms_of([3, 500]), molecule("CH3OH"), molecule("H2O"), Atoms("H")]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """One file with both heads of each of two stages."""
    made = {}
    for kind in ("two heads", "a foundation model"):
        made[kind] = leave(kind, "mace", tmp_path_factory.mktemp("files")).path
    return made


@pytest.mark.parametrize("kind", KINDS_OF_MODELS)
def test_maces_calculator_gives_our_numbers(files, kind, molecules):
    """Of heads of different widths, and of a foundation model whose shifts lie beside its network, too."""
    for head in ("cc", "dft"):
        calculator = MACECalculator(model_paths=str(files[kind]), device="cpu", default_dtype="float64", head=head)
        for atoms in [*molecules, crystal()]:
            periodic = bool(atoms.pbc.all())
            found = performed.predictor(kind, head).predict([atoms], stress=periodic)
            atoms.calc = calculator
            assert atoms.get_potential_energy() / len(atoms) == pytest.approx(found.energy[0] / len(atoms), abs=1e-8)
            np.testing.assert_allclose(atoms.get_forces(), found.forces[0], atol=1e-8)
            if periodic:
                np.testing.assert_allclose(atoms.get_stress(), found.stress[0], atol=1e-8)
            atoms.calc = None


def test_the_file_holds_no_code_of_ours(files):
    network = torch.load(files["a foundation model"], weights_only=False)
    names = {type(module).__module__.partition(".")[0] for module in network.modules()}
    assert names <= {"mace", "e3nn", "torch"}, names
    assert network.atomic_numbers.tolist() == [1, 6, 7, 8], "sulphur, of which no head has an E0, is not there"


def test_mace_eval_configs_gives_our_numbers(files, molecules, tmp_path, monkeypatch):
    ase.io.write(tmp_path / "in.xyz", molecules, format="extxyz")
    monkeypatch.setattr(sys, "argv", ["mace_eval_configs", "--configs", str(tmp_path / "in.xyz"), "--model", str(files["two heads"]), "--output", str(tmp_path / "out.xyz"), "--head", "dft"])  # fmt: skip
    try:
        eval_configs.main()
    finally:
        torch.set_default_dtype(torch.float32)
    expected = performed.predictor("two heads", "dft").predict(molecules)
    for atoms, energy in zip(ase.io.read(tmp_path / "out.xyz", index=":"), expected.energy, strict=True):
        assert atoms.info["MACE_energy"] == pytest.approx(energy, abs=1e-6)


def test_a_mace_file_comes_home(files, molecules):
    for head in ("cc", "dft"):
        found = load_model(files["a foundation model"], head).predict(molecules)
        expected = performed.predictor("a foundation model", head).predict(molecules)
        np.testing.assert_allclose(found.energy, expected.energy, rtol=0, atol=1e-7)


@pytest.mark.parametrize("kind", ["a difference", "a foundation model"])
def test_a_plain_file_gives_the_same_numbers(kind, molecules, tmp_path):
    record = performed.stage(kind).record()
    left = leave(kind, "ase", tmp_path, head=(head := next(iter(record.heads))))
    found, expected = load_model(left.path), performed.predictor(kind, head)
    assert found.minus == expected.minus
    np.testing.assert_allclose(found.predict(molecules).energy, expected.predict(molecules).energy, rtol=0, atol=1e-9)


def test_lammps_script_gives_our_numbers(tmp_path):
    left = leave("a foundation model", "lammps", tmp_path, head="cc")
    extra = {"passport.json": ""}
    script = torch.jit.load(left.path, _extra_files=extra)
    assert extra["passport.json"].decode() == beside(left.path).read_text(encoding="utf-8")
    atoms = molecule("CH3OH")
    found = script(as_lammps(atoms), torch.ones(len(atoms), dtype=torch.float64), False)
    expected = performed.predictor("a foundation model", "cc").predict([atoms])
    assert found["total_energy_local"].item() == pytest.approx(expected.energy[0], abs=1e-8)
    np.testing.assert_allclose(found["forces"], expected.forces[0], atol=1e-8)


def as_lammps(atoms):
    """Return what `pair_style mace` hands to its model."""
    batch = bare_batch(of_atoms([atoms]), 3.0)
    edges = torch.from_numpy(batch.edge_index)
    species = torch.tensor([[1, 6, 7, 8].index(z) for z in atoms.numbers])
    return {
        "positions": torch.from_numpy(batch.positions),
        "node_attrs": torch.nn.functional.one_hot(species, 4).double(),
        "edge_index": edges,
        "batch": torch.zeros(len(atoms), dtype=torch.int64),
        "ptr": torch.tensor([0, len(atoms)]),
        "energy": torch.zeros(1).double(),
        "forces": torch.zeros(len(atoms), 3).double(),
        "weight": torch.ones(1).double(),
        "shifts": torch.zeros(edges.shape[1], 3).double(),
        "unit_shifts": torch.zeros(edges.shape[1], 3).double(),
        "cell": torch.zeros(3, 3).double(),
    }


def test_mliap_object_gives_our_numbers(tmp_path):
    """LAMMPS is stood in for by an object with what its ML-IAP interface hands over: a molecule has no ghosts."""
    left = leave("two heads", "mliap", tmp_path, head="dft")
    model = torch.load(left.path, weights_only=False)
    atoms = molecule("CH3OH")
    graph = as_lammps(atoms)
    sender, receiver = graph["edge_index"]
    given = {}
    lammps = types.SimpleNamespace(
        nlocal=len(atoms),
        ntotal=len(atoms),
        npairs=len(sender),
        elems=np.array([[1, 6, 7, 8].index(z) for z in atoms.numbers]),
        rij=(graph["positions"][sender] - graph["positions"][receiver]).numpy(),
        pair_i=receiver.numpy(),
        pair_j=sender.numpy(),
        eatoms=np.zeros(len(atoms)),
        forward_exchange=lambda source, target, _: target.copy_(source),
        reverse_exchange=lambda source, target, _: target.copy_(source),
        update_pair_forces_gpu=lambda forces: given.update(pairs=forces),
    )
    model.compute_forces(lammps)
    expected = performed.predictor("two heads", "dft").predict([atoms])
    assert lammps.energy == pytest.approx(expected.energy[0], abs=1e-8)
    forces = np.zeros((len(atoms), 3))
    # As LAMMPS' update_pair_forces adds them up: f[i] += fij, f[j] -= fij, with rij from i to j.
    np.add.at(forces, receiver.numpy(), given["pairs"].detach().numpy())
    np.add.at(forces, sender.numpy(), -given["pairs"].detach().numpy())
    np.testing.assert_allclose(forces, expected.forces[0], atol=1e-8)


def test_torch_sim_gives_our_numbers(tmp_path):
    """Where torch-sim is installed: it is no dependency, since its own are heavy."""
    torch_sim = pytest.importorskip("torch_sim")
    from torch_sim.models.mace import MaceModel

    left = leave("two heads", "torch-sim", tmp_path, head="dft")
    model = MaceModel(torch.load(left.path, weights_only=False), device=torch.device("cpu"))
    crystals = [crystal(), crystal().repeat((2, 1, 1))]
    state = torch_sim.initialize_state(crystals, torch.device("cpu"), torch.float64)
    found = model(state)
    expected = performed.predictor("two heads", "dft").predict(crystals, stress=True)
    np.testing.assert_allclose(found["energy"], expected.energy, atol=1e-7)
    np.testing.assert_allclose(found["forces"], np.concatenate(expected.forces), atol=1e-7)


def test_a_method_told_apart_by_its_vector_leaves_in_every_format(molecules, tmp_path):
    """mace-torch knows no such vectors: a file of its formats holds one method, as a plain model."""
    kind = "vectors of methods"
    assert performed.predictor(kind, "cc").model.method_vectors.any(), "it was trained"
    for head in ("cc", "dft"):
        expected = performed.predictor(kind, head).predict(molecules)
        left = leave(kind, "mace", tmp_path, head=head)
        calculator = MACECalculator(model_paths=str(left.path), device="cpu", default_dtype="float64")
        for place, atoms in enumerate(molecules):
            atoms.calc = calculator
            assert atoms.get_potential_energy() == pytest.approx(expected.energy[place], abs=1e-8)
            np.testing.assert_allclose(atoms.get_forces(), expected.forces[place], atol=1e-8)
            atoms.calc = None
        again = load_model(left.path, head).predict(molecules)
        np.testing.assert_allclose(again.energy, expected.energy, rtol=0, atol=1e-8)
    whole = leave(kind, "ase", tmp_path).path
    for head in ("cc", "dft"):
        found, expected = load_model(whole, head), performed.predictor(kind, head)
        np.testing.assert_allclose(
            found.predict(molecules).energy, expected.predict(molecules).energy, rtol=0, atol=1e-9
        )
    script = torch.jit.load(leave(kind, "lammps", tmp_path, head="cc").path)
    atoms = molecule("CH3OH")
    found = script(as_lammps(atoms), torch.ones(len(atoms), dtype=torch.float64), False)
    expected = performed.predictor(kind, "cc").predict([atoms])
    assert found["total_energy_local"].item() == pytest.approx(expected.energy[0], abs=1e-8)


def test_methods_that_share_a_readout_are_refused_in_one_file_of_mace_torch(tmp_path):
    with pytest.raises(TrainingError, match=r"the methods cc, dft share one readout.*name one with --head"):
        leave("vectors of methods", "mace", tmp_path)


def test_formats_of_one_head_ask_for_it(tmp_path):
    for kind in ("lammps", "mliap", "torch-sim"):
        with pytest.raises(TrainingError, match=f"format {kind} holds one readout head, and the model has cc, dft"):
            leave("two heads", kind, tmp_path)


def test_the_passport_is_read_without_running_the_file(files, tmp_path):
    """It is a member of the archive: a pickle that would run code is not looked at."""
    path = tmp_path / "stranger.model"
    with zipfile.ZipFile(files["two heads"]) as source, zipfile.ZipFile(path, "w") as target:
        for member in source.infolist():
            trap = b"cos\nabort\n(tR." if member.filename.endswith("data.pkl") else source.read(member)
            target.writestr(member.filename, trap)
    passport = read_passport(path)
    assert passport == read_passport(files["two heads"])
    assert passport.heads["cc"].methods == ["cc"]
    assert passport.elements == ["H", "C", "N", "O"]


def test_a_head_of_several_hidden_layers_is_refused_in_words():
    from mfsweep.models.architecture import Shape
    from mfsweep.models.mace.file import module
    from mfsweep.models.registry import build

    shape = Shape(("cc",), (1, 6), 7.5, {"cc": (6, 3)})
    offsets = {"cc": {1: -13.0, 6: -1030.0}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = build(performed.MODEL, shape, offsets, seed=0, dtype=torch.float64)
    with pytest.raises(TrainingError, match=r"no readout block of several hidden layers.*'cc': \[6, 3\]"):
        module(performed.MODEL, shape, model.state_dict(), offsets, ["cc"], [1, 6], torch.float64)


def test_an_architecture_without_a_module_of_its_package_is_refused_in_words(tmp_path):
    weights = Weights({"architecture": "allegro"}, "float64", ["cc"], [1], 7.5, {"cc": {1: -13.0}}, 1, {})
    with pytest.raises(
        TrainingError,
        match=r"`architecture: allegro` has no file of its own package \(those of mace have\): expected",
    ):
        write({"cc": Trained(weights, "cc", {1: -13.0}, None, "")}, "mace", "float64", None, tmp_path / "x.model")
