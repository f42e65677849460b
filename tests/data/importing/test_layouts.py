"""Layouts of the field: generated files come in with the numbers that were written, wrong ones are refused by place."""

from __future__ import annotations

import contextlib
import json
import pickle
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import h5py
import lmdb
import numpy as np
import pyarrow as pa
import pytest
import synthetic
from ase.data import chemical_symbols
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from mfsweep.cli.main import main
from mfsweep.data import dataset
from mfsweep.data.importing import conformers, mace_files, release
from mfsweep.data.importing.layouts import LAYOUTS, layout_of
from mfsweep.data.importing.plain import PlainError, decode
from mfsweep.data.importing.rules import Rules
from mfsweep.data.importing.spice import SpiceSource, charge_of
from mfsweep.data.structures import hill_formula
from mfsweep.data.units import BOHR, HARTREE
from mfsweep.errors import DataError


class Molecule(NamedTuple):
    name: str
    numbers: np.ndarray
    positions: np.ndarray
    """(Nc, Na, 3) angstrom."""
    energies: np.ndarray
    """(Nc,) eV."""
    forces: np.ndarray
    """(Nc, Na, 3) eV/angstrom."""


def molecules(seed: int, count: int = 5) -> list[Molecule]:
    """Make molecules of any elements, of which no two have one formula; single atoms are no structures."""
    rng = np.random.default_rng(seed)
    made: dict[str, Molecule] = {}
    while len(made) < count:
        size, conformers = int(rng.integers(2, 9)), int(rng.integers(1, 6))
        numbers = np.sort(rng.choice([1, 6, 7, 8, 16, 35], size)).astype(np.uint8)
        name = hill_formula(numbers)
        shape = (conformers, size, 3)
        made[name] = Molecule(
            name, numbers, rng.normal(scale=4, size=shape), rng.normal(-900, 90, conformers), rng.normal(size=shape)
        )
    return [made[name] for name in sorted(made)]


def pyanitools(path: Path, found: list[Molecule]) -> None:
    with h5py.File(path, "w") as file:
        for number, one in enumerate(found):
            group = file.create_group(f"gdb11_s{number % 2}/{one.name}")
            group["coordinates"] = one.positions
            group["species"] = np.array([chemical_symbols[z] for z in one.numbers], "S2")
            group["energies"] = one.energies / HARTREE
            group["forces"] = one.forces / HARTREE
            group["smiles"] = np.array(list("C(=O)"), "S1")
            group["coordinatesHE"] = one.positions[:1]
            group["energiesHE"] = one.energies[:1]


def torchani(path: Path, found: list[Molecule]) -> None:
    with h5py.File(path, "w") as file:
        file.attrs["grouping"] = "by_formula"
        for one in found:
            group = file.create_group(one.name)
            group["coordinates"] = one.positions
            group["species"] = np.tile(one.numbers.astype(np.int64), (len(one.energies), 1))
            group["energies"] = one.energies / HARTREE
            group["forces"] = one.forces / HARTREE


def spice(path: Path, found: list[Molecule]) -> None:
    with h5py.File(path, "w") as file:
        for one in found:
            group = file.create_group(one.name)
            group["atomic_numbers"] = one.numbers.astype(np.int16)
            for key, value, units in (
                ("conformations", one.positions / BOHR, "bohr"),
                ("dft_total_energy", one.energies / HARTREE, "hartree"),
                ("dft_total_gradient", -one.forces / HARTREE * BOHR, "hartree/bohr"),
            ):
                group[key] = value
                group[key].attrs["units"] = units
            group["smiles"] = ["[H:1][N+:2]"]
            group["subset"] = ["PubChem"]


def mace(path: Path, found: list[Molecule], cell: Any = "None") -> None:
    """Write what mace's save_configurations_as_HDF5 writes."""
    with h5py.File(path, "w") as file:
        batch = file.create_group("config_batch_0")
        number = 0
        for one in found:
            for positions, energy, forces in zip(one.positions, one.energies, one.forces, strict=True):
                group = batch.create_group(f"config_{number}")
                group["atomic_numbers"] = one.numbers.astype(np.int64)
                group["positions"] = positions
                group["properties/energy"], group["properties/forces"] = energy, forces
                group["properties/stress"] = "None"
                group["cell"], group["pbc"] = cell, [cell != "None"] * 3 if isinstance(cell, str) else [True] * 3
                group["weight"] = 1.0
                group["property_weights/energy"] = group["property_weights/forces"] = 1.0
                group["config_type"] = "Default"
                number += 1


