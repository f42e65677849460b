"""Files of both layouts hold all that is read of them, and are not much smaller than it."""

from __future__ import annotations

import multiprocessing
import resource
import zlib
from pathlib import Path

import h5py
import numpy as np
import pytest

from mfsweep.data import dataset
from mfsweep.data.hdf5 import LARGE
from mfsweep.data.importing import Rules, import_files
from mfsweep.data.reading import read
from mfsweep.data.source import contents
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

LABELS = {"dft": LabelKeys(energy="dft.energy", forces="dft.forces")}
NAMES = {"H2O": "/H2O", "coordinates": "/H2O/coordinates", "energy": "/H2O/dft.energy", "forces": "/H2O/dft.forces",
        "charge": "/H2O/charge", "numbers": "/H2O/atomic_numbers"}  # fmt: skip
GROUPS = ["/geometry", "/labels"]
ARRAYS = [
    "/geometry/positions",
    "/geometry/formulae",
    "/labels/dft.energy",
    "/labels/dft.forces",
    "/columns/half/codes",
    "/provenance",
]


def read_source(path: Path, _folder: Path):
    return read({"": path}, LABELS)


def import_it(path: Path, folder: Path):
    target = folder / "imported.h5"
    import_files([path], target, Rules(labels=LABELS, trust_units=True), overwrite=True)
    return dataset.read(target, dataset.methods(target))


READERS = {"source": read_source, "import": import_it}


def plain(file: h5py.File) -> None:
    file["H2O"]["charge"] = np.zeros(6, np.int8)


@pytest.fixture
def moved(write_file, tmp_path):
    """Make a file of the ANI-1x layout, and another with the same in it under /there."""

    def make(change) -> Path:
        path = write_file(change=plain)
        with h5py.File(path, "r+") as file, h5py.File(tmp_path / "other.h5", "w") as other:
            for name in NAMES.values():
                if isinstance(file[name], h5py.Dataset):
                    np.asarray(file[name]).tofile(tmp_path / f"{name.replace('/', '_')}.raw")
            file.copy("H2O", other, "there")
            change(file)
        return path

    return make


def link(name: str, kind):
    """Put a link in place of what `name` names, which lies in the other file under /there."""

    def change(file):
        del file[name]
        file[name] = kind(name.replace("/H2O", "/there"))

    return change


def other(name: str):
    return h5py.ExternalLink("other.h5", name)


def virtual(name: str):
    def change(file):
        node = file[name]
        layout = h5py.VirtualLayout(node.shape, node.dtype)
        layout[...] = h5py.VirtualSource("other.h5", name.replace("/H2O", "/there"), node.shape, node.dtype)
        del file[name]
        file.create_virtual_dataset(name, layout)

    return change


def external(name: str):
    def change(file):
        shape, dtype = file[name].shape, file[name].dtype
        del file[name]
        file.create_dataset(name, shape, dtype, external=[(f"{name.replace('/', '_')}.raw", 0, h5py.h5f.UNLIMITED)])

    return change


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_links_to_other_files_are_refused(moved, tmp_path, monkeypatch, reader, name):
    """Whatever they stand for: what another file holds is no part of the digest."""
    monkeypatch.chdir(tmp_path)
    path = moved(link(name, other))
    with h5py.File(path) as file:
        assert file[name].name.startswith("/there"), "what the link means is there"
    with pytest.raises(DataError, match=f"{path.name}: '{name}' is a link to another file"):
        reader(path, tmp_path)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("name", [name for key, name in NAMES.items() if key != "H2O"])
@pytest.mark.parametrize(("kind", "said"), [(virtual, "virtual"), (external, "external")])
def test_datasets_with_their_values_elsewhere_are_refused(moved, tmp_path, monkeypatch, reader, name, kind, said):
    monkeypatch.chdir(tmp_path)
    path = moved(kind(name))
    with h5py.File(path) as file:
        assert np.asarray(file[name]).any() == (not name.endswith("charge")), "the values are there"
    with pytest.raises(DataError, match=rf"{path.name}.*'{name}' is an? {said} dataset"):
        reader(path, tmp_path)


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_links_within_the_file_are_followed(write_file, tmp_path, reader):
    def soft(file):
        file.move("/H2O/dft.energy", "/CO2/kept")
        file["/H2O/dft.energy"] = h5py.SoftLink("/CO2/kept")
        file["/H2O/coordinates2"] = h5py.SoftLink("coordinates")
        file["water"] = h5py.SoftLink("/H2O")

    expected = read_source(write_file(), tmp_path)
    found = reader(write_file(change=soft), tmp_path)
    water = found.formula == found.formulae.index("H2O")
    own = expected.labels["dft"].energy[expected.formula == expected.formulae.index("H2O")]
    np.testing.assert_array_equal(found.labels["dft"].energy[water], np.tile(own, 2))


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("target", ["/nowhere", "/loop"])
def test_links_to_nothing_are_refused(write_file, tmp_path, reader, target):
    def dangling(file):
        file["loop"] = h5py.SoftLink("/loop")
        file["/H2O/more"] = h5py.SoftLink(target)

    with pytest.raises(DataError, match=r"'/(H2O/more|loop)' is a link to another file, or to nothing"):
        reader(write_file(change=dangling), tmp_path)


@pytest.fixture
def store(write_file, as_store, tmp_path) -> Path:
    labels = {"dft": LabelKeys(energy="dft.energy", forces="dft.forces")}
    return as_store(write_file(), labels, to=tmp_path / "store.h5")


def store_link(file, name, path):
    del file[name]
    file[name] = h5py.ExternalLink("copy.h5", name)


