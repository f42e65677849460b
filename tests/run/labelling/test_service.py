"""Labels on a real local Ray: resumed, split around what kills a process, added to the data set."""

from __future__ import annotations

import json
from pathlib import Path

import h5py
import numpy as np
import pytest

from mfsweep.data import dataset, journal
from mfsweep.data.labellers import Computed, parse
from mfsweep.data.structures import geometry_digest
from mfsweep.errors import DataError, ResourceError
from mfsweep.run.labelling import Request, label
from mfsweep.run.labelling import service as labelling
from mfsweep.run.labelling import tasks as label_tasks

pytestmark = pytest.mark.cluster

CALCULATOR = '''
import os, signal
from pathlib import Path
from ase.calculators.calculator import Calculator, all_changes

class Fragile(Calculator):
    """Energy -x of the first atom. A killer is a structure with x in `kill`; `fail` raises. Notes what it computed."""

    implemented_properties = ["energy", "forces"]
    default_parameters = {"kill": [], "fail": [], "notes": None}

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        x = round(float(atoms.positions[0, 0]))
        if x in self.parameters.kill:
            os.kill(os.getpid(), signal.SIGSEGV)
        if x in self.parameters.fail and not Path(self.parameters.notes or "/none", "mended").exists():
            raise RuntimeError("it does not converge")
        if self.parameters.notes:
            Path(self.parameters.notes, f"{x}.{os.getpid()}").touch()
        self.results = {"energy": -float(x), "forces": 0 * atoms.positions + x}
'''
COUNT = 12


class Silent:
    """Counts what it is told, and does something when the labelling begins."""

    def __init__(self, at_begin=lambda: None):
        self.at_begin = at_begin
        self.where = ""
        self.slots = self.todo = self.tried = self.failed = self.beats = 0

    def begin(self, where, slots, todo):
        self.where, self.slots, self.todo = where, slots, todo
        self.at_begin()

    def advance(self, structures, failed):
        self.tried += structures
        self.failed += failed

    def beat(self):
        self.beats += 1


@pytest.fixture
def data_store(tmp_path: Path) -> Path:
    """Make a data set of carbon monoxides, the first atom of structure s at x = s."""
    path = tmp_path / "set.h5"
    positions = np.zeros((COUNT, 2, 3))
    positions[:, :, 0] = np.arange(COUNT)[:, None]
    positions[:, 1, 2] = 1.13
    imported = np.full(COUNT, -100.0)
    with dataset.Writer(path, energies=["imported"]) as writer:
        sizes = np.full(COUNT, 2)
        species = np.tile(np.array([6, 8], np.uint8), COUNT)
        writer.add(dataset.Chunk(sizes, species, positions.reshape(-1, 3), {"imported": imported}, {}))
        writer.finish({})
    return path