WRITERS: dict[str, Callable[[Path, list[Molecule]], None]] = {
    "pyanitools": pyanitools, "torchani": torchani, "spice": spice, "mace": mace,
}  # fmt: skip


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("seed", range(4))
def test_what_was_written_comes_in(layout, seed, importing, tmp_path, monkeypatch):
    for module in (conformers, mace_files):  # a slice ends within a molecule
        monkeypatch.setattr(module, "ATOMS_AT_ONCE", 7)
    found = molecules(seed)
    path = tmp_path / "data.h5"
    WRITERS[layout](path, found)
    assert layout_of(path) is LAYOUTS[layout]
    made = importing(path, labels=["dft"], trust_units=True)
    order = sorted(found, key=lambda one: (found.index(one) % 2 if layout == "pyanitools" else 0, one.name))
    structures = made.structures
    assert structures.sizes.tolist() == [len(one.numbers) for one in order for _ in one.energies]
    assert structures.species.tolist() == [z for one in order for _ in one.energies for z in one.numbers]
    positions = np.concatenate([one.positions.reshape(-1, 3) for one in order])
    np.testing.assert_allclose(structures.positions, positions, rtol=1e-14, atol=0)
    labels = structures.labels["dft"]
    np.testing.assert_allclose(labels.energy, np.concatenate([one.energies for one in order]), rtol=1e-14)
    np.testing.assert_allclose(labels.forces, np.concatenate([one.forces.reshape(-1, 3) for one in order]), rtol=1e-6)


def test_what_the_layouts_say_besides_comes_along(importing, tmp_path):
    found = molecules(0)
    pyanitools(tmp_path / "ani.h5", found)
    made = importing(tmp_path / "ani.h5", labels=["dft"], trust_units=True)
    assert made.structures.columns["smiles"].values == ("C(=O)",)
    assert (
        f"{len(found)} conformers of high energy (coordinatesHE, energiesHE) are left out" in made.summary.warnings[0]
    )
    spice(tmp_path / "spice.h5", found)
    made = importing(tmp_path / "spice.h5", trust_units=True)
    assert made.summary.energies.keys() == {"dft"}
    assert set(made.structures.charge.tolist()) == {1}
    assert made.structures.columns["subset"].values == ("PubChem",)
    assert made.summary.units["spice.h5"] == ("hartree", "hartree/bohr", "bohr")


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    charges=st.lists(st.integers(-2, 2), min_size=5, max_size=5),
    columns=st.none() | st.sets(st.sampled_from(["smiles", "subset"])).map(sorted),
    charge=st.sampled_from([None, "none"]),
)
def test_charges_of_spice_are_taken_whatever_the_columns_unless_none_are_wanted(tmp_path, charges, columns, charge):
    found = molecules(0)
    spice(tmp_path / "spice.h5", found)
    with h5py.File(tmp_path / "spice.h5", "r+") as file:
        for one, own in zip(found, charges, strict=True):
            file[one.name]["smiles"][0] = f"[H:1][O{own:+d}:2]" if own else "[H:1][O:2]"
    parts = SpiceSource(tmp_path / "spice.h5", Rules({}, columns=columns, charge=charge)).parts()
    taken = [None if part.chunk.charge is None else set(part.chunk.charge.tolist()) for part in parts]
    assert taken == [None if charge == "none" or not own else {own} for own in charges]


@pytest.mark.parametrize(
    ("smiles", "charge"),
    [("[H:1][O:2][H:3]", 0), ("[N+:1]", 1), ("[O-]", -1), ("[Ca+2]", 2), ("[Mg++]", 2), ("[O--:4][Na+:5]", -1),
     ("CC(=O)[O-].[Na+]", 0), ("C-C", 0), ("[13C@@H+:7]", 1)],
)  # fmt: skip
def test_the_charge_of_a_smiles(smiles, charge):
    assert charge_of(smiles) == charge


