from __future__ import annotations

import importlib.util
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch
from ase import Atoms

from mfsweep.data.batch import assemble
from mfsweep.data.neighbours import neighbours
from mfsweep.data.structures import Labels, Structures
from mfsweep.models.base import Graph, Potential, Shape
from mfsweep.models.registry import build
from mfsweep.spec.model import Allegro, Architecture, Mace
from mfsweep.train.tensors import Sender

ELEMENTS = (1, 6, 7, 8)
MACE: dict[str, Architecture] = {
    "mace scalars": Mace(channels=4, max_L=0, max_ell=2, correlation=2, radial_hidden=(8,), readout_hidden=4),
    "mace vectors": Mace(channels=4, max_L=1, max_ell=3, correlation=2, radial_hidden=(8,), readout_hidden=4),
    "mace residual": Mace(channels=4, max_L=0, max_ell=2, correlation=2, layers=3, radial_hidden=(8,), readout_hidden=4, interaction_first="residual", distance_transform="Agnesi"),
}  # fmt: skip
ALLEGRO: dict[str, Architecture] = {
    "allegro": Allegro(architecture="allegro", tensor_channels=4, scalar_channels=8, mlp_layers=1, mlp_width=8, readout_hidden=4),
    "allegro scalars": Allegro(architecture="allegro", l_max=0, tensor_channels=4, scalar_channels=8, mlp_width=8, readout_hidden=4),
    "allegro deep": Allegro(architecture="allegro", layers=3, l_max=1, tensor_channels=4, scalar_channels=8, mlp_width=8, readout_hidden=4),
}  # fmt: skip

# Only one of the two can be imported by a process: in one that has the overlay, Allegro's tests run (test_overlays.py).
IN_OVERLAY = importlib.util.find_spec("nequip") is not None
ARCHITECTURES = ALLEGRO if IN_OVERLAY else MACE
DEFAULT = next(iter(ARCHITECTURES.values()))
collect_ignore = ["test_mace.py", "test_mace_layers.py", "test_harmonics.py"] if IN_OVERLAY else ["test_allegro.py"]


@pytest.fixture(params=ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
def architecture(request):
    return request.param


@pytest.fixture
def make_model():
    def make(spec=DEFAULT, heads=("cc", "dft"), seed=0, dtype=torch.float64, hidden=MappingProxyType({})) -> Potential:
        offsets = {head: dict.fromkeys(ELEMENTS, -100.0) for head in heads}
        return build(spec, Shape(tuple(heads), ELEMENTS, 7.5, hidden), offsets, seed=seed, dtype=dtype)

    return make


@pytest.fixture(scope="session")
def idle_models():
    """Key -> models that no test holds, each with the state it was made in."""
    return {}


@pytest.fixture
def borrow_model(make_model, idle_models):
    """Return what `make_model` does, but from a model that an earlier test has used: making one takes a second."""
    lent = []

    def borrow(spec=DEFAULT, **options) -> Potential:
        idle = idle_models.setdefault(repr((spec, sorted(options.items()))), [])
        if not idle:
            model = make_model(spec, **options)
            idle.append((model, {name: tensor.clone() for name, tensor in model.state_dict().items()}))
        model, state = idle.pop()
        model.load_state_dict(state)
        lent.append((idle, model, state))
        return model.train()

    yield borrow
    for idle, model, state in lent:
        model.merge()
        model.zero_grad()
        idle.append((model, state))


@pytest.fixture
def train_adapters():
    """Move a model's adapters from where they change nothing, as some steps of training would."""

    def train(model: Potential) -> None:
        generator = torch.Generator().manual_seed(5)
        with torch.no_grad():
            for factor in model.adapter_parameters():
                factor.add_(torch.randn(factor.shape, generator=generator, dtype=factor.dtype), alpha=0.3)

    return train


@pytest.fixture
def make_graph():
    """Make the graph of molecules given as (species (n,), positions (n, 3)), all pairs within 5 angstrom."""

    def make(*molecules, dtype=torch.float64) -> Graph:
        senders, first = [], 0
        for species, positions in molecules:
            distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
            pairs = np.argwhere(np.triu(distance < 5.0, 1)).T
            senders.append(pairs + first)
            first += len(species)
        pairs = np.concatenate(senders, axis=1)
        return Graph(
            species=torch.tensor(np.concatenate([species for species, _ in molecules])),
            positions=torch.tensor(np.concatenate([positions for _, positions in molecules]), dtype=dtype),
            structure=torch.tensor(np.repeat(np.arange(len(molecules)), [len(species) for species, _ in molecules])),
            edges=torch.tensor(np.concatenate([pairs, pairs[::-1]], axis=1)),
            size=len(molecules),
        )

    return make


@pytest.fixture
def molecules():
    """Three molecules of 6, 3 and 9 atoms that fill a ball whose far sides are not neighbours."""
    rng = np.random.default_rng(3)
    return [(rng.integers(0, 4, size=n), rng.normal(size=(n, 3)) * 1.7) for n in (6, 3, 9)]


@pytest.fixture
def make_crystal():
    """Make the graph of periodic structures given as ase.Atoms, all images within 5 angstrom."""

    def make(*crystals: Atoms, dtype=torch.float64) -> Graph:
        sizes = [len(one) for one in crystals]
        structures = Structures(
            offsets=np.concatenate([[0], np.cumsum(sizes)]),
            species=np.concatenate([one.numbers for one in crystals]).astype(np.uint8),
            positions=np.concatenate([one.positions for one in crystals]),
            formula=np.zeros(len(crystals), np.int32),
            formulae=("X",),
            rank=np.arange(len(crystals), dtype=np.int32),
            labels={"cc": Labels(np.zeros(len(crystals)), None)},
            cell=np.stack([np.array(one.cell) for one in crystals]),
            pbc=np.stack([one.pbc for one in crystals]),
        )
        source = SimpleNamespace(structures=structures, edges=lambda cutoff: neighbours(structures, cutoff))
        batch = assemble(source, np.arange(len(crystals)), "cc", dict.fromkeys(ELEMENTS, 0.0), 5.0, with_forces=False)
        return Sender(ELEMENTS, dtype, torch.device("cpu")).graph(batch)

    return make


@pytest.fixture
def ice():
    """Five atoms in a skewed cell smaller than the cutoff."""
    rng = np.random.default_rng(8)
    cell = np.diag([3.1, 3.7, 4.2]) + rng.uniform(-0.5, 0.5, (3, 3))
    return Atoms("COHHN", scaled_positions=rng.uniform(size=(5, 3)), cell=cell, pbc=True)
