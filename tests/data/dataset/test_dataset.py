"""Data sets: what goes in comes out, nothing half is left, nothing damaged is read."""

from __future__ import annotations

import mmap
import multiprocessing
import os
import resource
import signal
import time
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.data import dataset
from mfsweep.data.dataset import Chunk, Labelling, NewLabels, Writer, reader
from mfsweep.data.source import contents
from mfsweep.data.view import open_view
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

WATER = Chunk(
    sizes=np.array([3, 2]),
    species=np.array([8, 1, 1, 1, 1], np.uint8),
    positions=np.arange(15.0).reshape(5, 3) + 0.1,
    energies={"m": np.array([-76.0, np.nan])},
    forces={"m": np.array([[1.0, 2.0, 3.0]] * 3 + [[np.nan] * 3] * 2, np.float32)},
)


@pytest.fixture
def small(tmp_path) -> Path:
    path = tmp_path / "small.h5"
    with Writer(path, energies=["m"], forces=["m"]) as writer:
        writer.add(WATER)
        writer.finish({"from": "here"})
    return path


def labels_for(path: Path) -> NewLabels:
    own = dataset.read(path, {})
    seconds = np.full(len(own.formula), 0.5, np.float32)
    seconds[-1] = np.nan
    energy = np.arange(len(own.formula), dtype=np.float64)
    return NewLabels(energy, None, Labelling(seconds, {len(energy) - 1: "no convergence"}, {"method": "x"}))


def test_store_holds_what_the_file_held_bit_for_bit(mini, mini_store, view, resolved):
    stored = open_view({"": mini_store}, resolved())
    for name in ("offsets", "species", "positions", "formula", "rank"):
        np.testing.assert_array_equal(getattr(stored.structures, name), getattr(view.structures, name))
    assert stored.structures.formulae == view.structures.formulae
    for method, own in view.structures.labels.items():
        np.testing.assert_array_equal(stored.structures.labels[method].energy, own.energy)
        if own.forces is not None:
            np.testing.assert_array_equal(stored.structures.labels[method].forces, own.forces)
    for name, members in view.partition.train.items():
        np.testing.assert_array_equal(stored.partition.train[name], members)
    assert dataset.provenance(mini_store) == {"source": mini.name}


def test_arrays_are_maps_of_the_file(mini_store):
    own = dataset.read(mini_store, dataset.methods(mini_store))
    arrays = [own.offsets, own.species, own.positions, own.formula, own.rank]
    arrays += [labels.energy for labels in own.labels.values()]
    assert all(isinstance(array.base, mmap.mmap) and not array.flags.writeable for array in arrays)


def test_positions_are_stored_in_float32_only_where_that_is_exact(tmp_path):
    for value, kind in ((0.5, np.float32), (0.1, np.float64)):
        chunk = WATER._replace(positions=np.full((5, 3), value))
        path = tmp_path / f"{value}.h5"
        with Writer(path, energies=["m"]) as writer:
            writer.add(WATER._replace(positions=np.zeros((5, 3))))
            writer.add(chunk)
            writer.finish({})
        positions = dataset.read(path, {}).positions
        assert positions.dtype == kind
        np.testing.assert_array_equal(positions[5:], chunk.positions)


def test_cells_charges_and_columns_are_kept_and_absent_where_none_came(small, tmp_path):
    plain = dataset.read(small, {})
    assert plain.cell is plain.pbc is plain.charge is None
    assert plain.columns == {}
    path = tmp_path / "periodic.h5"
    cell, pbc = np.stack([4 * np.eye(3), np.zeros((3, 3))]), np.array([[True] * 3, [False] * 3])
    with Writer(path, energies=["m"], columns=["origin"]) as writer:
        writer.add(WATER._replace(columns={"origin": ["b", "a"]}))
        charge = np.array([0, -1], np.int16)
        writer.add(WATER._replace(cell=cell, pbc=pbc, charge=charge, columns={"origin": ["b", "c"]}))
        writer.finish({})
    own = dataset.read(path, {})
    assert own.cell is not None
    assert own.pbc is not None
    np.testing.assert_array_equal(own.cell[2:], cell)
    np.testing.assert_array_equal(own.pbc, [[False] * 3] * 2 + [[True] * 3, [False] * 3])
    np.testing.assert_array_equal(own.charge, [0, 0, 0, -1])
    assert own.columns["origin"].values == ("a", "b", "c")
    np.testing.assert_array_equal(own.columns["origin"].codes, [1, 0, 1, 2])