def test_units_that_a_spice_file_states_are_taken(importing, tmp_path):
    found = molecules(1)
    spice(tmp_path / "spice.h5", found)
    with h5py.File(tmp_path / "spice.h5", "r+") as file:
        for one in found:
            node = file[one.name]["conformations"]
            node[...] = one.positions
            node.attrs["units"] = "angstrom"
    made = importing(tmp_path / "spice.h5", trust_units=True)
    np.testing.assert_allclose(
        made.structures.positions, np.concatenate([one.positions.reshape(-1, 3) for one in found])
    )
    with h5py.File(tmp_path / "spice.h5", "r+") as file:
        for one in found:
            file[one.name]["conformations"].attrs["units"] = "furlong"
    with pytest.raises(DataError, match=r"spice\.h5: group '/.*', key 'conformations': its units: .*got 'furlong'"):
        importing(tmp_path / "spice.h5", trust_units=True)


def test_gradients_of_spice_become_forces_that_are_the_slope_of_the_energies(importing, tmp_path):
    """Without --trust-units: sign and unit are judged."""
    synthetic.write(tmp_path / "ani.h5", 200, formulae=10)
    with h5py.File(tmp_path / "ani.h5") as old, h5py.File(tmp_path / "spice.h5", "w") as new:
        for name, group in old.items():
            made = new.create_group(name)
            made["atomic_numbers"] = group["atomic_numbers"][()]
            made["conformations"] = group["coordinates"][()] / BOHR
            made["dft_total_energy"] = group["wb97x_dz.energy"][()]
            made["dft_total_gradient"] = -group["wb97x_dz.forces"][()].astype(np.float64) * BOHR
    imported = importing(tmp_path / "spice.h5")
    expected = importing(tmp_path / "ani.h5", labels=["dft=wb97x_dz.energy,wb97x_dz.forces"])
    np.testing.assert_allclose(
        imported.structures.labels["dft"].forces, expected.structures.labels["dft"].forces, rtol=1e-5, atol=1e-6
    )


def test_what_a_mace_file_has_no_value_of_is_no_label(importing, tmp_path):
    found = molecules(2)
    mace(tmp_path / "train.h5", found)
    with h5py.File(tmp_path / "train.h5", "r+") as file:
        batch = file["config_batch_0"]
        del batch["config_0/properties/energy"]
        batch["config_0/properties/energy"] = "None"
        batch["config_1/property_weights/energy"][...] = 0.0
        batch["config_2/property_weights/forces"][...] = 0.0
        del batch["config_3/config_type"]
        batch["config_3/config_type"] = "IsolatedAtom"
    made = importing(tmp_path / "train.h5", labels=["dft"], trust_units=True)
    total = sum(len(one.energies) for one in found)
    assert made.summary.structures == total - 1
    assert made.summary.energies["dft"] == total - 3
    assert made.structures.carries("dft", forces=True).tolist() == [False] * 3 + [True] * (total - 4)
    assert "1 isolated atoms (config_type IsolatedAtom) are left out" in made.summary.warnings[0]


def test_crystals_of_a_mace_file_keep_their_cell(importing, tmp_path):
    found = [one for one in molecules(3, 8) if len(one.numbers) > 1]
    cell = np.diag([5.0, 6.0, 7.0]) + 0.1
    mace(tmp_path / "train.h5", found, cell=cell)
    made = importing(tmp_path / "train.h5", labels=["dft"], trust_units=True).structures
    assert made.pbc.all()
    assert np.array_equal(made.cell, np.broadcast_to(cell, made.cell.shape))


def test_mace_itself_reads_what_these_tests_write(tmp_path):
    """And so the layout is the true one: written by its own function too."""
    from mace.data.utils import Configuration, save_configurations_as_HDF5

    (one, *_) = molecules(4)
    configs = [
        Configuration(one.numbers, one.positions[0], {"energy": one.energies[0], "forces": one.forces[0]},
                      {"energy": 1.0, "forces": 1.0}, cell=np.zeros((3, 3)), pbc=(False, False, False))
    ]  # fmt: skip
    with h5py.File(tmp_path / "theirs.h5", "w") as file:
        save_configurations_as_HDF5(configs, 0, file)
    mace(
        tmp_path / "ours.h5",
        [one._replace(positions=one.positions[:1], energies=one.energies[:1], forces=one.forces[:1])],
    )
    names: list[set[str]] = []
    for name in ("theirs.h5", "ours.h5"):
        with h5py.File(tmp_path / name) as file:
            own: set[str] = set()
            file.visit(own.add)
            names.append(own - {"config_batch_0/config_0/properties/stress"})
    assert names[0] == names[1]


