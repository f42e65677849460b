from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from mfsweep.data import journal
from mfsweep.data.journal import Collected, differences, opened, place
from mfsweep.data.labellers import Computed
from mfsweep.data.structures import Structures, geometry_digest
from mfsweep.errors import DataError

SETTINGS = {"geometry": "abc", "method": {"text": "gfn2-xtb", "versions": {"tblite": "0.8.0"}}}
OTHER = {"geometry": "abc", "method": {"text": "gfn2-xtb", "versions": {"tblite": "0.7.0"}}}


def made(sizes=(3, 2, 4)) -> Structures:
    offsets = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    return Structures(
        offsets=offsets,
        species=np.ones(offsets[-1], np.uint8),
        positions=np.random.default_rng(0).normal(size=(offsets[-1], 3)),
        formula=np.zeros(len(sizes), np.int32),
        formulae=("H",),
        rank=np.arange(len(sizes), dtype=np.int32),
        labels={},
    )


def computed(structures: Structures, index, *, forces=True, failing=()) -> Computed:
    energy = -np.array(index, np.float64) - 1.0
    atoms = structures.atoms_of(np.array(index))
    values = np.repeat(atoms[:, None], 3, axis=1).astype(np.float32)
    failures = {place: "it broke" for place, structure in enumerate(index) if structure in failing}
    energy[list(failures)] = np.nan
    return Computed(energy, values if forces else None, np.full(len(index), 0.5, np.float32), failures)


def write(store: Path, structures: Structures, *batches, **kwargs) -> None:
    """Write some batches in one file, if there are any."""
    with opened(store, "xtb", SETTINGS) as notes:
        if not batches:
            return
        notes.write([(np.array(index), computed(structures, index, **kwargs)) for index in batches])


def collect(store: Path, structures: Structures, settings=SETTINGS) -> Collected:
    with opened(store, "xtb", settings) as notes:
        return notes.collect(structures, Collected.empty(len(structures.formula)))[0]


@pytest.fixture
def data_store(tmp_path: Path) -> Path:
    return tmp_path / "set.h5"


def test_a_journal_gives_back_what_was_written_in_any_order(data_store):
    structures = made()
    write(data_store, structures, [2], [1, 0], failing=(1,))
    collected = collect(data_store, structures)
    np.testing.assert_array_equal(collected.energy, [-1, np.nan, -3])
    assert collected.failures == {1: "it broke"}
    assert collected.forces is not None
    np.testing.assert_array_equal(collected.forces[:, 0], np.arange(9))
    assert collected.labelled.tolist() == [True, False, True]


def test_a_later_run_adds_to_the_journal_and_wins(data_store):
    structures = made()
    write(data_store, structures, [0], [1], failing=(1,))
    write(data_store, structures, [1])
    collected = collect(data_store, structures)
    assert collected.labelled.tolist() == [True, True, False]
    assert collected.failures == {}


def test_a_method_without_forces_has_none(data_store):
    structures = made()
    write(data_store, structures, [0, 1], forces=False)
    assert collect(data_store, structures).forces is None


def test_a_half_written_batch_is_no_batch(data_store):
    structures = made()
    write(data_store, structures, [0])
    (place(data_store, "xtb") / ".00000002.abcdef.npz").write_bytes(b"PK half")
    assert collect(data_store, structures).labelled.sum() == 1


def test_a_journal_of_other_settings_is_refused_and_kept(data_store):
    structures = made()
    write(data_store, structures, [0])
    with (
        pytest.raises(DataError, match=r'method.versions.tblite: "0.8.0" before, "0.7.0" now'),
        opened(data_store, "xtb", OTHER),
    ):
        pass
    assert collect(data_store, structures).labelled.sum() == 1


def test_replacing_drops_a_journal_of_other_settings_only(data_store):
    structures = made()
    write(data_store, structures, [0])
    for settings, kept in ((SETTINGS, 1), (OTHER, 0)):
        with opened(data_store, "xtb", settings, replace=True) as notes:
            assert notes.collect(structures, Collected.empty(3))[0].labelled.sum() == kept


def test_a_journal_without_batches_leaves_nothing_so_that_other_settings_may_begin(data_store):
    write(data_store, made())
    assert not place(data_store, "xtb").exists()
    assert collect(data_store, made(), OTHER).labelled.sum() == 0


def test_a_damaged_batch_is_named(data_store):
    structures = made()
    write(data_store, structures, [0])
    (batch,) = place(data_store, "xtb").glob("*.npz")
    batch.write_bytes(batch.read_bytes()[:40])
    with pytest.raises(DataError, match=r"00000001\.npz is damaged"):
        collect(data_store, structures)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[]", b"3"])
def test_damaged_settings_are_named(data_store, content):
    structures = made()
    write(data_store, structures, [0])
    (written,) = place(data_store, "xtb").glob("*.json")
    written.write_bytes(content)
    with pytest.raises(DataError, match=r"\.json is damaged \(.*\): pass --replace"):
        collect(data_store, structures)
    with opened(data_store, "xtb", SETTINGS, replace=True):
        assert json.loads(written.read_bytes()) == SETTINGS


def test_a_second_process_is_refused(data_store):
    with opened(data_store, "xtb", SETTINGS), pytest.raises(DataError, match="another process"):
        collect(data_store, made())
    collect(data_store, made())


def test_a_disk_that_is_full_is_said(data_store, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    with opened(data_store, "xtb", SETTINGS) as notes:
        monkeypatch.setattr(journal, "write_file", full)
        with pytest.raises(DataError, match="No space left on device"):
            notes.write([(np.array([0]), computed(made(), [0]))])


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(DataError, match="cannot be written"), opened(tmp_path / "no" / "set.h5", "xtb", SETTINGS):
        pass


def test_the_journal_goes_when_it_is_removed(data_store):
    with opened(data_store, "xtb", SETTINGS) as notes:
        notes.remove()
    assert not list(data_store.parent.iterdir())


def test_the_digest_sees_every_part_of_the_geometry():
    structures = made()
    moved = structures._replace(positions=structures.positions + 1e-9)
    charged = structures._replace(charge=np.zeros(3, np.int16))
    in_cells = structures._replace(cell=np.zeros((3, 3, 3)), pbc=np.zeros((3, 3), np.bool_))
    resized = structures._replace(offsets=made((2, 3, 4)).offsets)
    digests = {geometry_digest(one) for one in (structures, moved, charged, in_cells, resized)}
    assert len(digests) == 5
    assert geometry_digest(made()) in digests


def test_differences_name_what_only_one_side_has():
    assert differences({"a": {"b": 1}}, {"a": {"b": 1, "c": 2}}) == ["a.c: none before, 2 now"]
