"""Stages of every kind, performed one after another: trained, recorded, evaluated."""

from __future__ import annotations

import errno
import re
import shutil

import h5py
import numpy as np
import pytest
import torch

import mfsweep.metrics_file
import mfsweep.store.stage_folder
import mfsweep.train.loop
from mfsweep.data.dataset import Labelling, NewLabels, add_labels
from mfsweep.data.importing import Rules, import_files
from mfsweep.data.source import digest, resolve
from mfsweep.data.view import open_view
from mfsweep.errors import DataError, TrainingError
from mfsweep.files import write_text
from mfsweep.metrics_file import entries
from mfsweep.models.mace import Mace
from mfsweep.prepare import prepare
from mfsweep.run import perform as perform_module
from mfsweep.run.job import Job
from mfsweep.run.machine import machine
from mfsweep.run.perform import perform
from mfsweep.run.sweep import _job
from mfsweep.spec.batching import Batching
from mfsweep.spec.data import Difference, LabelKeys, ResolvedData, Shuffled, Splits, Subset
from mfsweep.spec.resources import Resources
from mfsweep.spec.stage import Evaluation, Head, LabelledSet, LossWeights, Recipe, Training
from mfsweep.store import StageFolder
from mfsweep.train import World

NEEDS = ("cc", "dft")
DERIVED = {
    "cc-dft": Difference(target="cc", minus="dft"),
    "dft-xtb": Difference(target="dft", minus="xtb"),
    "dft-shuffled": Shuffled(shuffled="dft"),
}
MODEL = Mace(channels=4, max_L=0, max_ell=1, correlation=1, radial_hidden=(8,), readout_hidden=4, bessel=4, r_max=3.0)
ENERGIES = LossWeights(energy=100.0, forces=0.0)
LOSS = {"cc": ENERGIES, "cc-dft": ENERGIES}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return resolve("bundled:mini-ccx", tmp_path_factory.getbasetemp())


@pytest.fixture
def data(path):
    return ResolvedData(
        digest=digest(path),
        labels={
            "cc": LabelKeys(energy="ccsd(t)_631gd.energy"),
            "dft": LabelKeys(energy="wb97x_631gd.energy", forces="wb97x_631gd.forces"),
            "xtb": LabelKeys(energy="gfn2_xtb.energy", forces="gfn2_xtb.forces"),
        },
        derived=DERIVED,
        splits=Splits(
            a=Subset(size=60, validation=12, needs=NEEDS),
            b=Subset(size="rest", validation=15, needs=NEEDS),
            t=Subset(size=40, needs=NEEDS),
        ),
    )


@pytest.fixture
def go(path, data, store):
    """Perform a stage of some sets, a few steps long, and return its folder; `report` False: it is stopped."""

    def perform_(*sets, evaluations=(), parent_file=None, loss=None, report=True, source=path, gpus=0, **training):
        methods = {labelled.labels for labelled in sets}
        recipe = Recipe(
            max_steps=4,
            validate_every=2,
            batch=Batching(max_atoms=60, batches_per_step=2),
            loss={method: (loss or LOSS).get(method, LossWeights()) for method in methods},
        )
        probability = 1 / len(sets)
        job = Job(
            name="stage",
            training=Training(
                data=data.but(digest=digest(source)),
                model=MODEL,
                precision="float32",
                seed=0,
                sets=tuple(labelled.but(probability=probability) for labelled in sets),
                recipe=recipe,
                **training,
            ),
            data=data,
            sources={"": str(source)},
            parent_file=parent_file,
            store=str(store.root),
            evaluations=evaluations,
            resources=Resources(workers=1, gpus_per_worker=gpus),
        )
        assert perform(job, World.alone(), lambda _: report) is report
        return job.folder

    return perform_


@pytest.fixture
def coincident(path, data, tmp_path):
    """Copy the data with two atoms of a test structure at one place; return the file and the structure's name."""
    view = open_view({"": path}, data)
    structures, index = view.structures, int(view.partition.train["t"][0])
    copy = tmp_path / "coincident.h5"
    shutil.copy(path, copy)
    with h5py.File(copy, "r+") as file:
        counts = [len(file[name]["coordinates"]) for name in file]
        group = int(np.searchsorted(np.cumsum(counts), index, side="right"))
        coordinates = file[list(file)[group]]["coordinates"]
        conformer = index - sum(counts[:group])
        coordinates[conformer, 1] = coordinates[conformer, 0]
    return copy, structures.describe(index)


