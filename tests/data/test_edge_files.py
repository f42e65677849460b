"""Neighbours in files: computed once, mapped, and never other pairs than those of the structures."""

from __future__ import annotations

import json
import logging
import multiprocessing
import signal

import numpy as np
import pytest
from ase.build import bulk, molecule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.data import edge_files
from mfsweep.data.edge_files import kept_neighbours
from mfsweep.data.neighbours import Edges, neighbours
from mfsweep.files import sha256

CUTOFF = 3.0
"""Angstrom: less than most of these molecules, so that the cutoff cuts."""


def test_kept_neighbours_are_the_computed_ones_and_mapped(view, tmp_path):
    kept = [kept_neighbours(view.structures, cutoff, tmp_path / "edges") for cutoff in (CUTOFF, 2.0, CUTOFF)]
    own = neighbours(view.structures, CUTOFF)
    for edges in (kept[0], kept[2]):
        np.testing.assert_array_equal(edges.pairs, own.pairs)
        np.testing.assert_array_equal(edges.offsets, own.offsets)
        assert edges.shifts is None
        assert isinstance(edges.pairs, np.memmap)
    assert kept[1].offsets[-1] < own.offsets[-1]
    assert sum(path.is_dir() for path in (tmp_path / "edges").iterdir()) == 2


def test_kept_neighbours_belong_to_their_geometry(from_atoms, tmp_path):
    first, moved = molecule("CH3CH2OH"), molecule("CH3CH2OH")
    moved.positions *= 1.3
    for atoms in (first, moved):
        kept = kept_neighbours(from_atoms(atoms), 2.0, tmp_path)
        np.testing.assert_array_equal(kept.pairs, neighbours(from_atoms(atoms), 2.0).pairs)


def test_processes_that_ask_at_once_compute_once(from_atoms, tmp_path):
    structures = from_atoms(bulk("Cu").repeat(4))
    # Who ends a pool sends SIGTERM, which another test may have given a meaning of its own.
    ends = {"initializer": signal.signal, "initargs": (signal.SIGTERM, signal.SIG_DFL)}
    with multiprocessing.get_context("fork").Pool(3, **ends) as pool:
        found = pool.starmap(_computed, [(tmp_path, structures)] * 3, chunksize=1)
    assert sorted(found) == [0, 0, 1]


def _computed(folder, structures) -> int:
    """Return how often this process computed neighbours."""
    calls = []
    compute = edge_files.neighbours

    def counted(*arguments):
        calls.append(1)
        return compute(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(edge_files, "neighbours", counted)
        kept_neighbours(structures, 6.0, folder)
    return len(calls)


@pytest.fixture(scope="module")
def crystals(from_atoms):
    """Molecules and a crystal, so that all three arrays are there; and their neighbours."""
    crystal = bulk("Cu", cubic=True)
    structures = from_atoms(molecule("CH3CH2OH"), crystal, molecule("H2O"))
    return structures, neighbours(structures, CUTOFF)


def _the_folder(edges):
    (folder,) = (path for path in edges.iterdir() if path.is_dir() and ".damaged-" not in path.name)
    return folder


def _require_right(structures, own: Edges, edges) -> None:
    kept = kept_neighbours(structures, CUTOFF, edges)
    for array, expected in zip(kept, own, strict=True):
        np.testing.assert_array_equal(array, expected)


FILES = ["offsets.npy", "pairs.npy", "shifts.npy", "sha256.json"]


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_damaged_files_are_set_aside_and_made_again(crystals, tmp_path_factory, name, data):
    """One bit, or the end of any file: the right pairs come out, and the damage lies beside."""
    structures, own = crystals
    edges = tmp_path_factory.mktemp("edges")
    _require_right(structures, own, edges)
    path = _the_folder(edges) / name
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    path.write_bytes(content)
    edge_files._digest.cache_clear()  # a new process
    _require_right(structures, own, edges)
    aside = _the_folder(edges).with_name(f"{_the_folder(edges).name}.damaged-1")
    assert (aside / name).read_bytes() == content


def test_damage_is_named(crystals, tmp_path, caplog):
    structures, own = crystals
    _require_right(structures, own, tmp_path)
    for number in (1, 2):
        (_the_folder(tmp_path) / "pairs.npy").unlink()
        with caplog.at_level(logging.WARNING):
            _require_right(structures, own, tmp_path)
        folder = _the_folder(tmp_path)
        (said,) = caplog.messages
        assert said.startswith(f"the neighbours in {folder} are damaged (No such file or directory: pairs.npy): ")
        assert said.endswith(f"set aside as {folder.name}.damaged-{number}, and computed again")
        caplog.clear()


WRONG = {
    "of other structures": lambda edges: edges._replace(offsets=edges.offsets[:-1]),
    "offsets that fall": lambda edges: edges._replace(offsets=edges.offsets[::-1].copy()),
    "an odd offset": lambda edges: edges._replace(offsets=edges.offsets + np.array([0, 1, 0, 0])),
    "pairs left out": lambda edges: edges._replace(pairs=edges.pairs[:, :-1]),
    "an atom too far": lambda edges: edges._replace(pairs=np.where(edges.pairs == edges.pairs.max(), 200, edges.pairs).astype(np.uint8)),
    "signed pairs": lambda edges: edges._replace(pairs=edges.pairs.astype(np.int8)),
    "no shifts": lambda edges: edges._replace(shifts=None),
    "shifts left out": lambda edges: edges._replace(shifts=edges.shifts[1:]),
}  # fmt: skip


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
def test_arrays_that_do_not_fit_the_structures_are_not_taken(crystals, tmp_path, change):
    """Whoever wrote them, with right digests."""
    structures, own = crystals
    _require_right(structures, own, tmp_path)
    folder = _the_folder(tmp_path)
    digests = {}
    for name, array in change(own)._asdict().items():
        if array is not None:
            np.save(folder / f"{name}.npy", array)
            digests[name] = sha256(folder / f"{name}.npy")
    (folder / "sha256.json").write_text(json.dumps(digests))
    _require_right(structures, own, tmp_path)
    assert folder.with_name(f"{folder.name}.damaged-1").is_dir()


def test_a_file_in_place_of_the_folder_is_set_aside(crystals, tmp_path):
    structures, own = crystals
    _require_right(structures, own, tmp_path)
    folder = _the_folder(tmp_path)
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("no folder")
    _require_right(structures, own, tmp_path)


def test_structures_without_any_pair_are_kept(from_atoms, tmp_path):
    lone = from_atoms(molecule("H2O"))._replace(positions=np.arange(9.0).reshape(3, 3) * 100)
    assert kept_neighbours(lone, 2.0, tmp_path).pairs.shape == (2, 0)
    assert kept_neighbours(lone, 2.0, tmp_path).offsets.tolist() == [0, 0]
    assert not list(tmp_path.glob("*.damaged-*"))
