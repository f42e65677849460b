"""A trained stage as a labeller gives what its own evaluation predicted."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from architectures import SPECS

from mfsweep.data import bare
from mfsweep.data.labellers import Geometries
from mfsweep.data.neighbours import neighbours
from mfsweep.data.source import digest, resolve
from mfsweep.data.view import open_view
from mfsweep.errors import DataError, StoreError
from mfsweep.models.registry import ARCHITECTURES
from mfsweep.run.job import Job
from mfsweep.run.labelling import model as labelling
from mfsweep.run.labelling.model import build, find
from mfsweep.run.perform import perform
from mfsweep.spec.batching import Batching
from mfsweep.spec.data import Difference, LabelKeys, ResolvedData, Splits, Subset
from mfsweep.spec.resources import Resources
from mfsweep.spec.stage import Evaluation, LabelledSet, LossWeights, Recipe, Training
from mfsweep.store import StoreFolder
from mfsweep.train import World

HERE = [name for name, own in ARCHITECTURES.items() if not own.PINS]
TEST = Evaluation(labels="dft", subset="t")
NEEDS = ("cc", "dft")


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return resolve("bundled:mini-ccx", tmp_path_factory.getbasetemp())


@pytest.fixture(scope="module")
def data(path):
    return ResolvedData(
        digest=digest(path),
        labels={
            "cc": LabelKeys(energy="ccsd(t)_631gd.energy"),
            "dft": LabelKeys(energy="wb97x_631gd.energy", forces="wb97x_631gd.forces"),
        },
        derived={"cc-dft": Difference(target="cc", minus="dft")},
        splits=Splits(
            a=Subset(size=60, validation=12, needs=NEEDS),
            t=Subset(size=40, needs=NEEDS),
            b=Subset(size="rest", validation=15, needs=NEEDS),
        ),
    )


@pytest.fixture(scope="module", params=HERE)
def trained(path, data, tmp_path_factory, request):
    """Train a stage of an architecture, with two heads, one of them of a difference, and give its folder."""
    model = next(iter(SPECS[request.param].values()))
    store = StoreFolder(tmp_path_factory.mktemp("trained") / "store")
    store.prepare()
    sets = [LabelledSet(labels=labels, subset="a", size=20, probability=0.5) for labels in ("dft", "cc-dft")]
    recipe = Recipe(
        max_steps=2,
        validate_every=1,
        batch=Batching(max_atoms=60, batches_per_step=2),
        loss={labelled.labels: LossWeights() for labelled in sets},
    )
    job = Job(
        name="stage",
        training=Training(data=data, model=model, precision="float32", seed=0, sets=tuple(sets), recipe=recipe),
        data=data,
        sources={"": str(path)},
        store=str(store.root),
        evaluations=(TEST,),
        resources=Resources(workers=1, gpus_per_worker=0),
    )
    assert perform(job, World.alone(), lambda _: True)
    return job.folder


@pytest.fixture
def model(trained):
    return find(f"model:{trained.key[:6]}", "dft", StoreFolder(trained.path.parent.parent))


def test_labels_are_the_predictions_of_the_stages_own_evaluation(trained, model, path, data):
    record = trained.evaluation(TEST.identity())
    with np.load(trained.evaluations / record.predictions) as predicted:
        structures = open_view({"": path}, data).structures
        geometries = Geometries.of(structures, predicted["index"])
        computed = build(model.file.read_bytes(), "dft", None, 1)(geometries)
        np.testing.assert_allclose(computed.energy, predicted["energy_predicted"], rtol=0, atol=1e-3)
        assert computed.forces is not None
        np.testing.assert_allclose(computed.forces, predicted["forces_predicted"], rtol=0, atol=1e-4)
    assert not computed.failures
    assert (computed.seconds > 0).all()


def test_a_foreign_element_fails_alone(model):
    sizes, species = np.array([2, 2]), np.array([6, 8, 6, 16], np.uint8)
    positions = np.array([[0, 0, 0], [0, 0, 1.1]] * 2, np.float64)
    computed = build(model.file.read_bytes(), "dft", None, 1)(Geometries(sizes, species, positions, None, None, None))
    assert computed.failures == {1: "the model did not learn S"}
    assert np.isfinite(computed.energy[0])
    assert np.isnan(computed.energy[1])
    assert computed.forces is not None
    assert np.isnan(computed.forces[2:]).all()


def test_a_structure_without_a_finite_prediction_fails_alone(model):
    sizes, species = np.array([2, 3, 2]), np.array([6, 8, 8, 1, 1, 6, 8], np.uint8)
    positions = np.array([[0, 0, 0], [0, 0, 1.1], [0, 0, 0], [0, 0, 1], [0, 0, 1], [0, 0, 0], [0, 0, 1.2]], np.float64)
    labeller = build(model.file.read_bytes(), "dft", None, 1)
    computed = labeller(Geometries(sizes, species, positions, None, None, None))
    assert computed.failures == {1: "the model's energy or forces are not finite"}
    assert np.isfinite(computed.energy).tolist() == np.isfinite(computed.seconds).tolist() == [True, False, True]
    assert computed.forces is not None
    assert np.isnan(computed.forces).any(axis=1).tolist() == [False] * 2 + [True] * 3 + [False] * 2
    alone = labeller(Geometries(sizes[2:], species[5:], positions[5:], None, None, None))
    np.testing.assert_allclose(computed.energy[2], alone.energy[0], rtol=1e-6)


def test_neighbours_of_each_structure_are_looked_for_once(model, monkeypatch):
    looked = []

    def counted(structures, cutoff):
        looked.append(len(structures.formula))
        return neighbours(structures, cutoff)

    monkeypatch.setattr(bare, "neighbours", counted)
    monkeypatch.setattr(labelling, "MAX_ATOMS", 6)
    sizes, species = np.full(10, 2), np.tile(np.array([6, 8], np.uint8), 10)
    positions = np.array([[0, 0, 0], [0, 0, 1.1]] * 10, np.float64)
    labeller = build(model.file.read_bytes(), "dft", None, 1)
    for _ in range(2):
        labeller(Geometries(sizes, species, positions, None, None, None))
    assert looked == [1, 3, 3, 3, 1, 3, 3, 3, 1], "the first alone beforehand"


def test_ions_and_radicals_fail_as_no_model_learns_them(model):
    sizes, species = np.array([2, 2, 2, 2]), np.array([6, 8, 6, 8, 7, 8, 7, 8], np.uint8)
    positions = np.array([[0, 0, 0], [0, 0, 1.1]] * 4, np.float64)
    charge, cell = np.array([0, 1, 0, 0], np.int16), np.tile(9 * np.eye(3), (4, 1, 1))
    pbc = np.zeros((4, 3), np.bool_)
    pbc[3] = True  # half of a crystal's even cell, perhaps
    computed = build(model.file.read_bytes(), "dft", None, 1)(Geometries(sizes, species, positions, charge, cell, pbc))
    assert computed.failures == {
        1: "its charge is +1, and models know no charge",
        2: "an odd number of electrons (15): models learn closed shells alone",
    }
    assert np.isfinite(computed.energy).tolist() == [True, False, False, True]


def test_the_method_names_the_weights(trained, model):
    assert model.name == f"model_{trained.key[:8]}_dft"
    assert model.method.text == f"model:{trained.key}"
    assert model.method.options["sha256"] == digest(model.file)
    architecture = trained.record().training["model"]["architecture"]
    assert {"torch", *ARCHITECTURES[architecture].PACKAGES} == set(model.method.versions)


@pytest.mark.parametrize(
    ("head", "said"),
    [(None, "none was named"), ("dfg", "Did you mean 'dft'"), ("cc-dft", "no total energy")],
)
def test_a_head_must_be_one_with_total_energies(trained, head, said):
    with pytest.raises(DataError, match=said):
        find(f"model:{trained.key}", head, StoreFolder(trained.path.parent.parent))


def test_a_stage_must_be_one_and_trained(trained, store):
    shutil.copytree(trained.path, store.root / "stages" / ("a" * 20))
    (store.root / "stages" / ("ab" * 10)).mkdir()
    with pytest.raises(StoreError, match="2 stages"):
        find("model:a", "dft", store)
    with pytest.raises(StoreError, match="not trained"):
        find("model:ab", "dft", store)
    with pytest.raises(StoreError, match="no stage"):
        find("model:zz", "dft", store)
    with pytest.raises(StoreError, match="2 stages"):
        find("model:", "dft", store)