def store_virtual(file, name, path):
    node = file[name]
    layout = h5py.VirtualLayout(node.shape, node.dtype)
    layout[...] = h5py.VirtualSource("copy.h5", name, node.shape, node.dtype)
    _replaced(file, name, lambda: file.create_virtual_dataset(name, layout))


def store_external(file, name, path):
    node = file[name]
    np.asarray(node).tofile(path.with_name("values.raw"))
    whole = [("values.raw", 0, h5py.h5f.UNLIMITED)]
    _replaced(file, name, lambda: file.create_dataset(name, node.shape, node.dtype, external=whole))


def store_compressed(file, name, path):
    values = np.asarray(file[name])
    _replaced(file, name, lambda: file.create_dataset(name, data=values, compression="gzip"))


def store_unwritten(file, name, path):
    dtype = file[name].dtype
    _replaced(file, name, lambda: file.create_dataset(name, (10**13,), dtype))


def _replaced(file, name, make) -> None:
    """Put another dataset in place of one, with its digest."""
    attributes = dict(file[name].attrs)
    del file[name]
    made = make()
    for key, value in attributes.items():
        made.attrs[key] = value


CHANGES = [store_virtual, store_external, store_compressed, store_unwritten]
MEMBERS = [(store_link, name) for name in (*GROUPS, *ARRAYS)] + [
    (change, name) for change in CHANGES for name in ARRAYS
]


@pytest.mark.parametrize(("change", "name"), MEMBERS)
def test_a_data_store_holds_its_arrays_itself(store, tmp_path, monkeypatch, name, change):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "copy.h5").write_bytes(store.read_bytes())
    with h5py.File(store, "r+") as file:
        change(file, name, store)
    assert dataset.is_dataset(store)
    with pytest.raises(
        DataError, match="link to another file" if change is store_link else "expected a contiguous array"
    ):
        contents({"": store}), dataset.read(store, dataset.methods(store)), dataset.provenance(store)
    with pytest.raises(DataError):  # also where the digests are remembered
        dataset.read(store, dataset.methods(store)), dataset.provenance(store)


def filled(file, name: str, shape, chunks, dtype="f4", **how) -> None:
    """Make a dataset of zeros, compressed some thousandfold."""
    if name in file:
        del file[name]
    node = file.create_dataset(name, shape, dtype, chunks=chunks, compression="gzip", **how)
    content = zlib.compress(bytes(int(np.prod(chunks)) * node.dtype.itemsize), 9)
    for number in range(-(-shape[0] // chunks[0])):
        node.id.write_direct_chunk((number * chunks[0], *[0] * (len(shape) - 1)), content)


STEP = 1_000_000


def _many_small(file):
    for number in range(40):
        group = file.create_group(f"CH4_{number:02d}")
        group["atomic_numbers"] = np.array([6, 1, 1, 1, 1])
        filled(group, "coordinates", (60_000, 5, 3), (60_000, 5, 3))


BOMBS = {
    "coordinates": lambda file: filled(file, "H2O/coordinates", (8 * STEP, 3, 3), (STEP, 3, 3)),
    "many small ones": _many_small,
    "atomic numbers": lambda file: (
        filled(file, "none/atomic_numbers", (300 * STEP,), (30 * STEP,), "u1"),
        file.create_dataset("none/coordinates", (0, 300 * STEP, 3), "f4"),
    ),
    "a chunk of energies": lambda file: filled(file, "H2O/dft.energy", (6,), (40 * STEP,), "f8", maxshape=(None,)),
    "a chunk of charges": lambda file: filled(file, "H2O/charge", (6,), (300 * STEP,), "i1", maxshape=(None,)),
    "never written": lambda file: (
        file.create_dataset("never/coordinates", (10**9, 3, 3), "f4", fillvalue=np.nan)
        and file["never"].create_dataset("atomic_numbers", data=[8, 1, 1])
    ),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("change", BOMBS.values(), ids=BOMBS)
def test_what_would_fill_the_memory_is_refused_by_its_size(write_file, tmp_path, reader, change):
    path = write_file(change=change)
    assert path.stat().st_size < LARGE / 100
    with multiprocessing.get_context("fork").Pool(1) as pool:
        said, grown = pool.apply(_refused, (reader, path, tmp_path))
    assert f"{path.name}: " in said
    assert "expected at most 100 times the file" in said
    assert "write it without compression" in said
    assert grown < 100 * 1024**2


def test_texts_that_would_fill_the_memory_are_refused_by_their_size(write_file, tmp_path):
    def change(file):
        filled(file, "H2O/smiles", (6,), (1,), "S60000000")

    path = write_file(change=change)
    with multiprocessing.get_context("fork").Pool(1) as pool:
        said, grown = pool.apply(_refused, (import_it, path, tmp_path))
    assert "'/H2O/smiles' would be 343 MiB" in said
    assert grown < 100 * 1024**2


def _refused(reader, path, folder) -> tuple[str, int]:
    """Return what a reader says of a file, and by how many bytes it let the process grow."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        reader(path, folder)
    except DataError as error:
        return str(error), 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    return "it was read", 0


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_files_that_compress_well_are_read(write_file, tmp_path, reader):
    """No labels for most, charges of zero, coordinates that repeat: all of it compressed."""

    def change(file):
        group = file.create_group("H2")
        group["atomic_numbers"] = np.array([1, 1])
        count = 50_000
        places = np.zeros((count, 2, 3), np.float32)
        places[:, 1, 2] = 0.74
        group.create_dataset("coordinates", data=places, compression="gzip")
        group.create_dataset("dft.energy", data=np.full(count, np.nan), compression="gzip")
        group.create_dataset("charge", data=np.zeros(count, np.int8), compression="gzip")

    assert len(reader(write_file(change=change), tmp_path).formula) == 50_060
