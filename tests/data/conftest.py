"""The bundled data, and small HDF5 files made on the spot. All session-wide, so that property tests may use them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np
import pytest
from ase import Atoms

from mfsweep.data import dataset
from mfsweep.data.importing import memory
from mfsweep.data.source import digest, resolve
from mfsweep.data.structures import Labels, Structures, hill_formula
from mfsweep.data.view import DataView, open_view
from mfsweep.models.mace import Mace
from mfsweep.spec.batching import Batching
from mfsweep.spec.data import LabelKeys, ResolvedData, Splits, Subset
from mfsweep.spec.stage import LabelledSet, Recipe, Training

ALL = ("cc", "dft", "xtb")
LABELS = {
    "cc": LabelKeys(energy="ccsd(t)_631gd.energy"),
    "dft": LabelKeys(energy="wb97x_631gd.energy", forces="wb97x_631gd.forces"),
    "xtb": LabelKeys(energy="gfn2_xtb.energy", forces="gfn2_xtb.forces"),
}
SPLITS = Splits(
    seed=0,
    a=Subset(size=120, validation=40, needs=ALL),
    t=Subset(size=200, needs=ALL),
    b=Subset(size="rest", validation=80, needs=("dft", "xtb")),
)
MOLECULES = {
    "CH4": [6, 1, 1, 1, 1],
    "C2H6": [6, 6, 1, 1, 1, 1, 1, 1],
    "C2H4": [6, 6, 1, 1, 1, 1],
    "H2O": [8, 1, 1],
    "CO2": [6, 8, 8],
    "CH2O": [6, 8, 1, 1],
    "CH4O": [6, 8, 1, 1, 1, 1],
    "HCN": [6, 7, 1],
    "H3N": [7, 1, 1, 1],
    "N2H4": [7, 7, 1, 1, 1, 1],
}
HARTREE_PER_ATOM = {1: -0.6, 6: -38.0, 7: -54.6, 8: -75.0, 16: -398.0}


@pytest.fixture(scope="session")
def mini() -> Path:
    return resolve("bundled:mini-ccx", Path())


@pytest.fixture(scope="session")
def resolved(mini: Path) -> Callable[..., ResolvedData]:
    content = digest(mini)

    def make(splits: Splits = SPLITS, labels: Mapping[str, LabelKeys] = LABELS, **fields) -> ResolvedData:
        return ResolvedData(**{"digest": content, "labels": dict(labels), "splits": splits, **fields})

    return make


@pytest.fixture(scope="session")
def view(mini: Path, resolved: Callable[..., ResolvedData]) -> DataView:
    return open_view({"": mini}, resolved())


@pytest.fixture(scope="session")
def as_store() -> Callable[..., Path]:
    """Write the structures of a file into a data set, a few at a time."""

    def write(path: Path, labels: Mapping[str, LabelKeys] = LABELS, to: Path | None = None, rows: int = 700) -> Path:
        structures = memory.read(path, labels)
        target = to or path.with_suffix(".dataset.h5")
        energies = {keys.energy.removesuffix(".energy"): structures.labels[name] for name, keys in labels.items()}
        forces = {name: own.forces for name, own in energies.items() if own.forces is not None}
        with dataset.Writer(target, energies=list(energies), forces=list(forces), columns=["half"]) as writer:
            for start in range(0, len(structures.formula), rows):
                own = slice(start, min(start + rows, len(structures.formula)))
                atoms = slice(structures.offsets[own.start], structures.offsets[own.stop])
                chunk = dataset.Chunk(
                    sizes=structures.sizes[own],
                    species=structures.species[atoms],
                    positions=structures.positions[atoms],
                    energies={name: labels.energy[own] for name, labels in energies.items()},
                    forces={name: values[atoms] for name, values in forces.items()},
                    charge=None if structures.charge is None else structures.charge[own],
                    columns={"half": ["odd" if index % 2 else "even" for index in range(own.start, own.stop)]},
                )
                writer.add(chunk)
            writer.finish({"source": path.name})
        return target

    return write


@pytest.fixture(scope="session")
def mini_store(mini: Path, as_store: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a data set of the bundled structures."""
    return as_store(mini, to=tmp_path_factory.mktemp("store") / "mini.h5")


@pytest.fixture(scope="session")
def make_training() -> Callable[..., Training]:
    def make(view: DataView, *sets: LabelledSet, max_atoms: int = 256) -> Training:
        return Training(
            data=view.data,
            model=Mace(channels=4),
            precision="float32",
            seed=0,
            sets=sets,
            recipe=Recipe(batch=Batching(max_atoms=max_atoms)),
        )

    return make