ESSENTIAL = {
    "pyanitools": ["coordinates", "species"], "torchani": ["coordinates", "species"],
    "spice": ["conformations", "atomic_numbers"], "mace": ["positions", "atomic_numbers"],
}  # fmt: skip


def groups_of(file: h5py.File) -> list[h5py.Group]:
    """Return the groups with datasets, but for the inner ones of MACE."""
    found: list[h5py.Group] = []
    file.visititems(
        lambda _, node: (
            found.append(node)
            if isinstance(node, h5py.Group) and ("coordinates" in node or "atomic_numbers" in node)
            else None
        )
    )
    return found


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("which", [0, 1])
def test_a_missing_dataset_is_refused_with_its_group(layout, which, importing, tmp_path):
    path, key = tmp_path / "data.h5", ESSENTIAL[layout][which]
    WRITERS[layout](path, molecules(5))
    with h5py.File(path, "r+") as file:
        node = groups_of(file)[-1]
        name = node.name
        node.move(key, f"{key}s")
    with pytest.raises(DataError) as refused:
        importing(path, labels=["dft"], trust_units=True)
    assert str(path) in str(refused.value)
    assert name in str(refused.value)
    assert f"Did you mean '{key}s'?" in str(refused.value)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("which", [0, 1, "energy", "forces"])
def test_a_dataset_of_another_shape_is_refused_with_its_group(layout, which, importing, tmp_path):
    path = tmp_path / "data.h5"
    WRITERS[layout](path, molecules(6))
    labels = {
        "spice": {"energy": "dft_total_energy", "forces": "dft_total_gradient"},
        "mace": {"energy": "properties/energy", "forces": "properties/forces"},
    }.get(layout, {"energy": "energies", "forces": "forces"})
    key = ESSENTIAL[layout][which] if isinstance(which, int) else labels[which]
    with h5py.File(path, "r+") as file:
        node = groups_of(file)[-1]
        name = node.name
        value = node[key][()]
        del node[key]
        node[key] = np.concatenate([np.atleast_1d(value)] * 2)[..., None] if np.ndim(value) else [value, value]
    with pytest.raises(DataError) as refused:
        importing(path, labels=["dft"], trust_units=True)
    assert str(path) in str(refused.value)
    assert name.rpartition("/")[2] in str(refused.value)
    assert "expected" in str(refused.value)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 0.999])
def test_a_file_that_breaks_off_is_refused(layout, share, importing, tmp_path):
    path = tmp_path / "data.h5"
    WRITERS[layout](path, molecules(7))
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"data\.h5"):
        importing(path, labels=["dft"], trust_units=True)


@pytest.mark.parametrize("layout", ["pyanitools", "torchani", "spice"])
def test_unknown_elements_are_refused(layout, importing, tmp_path):
    path = tmp_path / "data.h5"
    said = "'Xx' is no element" if layout == "pyanitools" else "atomic numbers hold"
    for value in (200, 0):
        WRITERS[layout](path, molecules(8))
        with h5py.File(path, "r+") as file:
            node = groups_of(file)[0]
            key = ESSENTIAL[layout][1]
            if layout == "pyanitools":
                node[key][0] = b"Xx"
            else:
                node[key][..., 0] = value
        with pytest.raises(DataError, match=said):
            importing(path, labels=["dft"], trust_units=True)


def test_labels_need_a_name_where_the_layout_has_none(importing, tmp_path):
    for layout in ("pyanitools", "torchani", "mace"):
        WRITERS[layout](tmp_path / "data.h5", molecules(9))
        with pytest.raises(DataError, match=r"expected a name for its labels .*Say --labels NAME"):
            importing(tmp_path / "data.h5", trust_units=True)
        assert importing(tmp_path / "data.h5", geometries=True).summary.energies == {}
        with pytest.raises(DataError, match=r"there is no 'energie'\. Did you mean 'energ"):
            importing(tmp_path / "data.h5", labels=["dft=energie"], trust_units=True)


