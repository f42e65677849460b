"""Row 3: shuffled structures per CPU second to a batch that MACE can take, against mace-torch's own ways.

All contestants load the same structures with energies and forces, in the same batches of at most 256 atoms, into
float32 tensors. mfsweep gathers from flat arrays with stored edges; mace-torch reads and builds each structure's
graph (HDF5Dataset), builds it from memory (AtomicData.from_config), or collates graphs built before (PyG collate).

    OMP_NUM_THREADS=1 python tests/benchmarks/loading.py
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import h5py
import numpy as np
import torch
from mace.data import AtomicData, Configuration, HDF5Dataset, save_configurations_as_HDF5
from mace.tools import AtomicNumberTable, torch_geometric
from paired import interleaved, table

from mfsweep.data.batch import assemble
from mfsweep.data.packing import worst_fit
from mfsweep.data.source import digest, resolve
from mfsweep.data.view import DataView, open_view
from mfsweep.spec.data import LabelKeys, ResolvedData, Splits
from mfsweep.train.tensors import Sender

METHOD = "xtb"
CUTOFF = 5.0
MAX_ATOMS = 256
STRUCTURES = 400
ROUNDS = 7
REPEATS = 20
"""Times that mfsweep goes over the structures in one turn, or its time would be too short for the clock."""


def main() -> None:
    """Print the table."""
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float32)
    view = _dataset()
    rng = np.random.default_rng(0)
    chosen = rng.permutation(len(view.structures.formula))[:STRUCTURES]
    batches = worst_fit(view.structures.sizes[chosen], MAX_ATOMS, 8)
    configurations = [_configuration(view, index) for index in chosen.tolist()]
    elements = AtomicNumberTable(list(view.elements))
    graphs = [AtomicData.from_config(own, z_table=elements, cutoff=CUTOFF) for own in configurations]
    offsets = dict.fromkeys(view.elements, 0.0)
    sender = Sender(view.elements, torch.float32, torch.device("cpu"))
    view.edges(CUTOFF)

    def ours() -> float:
        for _ in range(REPEATS):
            for batch in batches:
                gathered = assemble(view, chosen[batch], METHOD, offsets, CUTOFF, with_forces=True)
                labelled = sender.labelled(gathered)
                torch.nn.functional.one_hot(labelled.graph.species, len(elements))
        return REPEATS * STRUCTURES

    def collate() -> float:
        for batch in batches:
            torch_geometric.Batch.from_data_list([graphs[i] for i in batch])
        return STRUCTURES

    def from_config() -> float:
        for batch in batches:
            own = [AtomicData.from_config(configurations[i], z_table=elements, cutoff=CUTOFF) for i in batch]
            torch_geometric.Batch.from_data_list(own)
        return STRUCTURES

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "mace.h5"
        with h5py.File(path, "w") as file:
            save_configurations_as_HDF5(configurations, 0, file)
        stored = HDF5Dataset(path, r_max=CUTOFF, z_table=elements)

        def from_hdf5() -> float:
            for batch in batches:
                torch_geometric.Batch.from_data_list([stored[i] for i in batch.tolist()])
            return STRUCTURES

        contestants = {
            "mfsweep assemble + tensors": ours,
            "mace PyG collate of graphs in memory": collate,
            "mace AtomicData.from_config + collate": from_config,
            "mace HDF5Dataset + collate": from_hdf5,
        }
        rates = interleaved(contestants, ROUNDS)
    print(f"{STRUCTURES} structures, {len(batches)} batches of at most {MAX_ATOMS} atoms, {ROUNDS} turns each\n")
    print(table(rates, "mfsweep assemble + tensors", "structures / CPU s"))


def _dataset() -> DataView:
    path = resolve("bundled:mini-ccx", Path())
    labels = {METHOD: LabelKeys(energy="gfn2_xtb.energy", forces="gfn2_xtb.forces")}
    return open_view({"": path}, ResolvedData(digest=digest(path), labels=labels, splits=Splits()))


def _configuration(view: DataView, index: int) -> Configuration:
    structures = view.structures
    atoms = structures.atoms_of(np.array([index]))
    labels = structures.labels[METHOD]
    assert labels.forces is not None
    return Configuration(
        atomic_numbers=structures.species[atoms].astype(int),
        positions=structures.positions[atoms],
        properties={"energy": float(labels.energy[index]), "forces": labels.forces[atoms]},
        property_weights={"energy": 1.0, "forces": 1.0},
        cell=np.zeros((3, 3)),
        pbc=(False, False, False),
    )


if __name__ == "__main__":
    main()
