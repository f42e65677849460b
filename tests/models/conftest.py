from __future__ import annotations

import sys
from types import MappingProxyType, SimpleNamespace

import numpy as np
import pytest
import torch
from architectures import SPECS
from ase import Atoms

from mfsweep.data.batch import assemble
from mfsweep.data.neighbours import neighbours
from mfsweep.data.structures import Labels, Structures
from mfsweep.models.architecture import Shape
from mfsweep.models.base import AtomGraph, Potential
from mfsweep.models.overlay import overlay_path
from mfsweep.models.registry import ARCHITECTURES, build
from mfsweep.train.tensors import Sender

ELEMENTS = (1, 6, 7, 8)
# An architecture with packages of its own cannot be imported beside the others: in a process that has its overlay, its
# tests run alone (test_overlays.py).
_IN_FRONT = [name for name in SPECS if (path := overlay_path(name)) and str(path) in sys.path]
IMPORTABLE = _IN_FRONT or [name for name, own in ARCHITECTURES.items() if not own.PINS]
CASES = {f"{name} {size}": spec for name in IMPORTABLE for size, spec in SPECS[name].items()}
DEFAULT = next(iter(CASES.values()))
collect_ignore = [name for name in SPECS if name not in IMPORTABLE]


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
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
def train_vectors():
    """Move the vectors of a model's methods from where all of them are equal, as some steps of training would."""

    def train(model: Potential) -> None:
        generator = torch.Generator().manual_seed(6)
        with torch.no_grad():
            model.method_vectors.copy_(
                torch.randn(model.method_vectors.shape, generator=generator, dtype=model.method_vectors.dtype)
            )

    return train


@pytest.fixture
def make_graph():
    """Make the graph of molecules given as (species (n,), positions (n, 3)), all pairs within 5 angstrom."""

    def make(*molecules, dtype=torch.float64) -> AtomGraph:
        senders, first = [], 0
        for species, positions in molecules:
            distance = np.linalg.norm(positions[:, None] - positions[None], axis=-1)
            pairs = np.argwhere(np.triu(distance < 5.0, 1)).T
            senders.append(pairs + first)
            first += len(species)
        pairs = np.concatenate(senders, axis=1)
        return AtomGraph(
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

    def make(*crystals: Atoms, dtype=torch.float64) -> AtomGraph:
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