@pytest.mark.parametrize("layout", WRITERS)
@pytest.mark.parametrize("kind", ["link", "virtual", "external", "huge"])
@pytest.mark.parametrize("which", [0, 1, "energy"])
def test_values_that_lie_elsewhere_or_fill_the_memory_are_refused(
    layout, kind, which, importing, tmp_path, monkeypatch
):
    """A file says by itself what it holds: nothing of another file comes in, and no more than it can hold."""
    monkeypatch.chdir(tmp_path)
    path, other = tmp_path / "data.h5", tmp_path / "other.h5"
    for name in (path, other):
        WRITERS[layout](name, molecules(11))
    energy = {"spice": "dft_total_energy", "mace": "properties/energy"}.get(layout, "energies")
    key = ESSENTIAL[layout][which] if isinstance(which, int) else energy
    with h5py.File(path, "r+") as file:
        node = groups_of(file)[0]
        place, shape, dtype = f"{node.name}/{key}", node[key].shape, node[key].dtype
        del node[key]
        if kind == "link":
            node[key] = h5py.ExternalLink("other.h5", place)
        elif kind == "virtual":
            made = h5py.VirtualLayout(shape or (1,), dtype)
            made[...] = h5py.VirtualSource("other.h5", place, shape or (1,))
            node.create_virtual_dataset(key, made)
        elif kind == "external":
            (tmp_path / "raw").write_bytes(bytes(64 * 1024))
            node.create_dataset(key, shape or (1,), dtype, external=[("raw", 0, h5py.h5f.UNLIMITED)])
        else:
            large = (10**9, *shape[1:]) if shape else (10**12,)
            node.create_dataset(key, large, dtype, chunks=tuple(min(n, 1000) for n in large), compression="gzip")
    with pytest.raises(DataError, match=r"data\.h5"):
        importing(path, labels=["dft"], trust_units=True)


def test_groups_that_lead_round_in_circles_are_refused(importing, tmp_path):
    pyanitools(tmp_path / "data.h5", molecules(10))
    with h5py.File(tmp_path / "data.h5", "r+") as file:
        file["gdb11_s0/again"] = file["gdb11_s0"]
    with pytest.raises(DataError, match="has another name too: expected each group once"):
        importing(tmp_path / "data.h5", labels=["dft"])


# The release of the source study: data.lmdb, metadata.parquet, split files.


def write_release(
    folder: Path,
    found: list[Molecule],
    encode: Callable[[dict[str, Any]], bytes] = pickle.dumps,
    *,
    digits: int = 0,
    **names: str,
) -> list[dict[str, Any]]:
    """Write all structures with three methods, whose energies differ by 1 eV; return the rows of the index."""
    folder.mkdir(exist_ok=True)
    rows: list[dict[str, Any]] = []
    with (
        lmdb.open(str(folder / "data.lmdb"), subdir=False, map_size=2**24, lock=False) as environment,
        environment.begin(write=True) as transaction,
    ):
        frames = (
            (number, method, one, place)
            for number, method in enumerate(("cc", "dft", "xtb"))
            for one in found
            for place in range(len(one.energies))
        )
        for number, method, one, place in frames:
            energy = float(one.energies[place] + number)
            # Zeros in place of forces that there are none of are no labels.
            forces = one.forces[place] if method != "cc" else np.zeros_like(one.forces[place])
            entry = {
                names.get("positions", "positions"): one.positions[place].astype(np.float32),
                names.get("numbers", "atomic_numbers"): one.numbers.astype(np.int64),
                names.get("energy", "energy"): energy,
                names.get("forces", "forces"): forces.astype(np.float32),
            }
            transaction.put(str(len(rows)).zfill(digits).encode(), encode(entry))
            rows.append({
                "formula": one.name, "conformation_idx": place, "method": method, "n_atoms": len(one.numbers),
                "energy": energy, "forces_present": method != "cc", "energy_unit": "eV",
                "forces_unit": None if method == "cc" else "eV/Å", "idx": len(rows),
            })  # fmt: skip
    parquet.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")
    for method in ("cc", "dft", "xtb"):
        own = [row["idx"] for row in rows if row["method"] == method]
        for group, letter in enumerate("abcd"):
            mine = [idx for place, idx in enumerate(own) if place % 4 == group]
            parts = {"train": mine[2:], "validation": mine[:1], "test": mine[1:2]}
            (folder / f"{method}_train_{letter}.json").write_text(json.dumps(parts))
    return rows