@pytest.fixture(scope="module")
def modules(tmp_path_factory) -> Path:
    """Write the calculator into a folder; one for all tests, so that they share Ray's worker processes."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "fragile.py").write_text(CALCULATOR)
    return folder


@pytest.fixture
def fragile(ray_cluster, modules, monkeypatch):
    """Give a function that makes a request for labels of the calculator above."""
    monkeypatch.syspath_prepend(modules)
    own = label_tasks._environment
    monkeypatch.setattr(label_tasks, "_environment", lambda cpus: own(cpus) | {"PYTHONPATH": str(modules)})

    def request(store: Path, *, options=None, **fields) -> Request:
        return Request(store, "fragile", parse("ase:fragile.Fragile", options or {}), **fields)

    return request


def kept_in(store: Path) -> int:
    """Return how many structures the journal of a store holds."""
    files = [np.load(path) for path in journal.place(store, "fragile").glob("[0-9]*.npz")]
    kept = sum(len(file[name]) for file in files for name in file.files if name.endswith(".index"))
    for file in files:
        file.close()
    return kept


def energies(path: Path, name: str = "fragile"):
    return dataset.read(path, {name: dataset.methods(path)[name]}).labels[name].energy


def test_labels_get_into_the_store_with_their_cost(fragile, data_store):
    watcher = Silent()
    summary = label(fragile(data_store), watcher)
    assert (summary.tried, summary.labelled, summary.structures) == (COUNT, COUNT, COUNT)
    assert (watcher.todo, watcher.tried, watcher.failed) == (COUNT, COUNT, 0)
    np.testing.assert_array_equal(energies(data_store), -np.arange(COUNT))
    labels = dataset.read(data_store, {"fragile": dataset.methods(data_store)["fragile"]}).labels["fragile"]
    assert labels.forces is not None
    np.testing.assert_array_equal(labels.forces[:, 0], np.repeat(np.arange(COUNT), 2))
    assert summary.cost == pytest.approx(np.nanmean(dataset.labellings(data_store)["fragile"].seconds))
    assert dataset.labellings(data_store)["fragile"].provenance["method"]["text"] == "fragile.Fragile"
    assert sorted(path.name for path in data_store.parent.iterdir()) == ["set.h5"]
    again = label(fragile(data_store), Silent())
    assert (again.tried, again.resumed, again.labelled) == (0, 0, COUNT)


def test_retried_labels_of_an_interrupted_run_get_into_the_store(data_store, modules, monkeypatch):
    """Nothing is left to compute: the journal holds labels for all that the store knows as failed."""
    monkeypatch.syspath_prepend(modules)
    request = Request(data_store, "fragile", parse("ase:fragile.Fragile", {}), retry_failed=True)
    energy = -np.arange(COUNT, dtype=np.float64)
    energy[[2, 5]] = np.nan
    made = dataset.Labelling(np.ones(COUNT, np.float32), {2: "why", 5: "why"}, {"method": request.method.identity()})
    dataset.add_labels(data_store, "fragile", dataset.NewLabels(energy, None, made))
    structures = dataset.read(data_store, {})
    settings = {"geometry": geometry_digest(structures), "method": request.method.identity()}
    with journal.opened(data_store, "fragile", settings) as notes:
        index, seconds = np.array([2, 5]), np.ones(2, np.float32)
        notes.write([(index, Computed(np.array([-2.0, -5.0]), None, seconds, {}))])
    summary = label(request, Silent())
    assert (summary.resumed, summary.tried, summary.failures) == (2, 0, {})
    np.testing.assert_array_equal(energies(data_store), -np.arange(COUNT))
    assert dataset.labellings(data_store)["fragile"].failures == {}
    assert not journal.place(data_store, "fragile").exists()


def test_what_fails_and_what_kills_is_recorded_and_the_rest_is_labelled(fragile, data_store, tmp_path):
    options = {"kill": [5], "fail": [2], "notes": str(tmp_path)}
    summary = label(fragile(data_store, options=options, batch=6), Silent())
    assert summary.labelled == COUNT - 2
    assert set(summary.failures) == {2, 5}
    assert "it does not converge" in summary.failures[2]
    assert "died 2 times" in summary.failures[5]
    assert np.flatnonzero(np.isnan(energies(data_store))).tolist() == [2, 5]
    assert dict(dataset.labellings(data_store)["fragile"].failures) == dict(summary.failures)

    assert label(fragile(data_store, options=options), Silent()).tried == 0
    (tmp_path / "mended").touch()
    mended = label(fragile(data_store, options=options, retry_failed=True), Silent())
    assert mended.tried == 2
    assert set(mended.failures) == {5}
    assert np.flatnonzero(np.isnan(energies(data_store))).tolist() == [5]


class Stopped(Silent):
    """Interrupts the labelling when some structures are done."""

    def advance(self, structures, failed):
        super().advance(structures, failed)
        if self.tried >= 4:
            raise KeyboardInterrupt


def test_an_interrupted_labelling_goes_on(fragile, data_store, tmp_path):
    notes = tmp_path / "notes"
    notes.mkdir()
    request = fragile(data_store, options={"notes": str(notes)}, batch=1)
    stopped = Stopped()
    with pytest.raises(KeyboardInterrupt):
        label(request, stopped)
    assert "fragile" not in dataset.methods(data_store)
    kept = kept_in(data_store)
    assert stopped.tried <= kept < COUNT
    summary = label(request, Silent())
    assert (summary.resumed, summary.tried, summary.labelled) == (kept, COUNT - kept, COUNT)
    np.testing.assert_array_equal(energies(data_store), -np.arange(COUNT))
    computed = [int(path.name.partition(".")[0]) for path in notes.iterdir()]
    assert set(computed) == set(range(COUNT))
    assert len(computed) <= COUNT + label_tasks.IN_FLIGHT * stopped.slots


def test_a_part_is_labelled_first_and_the_rest_later(fragile, data_store):
    part = label(fragile(data_store, first=5), Silent())
    assert (part.asked, part.labelled) == (5, 5)
    assert np.flatnonzero(~np.isnan(energies(data_store))).tolist() == list(range(5))
    whole = label(fragile(data_store), Silent())
    assert (whole.tried, whole.labelled) == (COUNT - 5, COUNT)


def test_labels_of_another_calculation_are_refused_or_replaced(fragile, data_store):
    label(fragile(data_store, first=5), Silent())
    other = fragile(data_store, options={"kill": [-1]})
    with pytest.raises(DataError, match=r"options\.kill"):
        label(other, Silent())
    replaced = label(other._replace(replace=True, first=3), Silent())
    assert (replaced.tried, replaced.labelled) == (3, 3)


def test_imported_labels_are_never_replaced(fragile, data_store):
    request = fragile(data_store, replace=True)._replace(name="imported")
    with pytest.raises(DataError, match="came with the import"):
        label(request, Silent())


def test_nothing_is_added_when_everything_fails(fragile, data_store):
    summary = label(fragile(data_store, options={"fail": list(range(COUNT))}), Silent())
    assert summary.labelled == 0
    assert len(summary.failures) == COUNT
    assert summary.cost is None
    assert "fragile" not in dataset.methods(data_store)


def test_a_calculator_that_cannot_be_made_ends_the_labelling(fragile, data_store, monkeypatch):
    cancelled = []
    monkeypatch.setattr(
        label_tasks, "_END_SECONDS", 120
    )  # a worker that has not started yet needs some on a busy machine
    monkeypatch.setattr(label_tasks.ray, "cancel", lambda ref, **_: cancelled.append(ref))
    with pytest.raises(DataError, match="refuses the options"):
        label(fragile(data_store, options={"label": 3}, batch=1), Silent())
    assert not cancelled, "Ray aborts the process where a task ends while it is cancelled"


def test_a_store_that_was_replaced_meanwhile_is_not_given_wrong_labels(fragile, data_store):
    def move():
        with h5py.File(data_store, "r+") as file:
            file["geometry/positions"][0] = 1.0

    with pytest.raises(DataError, match="other structures now"):
        label(fragile(data_store), Silent(move))
    assert list(journal.place(data_store, "fragile").glob("*.npz"))


def test_other_labels_that_came_meanwhile_stay(fragile, data_store):
    def add():
        made = dataset.Labelling(np.ones(COUNT, np.float32), {}, {"method": {}})
        dataset.add_labels(data_store, "other", dataset.NewLabels(np.ones(COUNT), None, made))

    label(fragile(data_store), Silent(add))
    assert set(dataset.methods(data_store)) == {"fragile", "imported", "other"}


def test_a_task_larger_than_the_cluster_is_refused(fragile, data_store):
    with pytest.raises(ResourceError, match="--cpus-per-task 64"):
        label(fragile(data_store, cpus=64), Silent())


def test_xtb_agrees_with_a_calculation_in_this_process(ray_cluster, data_store):
    from mfsweep.data.labellers import Geometries, build

    method = parse("gfn2-xtb", {})
    label(Request(data_store, "xtb", method, first=2), Silent())
    here = build(method)(Geometries.of(dataset.read(data_store, {}), np.arange(2)))
    np.testing.assert_allclose(energies(data_store, "xtb")[:2], here.energy, rtol=0, atol=1e-9)
    assert json.loads(json.dumps(dict(dataset.labellings(data_store)["xtb"].provenance)))["seconds"] == labelling.COST