@pytest.fixture(scope="session")
def make_structures() -> Callable[..., Structures]:
    """Make structures without a file: (atomic numbers, conformers) each, label method -> which conformers lack it."""

    def make(
        molecules: Sequence[tuple[Sequence[int], int]], missing: Mapping[str, Sequence[int]] | None = None
    ) -> Structures:
        names = [hill_formula(numbers) for numbers, _ in molecules]
        formulae = tuple(sorted(set(names)))
        sizes = np.concatenate([np.full(count, len(numbers)) for numbers, count in molecules])
        species = np.concatenate([np.tile(numbers, count) for numbers, count in molecules])
        formula = np.concatenate(
            [np.full(count, formulae.index(name)) for name, (_, count) in zip(names, molecules, strict=True)]
        )
        seen = dict.fromkeys(formulae, 0)
        ranks = []
        for name, (_, count) in zip(names, molecules, strict=True):
            ranks.append(seen[name] + np.arange(count))
            seen[name] += count
        offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        rng = np.random.default_rng(0)
        labels = {}
        for method, lacking in (missing or {"cc": []}).items():
            energy = rng.normal(size=len(sizes))
            energy[list(lacking)] = np.nan
            labels[method] = Labels(energy, None)
        return Structures(
            offsets=offsets,
            species=species.astype(np.uint8),
            positions=rng.normal(scale=2.0, size=(len(species), 3)),
            formula=formula.astype(np.int32),
            formulae=formulae,
            rank=np.concatenate(ranks).astype(np.int32),
            labels=labels,
        )

    return make


@pytest.fixture(scope="session")
def from_atoms() -> Callable[..., Structures]:
    """Make structures of ASE's, without labels."""

    def make(*atoms: Atoms) -> Structures:
        count = len(atoms)
        return Structures(
            offsets=np.concatenate([[0], np.cumsum([len(one) for one in atoms])]),
            species=np.concatenate([one.numbers for one in atoms]).astype(np.uint8),
            positions=np.concatenate([one.positions for one in atoms]),
            formula=np.zeros(count, np.int32),
            formulae=("X",),
            rank=np.arange(count, dtype=np.int32),
            labels={},
            cell=np.stack([np.array(one.cell) for one in atoms]),
            pbc=np.stack([one.pbc for one in atoms]),
        )

    return make


@pytest.fixture
def write_file(tmp_path: Path) -> Callable[..., Path]:
    """Write a file of the ANI-1x layout with labels `cc` (energy) and `dft` (energy, forces), plausible in size."""

    def write(
        molecules: Mapping[str, Sequence[int]] = MOLECULES,
        conformers: int = 6,
        change: Callable[[h5py.File], None] | None = None,
    ) -> Path:
        path = tmp_path / "data.h5"
        rng = np.random.default_rng(1)
        with h5py.File(path, "w") as file:
            for name, numbers in molecules.items():
                group = file.create_group(name)
                shape = (conformers, len(numbers))
                reference = sum(HARTREE_PER_ATOM[z] for z in numbers)
                group["atomic_numbers"] = np.array(numbers, np.uint8)
                group["coordinates"] = rng.normal(size=(*shape, 3)).astype(np.float32)
                group["cc.energy"] = reference + 0.01 * rng.normal(size=conformers)
                group["dft.energy"] = 1.01 * reference + 0.01 * rng.normal(size=conformers)
                group["dft.forces"] = (0.05 * rng.normal(size=(*shape, 3))).astype(np.float32)
            if change is not None:
                change(file)
        return path

    return write


@pytest.fixture(scope="session")
def small_labels() -> dict[str, LabelKeys]:
    return {"cc": LabelKeys(energy="cc.energy"), "dft": LabelKeys(energy="dft.energy", forces="dft.forces")}


@pytest.fixture
def open_small(write_file: Callable[..., Path], small_labels: dict[str, LabelKeys]) -> Callable[..., DataView]:
    """Write and open a small file, split into `a` (train 20, validation 6) and the rest as `b`."""
    default = Splits(a=Subset(size=20, validation=6, needs=("cc", "dft")), b=Subset(size="rest", needs=("dft",)))

    def make(splits: Splits = default, offsets: str = "fixed", labels=small_labels, derived=None, **file) -> DataView:
        data = ResolvedData(digest="0" * 64, labels=labels, derived=derived, splits=splits, offsets=offsets)
        return open_view({"": write_file(**file)}, data)

    return make