def as_json(entry: dict[str, Any]) -> bytes:
    """Write an entry as ASE's LMDB does."""

    def plain(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            return {"__ndarray__": [list(value.shape), str(value.dtype), value.ravel().tolist()]}
        return value

    return zlib.compress(json.dumps({key: plain(value) for key, value in entry.items()}).encode())


@pytest.mark.parametrize(
    ("encode", "digits", "names"),
    [
        (pickle.dumps, 0, {}),
        (lambda entry: pickle.dumps(entry, protocol=2), 8, {"positions": "pos", "numbers": "z"}),
        (lambda entry: pickle.dumps(entry, protocol=5), 3, {"numbers": "numbers", "energy": "y"}),
        (as_json, 0, {}),
        (lambda entry: zlib.compress(pickle.dumps(entry)), 0, {}),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_the_release_comes_in_with_its_methods_and_splits(
    encode, digits, names, whole, importing, tmp_path, monkeypatch
):
    monkeypatch.setattr(release, "ATOMS_AT_ONCE", 7)
    found = molecules(20)
    rows = write_release(tmp_path / "data", found, encode, digits=digits, **names)
    path = tmp_path / "data" if whole else tmp_path / "data" / "data.lmdb"
    assert layout_of(path) is LAYOUTS["multi-fidelity-training-mlff"]
    made = importing(path, trust_units=True)
    structures, summary = made.structures, made.summary
    count = len(rows) // 3
    assert structures.sizes.tolist() == [len(one.numbers) for one in found for _ in one.energies]
    assert summary.energies == {"cc": count, "dft": count, "xtb": count}
    assert summary.forces == {"cc": 0, "dft": count, "xtb": count}
    for number, method in enumerate(("cc", "dft", "xtb")):
        energies = np.concatenate([one.energies for one in found]) + number
        assert np.array_equal(structures.labels[method].energy, energies)
    expected = np.concatenate([one.forces.reshape(-1, 3) for one in found]).astype(np.float32)
    assert np.array_equal(structures.labels["dft"].forces, expected)
    for letter in "abcd":
        column = structures.columns[f"dft_train_{letter}"]
        content = json.loads((tmp_path / "data" / f"dft_train_{letter}.json").read_text())
        part_of = {index: part for part, indices in content.items() for index in indices}
        told = [column.values[code] for code in column.codes]
        assert told == [part_of.get(row["idx"], "") for row in rows if row["method"] == "dft"]
    assert dataset.provenance(made.path)["sources"][0]["layout"] == "multi-fidelity-training-mlff"


class Evil:
    """Unpickled, it would write a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.write_text, (self.path, "was here")


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(importing, tmp_path):
    for evil in (
        Evil(tmp_path / "proof"),
        {"positions": Evil(tmp_path / "proof")},
        np.array([Evil(tmp_path / "proof")], object),
    ):
        write_release(tmp_path / "data", molecules(21), lambda _entry, evil=evil: pickle.dumps(evil))
        with pytest.raises(
            DataError,
            match=r"data\.lmdb: entry 0: it (is a pickle that names .*write_text, which would run|holds an array of object)",
        ):
            importing(tmp_path / "data", trust_units=True)
        assert not (tmp_path / "proof").exists()
    write_release(tmp_path / "data", molecules(21), lambda entry: b"\x80\x04" + bytes(entry["atomic_numbers"]))
    with pytest.raises(DataError, match=r"entry 0: it is a pickle, and damaged"):
        importing(tmp_path / "data", trust_units=True)


def test_a_pickle_with_flags_of_pointers_is_read_as_numbers(importing, tmp_path):
    """NumPy takes such flags from a pickle, and would follow the numbers."""

    class Forged:
        def __reduce__(self):
            return np.dtype, ("f8", False, True), (4, "<", None, None, None, 8, 8, 63)

    class Array:
        def __reduce__(self):
            whole = np.zeros(3).__reduce__()
            return whole[0], whole[1], (1, (3,), Forged(), False, b"\x41" * 24)

    write_release(tmp_path / "data", molecules(21), lambda entry: pickle.dumps(entry | {"positions": Array()}))
    with pytest.raises(DataError, match=r"entry 0: expected positions of shape"):
        importing(tmp_path / "data", trust_units=True)


@pytest.mark.parametrize("bytes_of", [lambda raw, n: raw[:n], lambda raw, n: raw[:n] + b"\xff" + raw[n + 1 :]])
def test_damaged_entries_are_refused_or_read_and_nothing_else(bytes_of):
    raw = pickle.dumps({"positions": np.ones((4, 3)), "atomic_numbers": np.ones(4, int), "energy": np.float64(2)})
    for place in range(len(raw)):
        with contextlib.suppress(PlainError):
            assert all(isinstance(key, str) for key in decode(bytes_of(raw, place)))


def test_a_value_that_would_fill_the_memory_is_refused(importing, tmp_path):
    bomb = zlib.compress(b"{" + bytes(2**27), 9)
    write_release(tmp_path / "data", molecules(22), lambda _entry: bomb)
    with pytest.raises(DataError, match=r"entry 0: it is compressed, and cut short or larger than 64 MiB"):
        importing(tmp_path / "data", trust_units=True)


def changed(folder: Path, change: Callable[[list[dict[str, Any]]], object]) -> None:
    rows = parquet.read_table(folder / "metadata.parquet").to_pylist()
    change(rows)
    parquet.write_table(pa.Table.from_pylist(rows), folder / "metadata.parquet")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: [row.pop("idx") for row in rows], r"metadata\.parquet: expected the column 'idx'"),
        (lambda rows: rows[0].update(idx=10**6), r"data\.lmdb: entry 1000000, which metadata\.parquet names, is not there"),
        (lambda rows: rows[0].update(energy=1.0), r"entry 0 has the energy .*, and metadata\.parquet says 1\.0"),
        (lambda rows: rows[0].update(energy_unit="hartree"), "expected one energy_unit throughout, got eV, hartree"),
        (lambda rows: [row.update(energy_unit="furlong") for row in rows], "got 'furlong'"),
        (lambda rows: rows[0].update(n_atoms=rows[0]["n_atoms"] + 1), "expected one row a method, of one size"),
        (lambda rows: [row.update(n_atoms=99) for row in rows], r"entry 0: expected numbers of shape \(99,\)"),
        (lambda rows: rows[0].update(formula=None), "the column 'formula' has 1 rows without a value"),
        (lambda rows: [row.update(formula="X", conformation_idx=0) for row in rows if row["idx"] in (0, rows[-1]["idx"])],
         "have one formula and conformation_idx|of one size"),
    ],
)  # fmt: skip
def test_a_release_that_does_not_fit_together_is_refused(change, said, importing, tmp_path):
    write_release(tmp_path / "data", molecules(23))
    changed(tmp_path / "data", change)
    with pytest.raises(DataError, match=said):
        importing(tmp_path / "data", trust_units=True)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("metadata.parquet", b"PAR1 no parquet", "expected a Parquet file"),
        ("dft_train_a.json", b"[1, 2", "expected JSON with lists of indices"),
        ("dft_train_a.json", b"{}", "each a list of indices, got none"),
        ("dft_train_a.json", b'{"train": [1, "2"]}', "'train': expected train, validation and test"),
        ("dft_train_a.json", b'{"train": [1], "test": [1]}', "the index 1 is in train and in test"),
        ("data.lmdb", b"no database" * 4000, "expected an LMDB database"),
    ],
)
def test_a_damaged_file_of_the_release_is_refused_by_its_name(name, content, said, importing, tmp_path):
    write_release(tmp_path / "data", molecules(24))
    (tmp_path / "data" / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as refused:
        importing(tmp_path / "data", trust_units=True)
    assert str(tmp_path / "data" / name) in str(refused.value)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
def test_an_lmdb_that_breaks_off_is_refused_before_it_is_read(share, importing, tmp_path):
    write_release(tmp_path / "data", molecules(25, 12))
    path = tmp_path / "data" / "data.lmdb"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(DataError, match=r"data\.lmdb: (is cut short|expected an LMDB)"):
        importing(tmp_path / "data", trust_units=True)


# Out again.


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("suffix", [".xyz", ".h5"])
def test_what_is_exported_comes_in_again(seed, suffix, importing, tmp_path, capsys):
    found = molecules(30 + seed)
    write_release(tmp_path / "data", found)
    made = importing(tmp_path / "data", trust_units=True)
    target = tmp_path / f"out{suffix}"
    with pytest.raises(SystemExit) as ended:
        main(["data", "export", str(made.path), str(target), "--json"])
    assert ended.value.code == 0
    printed = json.loads(capsys.readouterr().out)
    labels = [
        f"{name}={own['energy']}" + (f",{own['forces']}" if name != "cc" else "")
        for name, own in printed["keys"].items()
    ]
    assert all(f'--labels "{text}"' in printed["command"] for text in labels)
    (tmp_path / "first.h5").write_bytes(made.path.read_bytes())
    first = dataset.read(tmp_path / "first.h5", dataset.methods(tmp_path / "first.h5"))
    again = importing(target, labels=labels, trust_units=True).structures
    assert np.array_equal(again.species, first.species)
    assert np.array_equal(again.positions, first.positions)
    for method in ("cc", "dft", "xtb"):
        if suffix == ".xyz":
            assert np.array_equal(again.labels[method].energy, first.labels[method].energy)
        else:
            np.testing.assert_allclose(again.labels[method].energy, first.labels[method].energy, rtol=1e-15)
        if method != "cc":
            assert np.array_equal(again.labels[method].forces, first.labels[method].forces)
    assert [again.columns["formula"].values[code] for code in again.columns["formula"].codes] == [
        first.columns["formula"].values[code] for code in first.columns["formula"].codes
    ]


def test_crystals_charges_and_gaps_go_to_extxyz_and_back(importing, tmp_path, crystals):
    import ase.io

    for number, atoms in enumerate(crystals):
        atoms = atoms.copy()  # noqa: PLW2901
        atoms.info["charge"] = number - 3
        if number % 3:
            atoms.info["m(x)/y z"] = -1.25 * number
            atoms.arrays["f"] = np.full((len(atoms), 3), 1e-7 * number)
        ase.io.write(tmp_path / "in.xyz", atoms, append=bool(number))
    made = importing(tmp_path / "in.xyz", labels=["odd (name)=m(x)/y z,f"], trust_units=True)
    from mfsweep.data.exporting import export

    done = export(made.path, tmp_path / "out.xyz")
    keys = done.keys["odd (name)"]
    assert (keys.energy, keys.forces) == ("odd_name_energy", "odd_name_forces")
    (tmp_path / "first.h5").write_bytes(made.path.read_bytes())
    first = dataset.read(tmp_path / "first.h5", dataset.methods(tmp_path / "first.h5"))
    again = importing(tmp_path / "out.xyz", labels=[f"odd (name)={keys.energy},{keys.forces}"], trust_units=True)
    for field in ("species", "positions", "cell", "pbc", "charge"):
        assert np.array_equal(getattr(again.structures, field), getattr(first, field))
    for part in ("energy", "forces"):
        own = (getattr(one.labels["odd (name)"], part) for one in (again.structures, first))
        assert np.array_equal(*own, equal_nan=True)
    with pytest.raises(DataError, match=r"is periodic, and the ANI-1x layout has no cells: export to extxyz"):
        export(made.path, tmp_path / "out.h5")
    assert not (tmp_path / "out.h5").exists()


def test_an_export_that_cannot_be_is_refused(importing, tmp_path):
    from mfsweep.data.exporting import export

    torchani(tmp_path / "data.h5", molecules(40))
    made = importing(tmp_path / "data.h5", labels=["dft"], trust_units=True)
    for source, target, methods, said in (
        (tmp_path / "data.h5", "out.xyz", (), "expected a data set"),
        (tmp_path / "absent.h5", "out.xyz", (), "no such file"),
        (made.path, "out.cif", (), r"expected a name that ends in one of \.xyz"),
        (made.path, "out.xyz", ("dtf",), r"no label method 'dtf'\. Did you mean 'dft'"),
        (made.path, "data.h5", (), "exists: give the file another name"),
    ):
        with pytest.raises(DataError, match=said):
            export(source, tmp_path / target, methods)
    with pytest.raises(DataError, match="exists"):
        export(made.path, made.path, layout="ani1x", overwrite=True)
