"""From a store to a file, as a user asks for it; and what a passport says."""

from __future__ import annotations

import json
import math
import shutil
import zipfile

import numpy as np
import performed
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.cli.main import cli
from mfsweep.errors import StoreError
from mfsweep.export.measured import best, scores
from mfsweep.fingerprint import fingerprint
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


METRIC = "validation.cc.energy_mae"


def write(store, key, error, *, seed=0, digest="x", splits=None, recipe=None):
    """Write a record like that of a trained stage, with another error and other seeds."""
    original = performed.stage("two heads").record()
    training = json.loads(json.dumps(original.training))
    training["seed"], training["data"]["digest"] = seed, digest
    training["data"]["splits"] |= splits or {}
    training["recipe"] |= recipe or {}
    fields = original.model_dump(mode="json") | {"key": key, "training": training}
    fields["metrics"] = original.metrics | {METRIC: error}
    store.stage(key).write_record(Record.model_validate(fields))


@pytest.fixture
def folds(tmp_path):
    """Give a function that makes a store of {setting: {(fold or split seed, seed): error}}."""

    def make(settings, *, folded=True):
        store = StoreFolder(tmp_path / "folds")
        store.prepare()
        for setting, errors in settings.items():
            for (split, seed), error in errors.items():
                splits = {"folds": 5, "fold": split} if folded else {"seed": split}
                key = fingerprint([setting, split, seed])
                write(store, key, error, seed=seed, splits=splits, recipe={"max_steps": 1 + setting})
        return store, {
            fingerprint([setting, *one]): (setting, *one) for setting, errors in settings.items() for one in errors
        }

    return make


@pytest.fixture
def copies(tmp_path):
    """A store of records: one setting with three seeds, and a stage of other data."""
    store = StoreFolder(tmp_path / "copies")
    store.prepare()
    for number, (seed, error, digest) in enumerate([(0, 10.0, "x"), (1, 12.0, "x"), (2, 14.0, "x"), (0, 1.0, "y")]):
        write(store, f"{number}" * 20, error, seed=seed, digest=digest)
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


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    easy=st.lists(st.floats(-2, 2), min_size=2, max_size=4),
    quality=st.lists(st.floats(1.1, 1.5), min_size=2, max_size=4),
    seeds=st.integers(1, 2),
    folded=st.booleans(),
)
def test_no_setting_is_the_best_by_an_easy_partition(folds, tmp_path, easy, quality, seeds, folded):
    shutil.rmtree(tmp_path / "folds", ignore_errors=True)
    ratios = np.cumprod(quality).tolist()
    # The best setting is 1 % better in each partition; the others have one more training on an easier one each.
    made = {
        place: {(split, seed): 10 * ratio * math.exp(own) for split, own in enumerate(easy) for seed in range(seeds)}
        for place, ratio in enumerate(ratios)
    }
    for place in range(1, len(ratios)):
        made[place][len(easy) + place - 1, 0] = 1e-3
    store, named = folds(made, folded=folded)
    found = best(store, METRIC)
    setting, split, _ = named[found.key]
    assert setting == 0
    mean = 10 * ratios[0] * math.exp(np.mean(easy))
    distances = [abs(10 * ratios[0] * math.exp(own) - mean) for own in easy]
    assert distances[split] == pytest.approx(min(distances))
    over = f"{len(easy)} folds" if folded else f"{len(easy)} partitions of one pool"
    assert found.said.startswith(
        f"the lowest mean {METRIC} over {over} ({mean:.4g} meV/atom) of {len(ratios)} settings; "
        "of its trainings the one nearest to that mean ("
    )


def test_a_setting_that_lacks_a_fold_is_left_out_and_counted(folds):
    whole = {(fold, 0): 10.0 + fold for fold in range(5)}
    store, named = folds({0: whole, 1: {one: 0.9 * error for one, error in whole.items()}, 2: {(0, 0): 1.0}})
    found = best(store, METRIC)
    assert named[found.key][0] == 1
    assert "over 5 folds (10.72 meV/atom) of 2 settings;" in found.said
    assert found.said.endswith(". Left out: 1 setting without all of these partitions")


def test_of_several_seeds_on_one_partition_the_lowest_of_the_best_mean_is_taken(folds):
    store, named = folds({0: {(0, 0): 8.0, (0, 1): 32.0}, 1: {(0, 0): 9.0, (0, 1): 16.0}}, folded=False)
    found = best(store, METRIC)
    assert named[found.key] == (1, 0, 0)
    assert found.said == (
        f"the lowest mean {METRIC} over 2 seeds of one partition (12 meV/atom) of 2 settings; of its trainings the one "
        "with the lowest error (9 meV/atom)"
    )


def test_settings_without_a_common_partition_are_not_compared(folds):
    store, _ = folds({0: {(0, 0): 8.0}, 1: {(1, 0): 9.0}})
    with pytest.raises(StoreError, match="no two of 2 settings have this error on one partition"):
        best(store, METRIC)