def test_a_prediction_that_is_not_finite_fails_the_stage_and_leaves_the_store_readable(go, coincident, data, store):
    copy, name = coincident
    test = Evaluation(labels="cc", subset="t", head="cc", offsets="cc")
    sets = LabelledSet(labels="cc", subset="a", size=20)
    with pytest.raises(TrainingError, match=re.escape(f"head cc for {name} is not finite")):
        go(sets, evaluations=(test,), source=copy)
    (folder,) = store.stages()
    assert folder.record() is not None, "the training itself went well"
    assert folder.evaluation(test.identity()) is None
    assert not list(folder.evaluations.glob("*"))
    assert not folder.is_done([test.identity()])


def test_an_evaluation_of_an_older_version_that_is_not_finite_is_made_again(go):
    test = Evaluation(labels="cc", subset="t", head="cc", offsets="cc")
    sets = LabelledSet(labels="cc", subset="a", size=20)
    folder = go(sets, evaluations=(test,))
    first = folder.evaluation(test.identity())
    path, _ = folder.evaluation_paths(test.identity())
    path.write_text(re.sub(r'"energy_mae": [\d.]+', '"energy_mae": null', path.read_text()))
    assert folder.evaluation(test.identity()) is None
    assert not folder.is_done([test.identity()])
    assert go(sets, evaluations=(test,)).evaluation(test.identity()) == first


def evaluated(folder, evaluation):
    record = folder.evaluation(evaluation.identity())
    with np.load(folder.evaluations / record.predictions) as arrays:
        return record, dict(arrays)


def test_a_correction_is_scored_on_top_of_its_base(go, path, data):
    """The null model is the base method with the offsets of the difference."""
    test = Evaluation(labels="cc", subset="t", head="cc-dft", offsets="cc-dft", base="dft")
    folder = go(LabelledSet(labels="cc-dft", subset="a", size=30), evaluations=(test,))
    record, arrays = evaluated(folder, test)
    assert set(folder.record().heads) == {"cc-dft"}
    assert "validation.cc-dft.energy_mae" in folder.record().metrics
    view = open_view({"": path}, data)
    labels = view.structures.labels
    assert np.array_equal(arrays["energy_reference"], labels["cc"].energy[arrays["index"]])
    # dft is within an eV of cc once offsets are gone; without the base the energies would be some 1000 eV off.
    assert record.metrics["energy_mae"] < 1000
    difference = labels["cc-dft"].energy[arrays["index"]]
    counts = view.structures.counts(arrays["index"], view.elements)
    own = view.offsets("cc-dft", ())
    left = (difference - counts @ np.array([own[z] for z in view.elements])) / arrays["atoms"]
    assert record.offsets_only["energy_mae"] == pytest.approx(1000 * np.abs(left).mean())
    assert "force_mae" not in record.metrics


def test_a_correction_of_forces_is_added_to_the_bases(go, path, data):
    test = Evaluation(labels="dft", subset="t", head="dft-xtb", offsets="dft-xtb", base="xtb")
    folder = go(LabelledSet(labels="dft-xtb", subset="a", size=30), evaluations=(test,))
    record, arrays = evaluated(folder, test)
    structures = open_view({"": path}, data).structures
    base = structures.labels["xtb"].forces[structures.atoms_of(arrays["index"])]
    assert record.offsets_only["force_mae"] == pytest.approx(1000 * np.abs(base - arrays["forces_reference"]).mean())
    assert record.metrics["force_mae"] != record.offsets_only["force_mae"]


def test_shuffled_labels_are_a_method_of_their_own(go):
    """The negative control: a pre-training on them, and a fine-tuning from it."""
    pretrain = go(LabelledSet(labels="dft-shuffled", subset="b", size=40))
    record = pretrain.record()
    assert {"validation.dft-shuffled.energy_mae", "validation.dft-shuffled.force_mae"} <= set(record.metrics)
    assert (record.shares[0].labels, record.shares[0].head) == ("dft-shuffled", "dft-shuffled")
    finetune = go(LabelledSet(labels="cc", subset="a", size=30), parent=pretrain.key)
    assert finetune.record().parent == pretrain.key