def test_ranks_count_on_over_chunks(tmp_path):
    with Writer(tmp_path / "x.h5", energies=["m"]) as writer:
        writer.add(WATER)
        writer.add(WATER)
        writer.finish({})
    own = dataset.read(tmp_path / "x.h5", {})
    assert [own.describe(i).split(" (")[0] for i in range(4)] == [
        "H2O, conformer 0",
        "H2, conformer 0",
        "H2O, conformer 1",
        "H2, conformer 1",
    ]


@pytest.mark.parametrize("error", [KeyboardInterrupt, DataError])
def test_interrupted_writer_leaves_nothing(tmp_path, error):
    def interrupted() -> None:
        with Writer(tmp_path / "x.h5", energies=["m"]) as writer:
            writer.add(WATER)
            raise error

    with pytest.raises(error):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_writer_left_is_removed_by_the_next_of_that_store(tmp_path):
    for name in (".x.h5.a1.part", ".y.h5.a1.part"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "0").write_text("half")
    with Writer(tmp_path / "x.h5", energies=["m"]) as first, Writer(tmp_path / "x.h5", energies=["m"]) as second:
        assert not (tmp_path / ".x.h5.a1.part").exists()
        for writer in (first, second):  # neither took the other's folder for a dead one's
            writer.add(WATER)
            writer.finish({})
    assert sorted(path.name for path in tmp_path.iterdir()) == [".y.h5.a1.part", "x.h5"]


def test_store_without_structures_is_refused(tmp_path):
    with pytest.raises(DataError, match="no structures"), Writer(tmp_path / "x.h5", energies=["m"]) as writer:
        writer.finish({})
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(DataError, match=r"file/x\.h5 cannot be written"),
        Writer(tmp_path / "file" / "x.h5", energies=[]),
    ):
        pass


def test_labels_come_in_without_disturbing_a_reader(small):
    before = dataset.read(small, {"m": LabelKeys(energy="m.energy", forces="m.forces")})
    first = np.array(before.positions)
    dataset.add_labels(small, "new", labels_for(small))
    np.testing.assert_array_equal(before.positions, first)
    assert sorted(dataset.methods(small)) == ["m", "new"]
    np.testing.assert_array_equal(dataset.read(small, dataset.methods(small)).labels["new"].energy, [0, 1])
    made = dataset.labellings(small)["new"]
    assert made.failures == {1: "no convergence"}
    assert made.provenance == {"method": "x"}
    np.testing.assert_array_equal(made.seconds, [0.5, np.nan])
    assert "m" not in dataset.labellings(small)
    with pytest.raises(DataError, match="has labels 'new' already"):
        dataset.add_labels(small, "new", labels_for(small))
    dataset.add_labels(small, "new", labels_for(small), replace=True)


def test_labels_that_come_in_while_a_store_is_read_do_not_shift_what_is_read(small, monkeypatch):
    """The store is then another file under the same path, in which every array lies elsewhere."""
    expected = dataset.read(small, dataset.methods(small))
    mapped, new = reader._mapped, labels_for(small)

    def interrupted(whole, group, name, *arguments):
        if name == "positions":
            dataset.add_labels(small, "a", new)
        return mapped(whole, group, name, *arguments)

    monkeypatch.setattr(reader, "_mapped", interrupted)
    own = dataset.read(small, {"m": LabelKeys(energy="m.energy", forces="m.forces")})
    np.testing.assert_array_equal(own.positions, expected.positions)
    np.testing.assert_array_equal(own.rank, expected.rank)
    np.testing.assert_array_equal(own.labels["m"].energy, expected.labels["m"].energy)
    np.testing.assert_array_equal(own.labels["m"].forces, expected.labels["m"].forces)


