"""From a store to a file, as a user asks for it; and what a passport says."""

from __future__ import annotations

import json
import zipfile

import numpy as np
import performed
import pytest
from click.testing import CliRunner

from mfsweep.cli.main import cli
from mfsweep.errors import StoreError
from mfsweep.export.measured import best, scores
from mfsweep.passport import Passport, read_passport
from mfsweep.records import CellRecord, Record
from mfsweep.store import StoreFolder
from mfsweep.train.predictor import load_model

pytestmark = pytest.mark.filterwarnings("ignore")


def run(*args: object) -> str:
    return CliRunner().invoke(cli, [str(one) for one in args], catch_exceptions=False).stdout


def test_a_stage_is_exported_and_shown(tmp_path):
    folder, path = performed.stage("a difference"), tmp_path / "model.pt"
    said = run("export", folder.key[:8], "--store", performed.store().root, "--format", "ase", "--out", path, "--licence", "CC0-1.0")  # fmt: skip
    assert "the head cc-dft predicts a difference: add the energies and forces of dft" in said
    found = run("show", path)
    assert folder.key in found
    assert "CC0-1.0" in found
    assert "60 cc-dft of a; 4 steps" in found
    assert load_model(path).minus == "dft"
    assert "licence" in run("show", folder.key[:8], "--store", performed.store().root)
    passport = Passport.model_validate_json(run("show", path, "--json"))
    assert passport == read_passport(path)
    assert passport.training == folder.record().training
    (evaluation,) = [one for _, one in folder.every_evaluation()]
    score = passport.metrics["test.cc@cc-dft.energy_mae"]
    assert score.value == evaluation.metrics["energy_mae"]
    assert (score.structures, score.unit, score.replicates) == (20, "meV/atom", 1)


def test_a_file_without_a_passport_says_so(tmp_path):
    (tmp_path / "foreign.model").write_bytes(b"PK\x03\x04 no archive")
    with pytest.raises(StoreError, match="has no passport, in it or beside it"):
        run("show", tmp_path / "foreign.model")


def test_a_passport_that_is_none_is_one_clear_error(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.model", "w") as archive:
        archive.writestr("archive/extra/passport.json", '{"stage": 1}')
    with pytest.raises(StoreError, match=r"x\.model: its passport cannot be read"):
        run("show", tmp_path / "x.model")


@pytest.fixture
def copies(tmp_path):
    """A store of records: one setting with three seeds, and a stage of other data."""
    store = StoreFolder(tmp_path / "copies")
    store.prepare()
    original = performed.stage("two heads").record()
    for number, (seed, error, digest) in enumerate([(0, 10.0, "x"), (1, 12.0, "x"), (2, 14.0, "x"), (0, 1.0, "y")]):
        training = json.loads(json.dumps(original.training))
        training["seed"], training["data"]["digest"] = seed, digest
        key = f"{number}" * 20
        fields = original.model_dump(mode="json") | {"key": key, "training": training}
        fields["metrics"] = original.metrics | {"validation.cc.energy_mae": error}
        store.stage(key).write_record(Record.model_validate(fields))
    return store


def test_replicates_give_an_interval(copies):
    folder = copies.stage("1" * 20)
    found = scores(copies, folder, folder.record())["validation.cc.energy_mae"]
    assert (found.value, found.mean, found.replicates) == (12.0, 12.0, 3)
    half = 4.302652729911275 * 2 / np.sqrt(3)  # Student's t of two degrees of freedom
    assert (found.low, found.high) == pytest.approx((12 - half, 12 + half))
    assert found.replicate == "3 seeds of one partition"


def test_the_best_stage_is_chosen_among_what_can_be_compared(copies):
    with pytest.raises(StoreError, match="2 different data sets or splits"):
        best(copies, "validation.cc.energy_mae")
    cells = [
        CellRecord(values={"seed": seed}, stages={"train": key * 20}, result="train", sizes={}, evaluations={})
        for seed, key in enumerate("012")
    ]
    found = best(copies, "validation.cc.energy_mae", cells)
    assert found.folder.key == "0" * 20
    assert found.said == "the lowest validation.cc.energy_mae (10 meV/atom) of 3 stages"
    with pytest.raises(StoreError, match=r"no trained stage of .* has this error.*Did you mean"):
        best(copies, "validation.cc.energy_mea")


def test_the_best_stage_is_found_by_the_name_that_a_spec_and_a_frame_have(copies):
    copies.sweep("small").write_cells(
        [
            CellRecord(values={}, stages={"first": a * 20, "last": b * 20}, result="last", sizes={}, evaluations={})
            for a, b in ("01", "02")
        ]
    )
    found = best(copies, "result.validation.cc.energy_mae")
    assert (found.folder.key, found.said[:42]) == ("1" * 20, "the lowest result.validation.cc.energy_mae")
    assert best(copies, "last.validation.cc.energy_mae").folder.key == "1" * 20
    assert best(copies, "first.validation.cc.energy_mae").folder.key == "0" * 20
    with pytest.raises(StoreError, match=r"no cell has a stage 'lst': there are first, last, result\. Did you mean"):
        best(copies, "lst.validation.cc.energy_mae")
    with pytest.raises(StoreError, match=r"Did you mean 'result\.validation\.cc\.energy_mae'"):
        best(copies, "result.validation.xx.energy_mae")