def test_two_methods_in_one_head_are_each_scored_by_it(go):
    tests = tuple(Evaluation(labels=method, subset="t", head="cc", offsets=method) for method in ("cc", "dft"))
    sets = [LabelledSet(labels="cc", subset="a", size=30), LabelledSet(labels="dft", subset="b", size=40, head="cc")]
    folder = go(*sets, evaluations=tests)
    record = folder.record()
    assert set(record.heads) == {"cc"}
    assert [share.head for share in record.shares] == ["cc", "cc"]
    assert set(record.offsets) == {"cc", "dft"}
    for test in tests:
        own, _ = evaluated(folder, test)
        # Each with its own offsets; with the other's the two would be some 10 eV off.
        assert own.metrics["energy_mae"] < 1000


def test_a_chain_from_several_heads_to_one(go):
    """Each head is scored by its own best; the child says which head it starts from."""
    own = Evaluation(labels="cc", subset="t", head="cc", offsets="cc")
    other = Evaluation(labels="cc", subset="t", head="dft", offsets="cc")
    joint = go(
        LabelledSet(labels="cc", subset="a", size=30),
        LabelledSet(labels="dft", subset="b", size=40),
        evaluations=(own, other),
    )
    first, second = (evaluated(joint, test)[0].metrics["energy_mae"] for test in (own, other))
    assert first != second
    assert set(joint.record().heads) == {"cc", "dft"}
    learned = Evaluation(labels="cc", subset="a", part="train", head="cc", offsets="cc")
    child = go(
        LabelledSet(labels="cc", subset="a", size=20),
        evaluations=(learned, own),
        parent=joint.key,
        heads={"cc": Head(source="dft")},
    )
    assert evaluated(child, learned)[0].structures == 20
    assert evaluated(child, own)[0].structures == 40


def files(folder):
    return {str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file()}


DONE = {"training.json", "record.json", "metrics.jsonl.gz", "checkpoints/selected.pt"}
SET = LabelledSet(labels="cc", subset="a", size=30)
OWN = Evaluation(labels="cc", subset="t", head="cc", offsets="cc")


def kill(*_, **__):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("place", "name"),
    [
        (StageFolder, "write_record"),
        (StageFolder, "tidy"),
        (mfsweep.store.stage_folder, "pack"),
        (mfsweep.metrics_file, "write_file"),
        (perform_module, "_evaluate"),
    ],
    ids=["before the record", "before last.pt goes", "after last.pt went", "before the rename", "in an evaluation"],
)
def test_a_stage_killed_at_its_end_is_whole_after_the_next_run(go, monkeypatch, place, name):
    with monkeypatch.context() as patch:
        patch.setattr(place, name, kill)
        with pytest.raises(KeyboardInterrupt):
            go(SET, evaluations=(OWN,))
    with monkeypatch.context() as patch:
        patch.setattr(mfsweep.train.loop, "optimise", kill)  # nothing is trained twice
        folder = go(SET, evaluations=(OWN,))
        again = go(SET, evaluations=(OWN,))
    assert files(folder) == DONE | {
        str(path.relative_to(folder.path)) for path in folder.evaluation_paths(OWN.identity())
    }
    steps = [entry.step for entry in entries(folder.metrics) if "train.loss" in entry.metrics]
    assert steps == [1, 2, 3, 4]
    assert again.record() == folder.record()


def test_evaluations_are_of_full_precision_whatever_the_process_did_before(go, monkeypatch):
    seen, predict = [], perform_module.predict

    def looked_at(*args, **options):
        seen.append(torch.get_float32_matmul_precision())
        return predict(*args, **options)

    monkeypatch.setattr(perform_module, "predict", looked_at)
    torch.set_float32_matmul_precision("high")
    try:
        go(LabelledSet(labels="cc", subset="a", size=20), evaluations=(Evaluation(labels="cc", subset="t"),))
    finally:
        torch.set_float32_matmul_precision("highest")
    assert seen == ["highest"]


def test_a_stage_that_is_only_evaluated_once_more_needs_no_state_to_resume_from(go, monkeypatch):
    folder = go(SET)
    assert files(folder) == DONE
    write_text(folder.checkpoints / "last.pt", "of an earlier version of mfsweep")
    monkeypatch.setattr(mfsweep.train.loop, "optimise", kill)
    go(SET, evaluations=(OWN,))
    assert evaluated(folder, OWN)[0].structures == 40
    assert not folder.last.exists()


def test_weights_damaged_beside_a_state_to_resume_from_are_made_again_from_it(go, store, monkeypatch):
    """A run killed right after the record, or a store of before: nothing is trained twice."""
    with monkeypatch.context() as patch:
        patch.setattr(StageFolder, "tidy", kill)
        with pytest.raises(KeyboardInterrupt):
            go(SET)
    monkeypatch.setattr(mfsweep.train.loop, "optimise", kill)
    (folder,) = store.stages()
    folder.selected.write_bytes(folder.selected.read_bytes()[:-100])
    go(SET)
    assert folder.damaged_weights(folder.record().selected) is None
    assert files(folder) > DONE
    assert folder.is_tidy