def test_another_file_under_the_path_while_it_is_opened_is_read_instead(small, monkeypatch):
    new, opened = labels_for(small), reader.opened_dataset

    @contextmanager
    def interrupted(path):
        with opened(path) as file:
            monkeypatch.setattr(reader, "opened_dataset", opened)
            dataset.add_labels(small, "a", new)
            yield file

    expected = dataset.read(small, dataset.methods(small))
    monkeypatch.setattr(reader, "opened_dataset", interrupted)
    own = dataset.read(small, {"m": LabelKeys(energy="m.energy", forces="m.forces")})
    np.testing.assert_array_equal(own.positions, expected.positions)
    np.testing.assert_array_equal(own.labels["m"].forces, expected.labels["m"].forces)


def test_mapped_store_is_not_locked(small):
    own = dataset.read(small, dataset.methods(small))
    with h5py.File(small, "r+") as file:
        assert file["geometry/rank"].shape == own.rank.shape


def test_full_disk_is_said_and_nothing_is_left(tmp_path):
    """On a disk that takes 4 kB a file, in a process of its own, since the limit stays with a process."""
    with multiprocessing.get_context("fork").Pool(1) as pool:
        said = pool.apply(_write_on_a_full_disk, (tmp_path / "x.h5",))
    assert "x.h5 cannot be written: File too large" in said
    assert list(tmp_path.iterdir()) == []


def _write_on_a_full_disk(path) -> str:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    try:
        with Writer(path, energies=["m"], forces=["m"]) as writer:
            for _ in range(100):
                writer.add(WATER)
            writer.finish({})
    except DataError as error:
        return str(error)
    return "written"


def test_link_to_a_store_stays_a_link(small):
    link = small.with_name("link.h5")
    link.symlink_to(small)
    dataset.add_labels(link, "new", labels_for(small))
    assert link.is_symlink()
    assert sorted(dataset.methods(small)) == ["m", "new"]


def test_new_labels_change_no_other_digest(small, tmp_path):
    cache = tmp_path / "digests.json"
    labels = {"m": LabelKeys(energy="m.energy")}
    before = contents({"": small}, cache)
    dataset.add_labels(small, "new", labels_for(small))
    os.utime(small, ns=(time.time_ns(), time.time_ns() + 1))
    after = contents({"": small}, cache)
    assert after.digest == before.digest
    assert after.of(labels) == before.of(labels)
    assert after.parts != before.parts


def test_damaged_content_is_refused(small):
    with h5py.File(small, "r+") as file:
        file["labels/m.energy"][0] = -77.0
    with pytest.raises(DataError, match=r"/labels/m\.energy does not have the content that was written"):
        contents({"": small})


def test_other_files_are_refused(small, mini, tmp_path):
    with pytest.raises(DataError, match="expected a data set, got another HDF5 file"):
        dataset.read(mini, {})
    assert not dataset.is_dataset(mini)
    assert not dataset.is_dataset(tmp_path / "absent")
    with h5py.File(small, "r+") as file:
        file.attrs["schema"] = 99
    with pytest.raises(DataError, match="schema 1, got 99"):
        dataset.read(small, {})


def test_missing_label_is_named_with_the_nearest(small):
    with pytest.raises(DataError, match=r"no group has the key 'm\.enrgy'.*Did you mean 'm\.energy'"):
        dataset.read(small, {"m": LabelKeys(energy="m.enrgy")})


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_changed_bytes_are_refused_or_change_nothing(small, data):
    """No byte of the file can be another without notice, or it matters to nobody."""
    content = small.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255))
    broken = small.with_name("broken.h5")
    broken.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
    _require_same_or_refused(small, broken)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(0, 0.999))
def test_truncated_store_is_refused(small, share):
    broken = small.with_name("broken.h5")
    broken.write_bytes(small.read_bytes()[: int(share * small.stat().st_size)])
    _require_same_or_refused(small, broken)


def _require_same_or_refused(good: Path, broken: Path) -> None:
    labels = dataset.methods(good)
    expected = dataset.read(good, labels)
    try:
        if not dataset.is_dataset(broken):
            return
        found = contents({"": broken})
        own = dataset.read(broken, labels)
        dataset.labellings(broken), dataset.provenance(broken), dataset.methods(broken)
    except DataError:
        return
    assert found == contents({"": good})
    np.testing.assert_array_equal(own.positions, expected.positions)
    np.testing.assert_array_equal(own.labels["m"].energy, expected.labels["m"].energy)
    np.testing.assert_array_equal(own.labels["m"].forces, expected.labels["m"].forces)
    assert own.formulae == expected.formulae