def test_a_stopped_stage_keeps_its_state(go):
    folder = go(SET, report=False)
    (usage,) = (file for file in files(folder) if file.startswith("usage/0."))
    assert files(folder) == {"training.json", "metrics.jsonl", "checkpoints/last.pt", usage}
    assert files(go(SET)) == DONE


def test_a_full_disk_after_the_record_fails_nothing(go, monkeypatch, caplog):
    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(mfsweep.store.stage_folder, "pack", full)
        folder = go(SET, evaluations=(OWN,))
    assert folder.is_done([OWN.identity()])
    assert "No space left" in caplog.text
    assert folder.metrics.exists()
    go(SET, evaluations=(OWN,))
    assert not folder.metrics.exists()


def test_a_stage_starts_from_a_file_if_it_is_the_one_of_the_plan(go):
    selected = go(LabelledSet(labels="dft", subset="b", size=40)).selected
    child = go(LabelledSet(labels="cc", subset="a", size=20), file=digest(selected), parent_file=str(selected))
    assert child.record().parent is None
    with pytest.raises(DataError, match=r"selected\.pt: expected .* which the sweep was planned with"):
        go(LabelledSet(labels="cc", subset="a", size=20), file="0" * 64, parent_file=str(selected))


SCORED = """\
name: scored
data:
  source: own.h5
  labels: {cc: {energy: cc.energy}, xtb: {energy: xtb.energy}}
  splits: {a: {size: 60, validation: 20, needs: [cc]}, t: {size: 40, needs: [cc]}}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}
stages: {direct: {train: [{labels: cc, subset: a, size: 30}], max_steps: 2, validate_every: 2}}
result: direct
evaluate: [{labels: xtb, subset: t, head: cc, offsets: xtb}]
resources: {workers: 1, gpus_per_worker: 0}
"""


def test_labels_corrected_under_their_name_are_scored_again(path, data, store, tmp_path):
    """Nothing trains on xtb and no subset needs it: the stage stays, its score against the old labels does not."""
    own = tmp_path / "own.h5"
    import_files([path], own, Rules({name: data.labels[name] for name in ("cc", "xtb")}))
    (tmp_path / "spec.yaml").write_text(SCORED)

    def planned():
        plan = prepare(tmp_path / "spec.yaml", store.root)
        (node,) = plan.graph.nodes.values()
        return plan, node, _job(plan, node)

    _, node, job = planned()
    assert perform(job, World.alone(), lambda _: True)
    (old,) = node.evaluations
    structures = open_view(job.paths, job.data).structures
    energy = structures.labels["xtb"].energy + np.random.default_rng(0).normal(size=len(structures.formula))
    labelling = Labelling(np.ones(len(energy), np.float32), {}, {})
    add_labels(own, "xtb", NewLabels(energy, None, labelling), replace=True)

    plan, node, after = planned()
    assert after.training.key == job.training.key, "nothing is trained again"
    assert not plan.done
    record = job.folder.record()
    assert perform(after, World.alone(), lambda _: True)
    assert job.folder.record() == record
    (new,) = node.evaluations
    assert planned()[0].done
    errors = [job.folder.evaluation(own.identity()).metrics["energy_mae"] for own in (old, new)]
    assert errors[0] != errors[1]
    assert new.name == old.name
    stale = job.model_copy(update={"evaluations": (old.but(labels="xtb", offsets="cc"),)})
    with pytest.raises(DataError, match=r"own\.h5: the labels xtb: expected .* which the sweep was planned with"):
        perform(stale, World.alone(), lambda _: True)


def test_records_and_scores_hold_what_they_were_made_with(go):
    test = Evaluation(labels="cc", subset="t", head="cc", offsets="cc")
    folder = go(LabelledSet(labels="cc", subset="a", size=20), evaluations=(test,), gpus=0.25)
    record, score = folder.record(), folder.evaluation(test.identity())
    assert record.device_share == 0.25
    (own,) = record.machines
    assert own == score.machine == machine(torch.device("cpu"))
    assert record.versions == score.versions
    assert {"python", "torch", "e3nn", "numpy", "mfsweep"} <= record.versions.keys()
