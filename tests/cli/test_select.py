"""`mfsweep select` and `mfsweep data add`, as they are typed."""

from __future__ import annotations

import json

import pytest
from performed import stage, store

from mfsweep.export.measured import measured

METRIC = "validation.cc.energy_mae"


@pytest.fixture
def run(called_in_folder):
    """Give a function that runs a command in an empty folder; it returns exit code, output and errors."""

    def command(*args):
        code, out, err = called_in_folder(*args)
        return code, out, " ".join(err.split())

    return command


def test_a_choice_is_printed_written_and_labelled_by_what_it_says(run, tmp_path):
    key = stage("two heads").key
    asked = ["select", "bundled:mini-ccx", "--method", "cc", "--n", 7, "--by", key[:9], "--how", "random"]
    code, out, err = run(*asked, "--among", "--store", store().root)
    assert (code, err) == (0, "")
    assert "structures stay out, of the test set" in out
    stem = f"select-cc-{key[:8]}"
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"{stem}.{end}" for end in ("csv", "h5", "json", "xyz")]
    assert "mfsweep data label" not in out, "these have their labels"
    code, _, err = run(*asked, "--store", store().root)
    assert code == 2
    assert f"{stem}.csv exists" in err
    code, out, _ = run(*asked, "--among", "--store", store().root, "--overwrite", "--json", "--out", "other")
    assert code == 0
    assert [row["index"] for row in json.loads(out)["structures"]] == [
        row["index"] for row in json.loads((tmp_path / f"{stem}.json").read_text())["structures"]
    ]
    code, out, _ = run("data", "add", "other.h5", f"{stem}.h5", "--labels", "ccsd(t)_631gd", "--as", "cc_2")
    assert code == 2, "they are the same labels"
    code, out, _ = run("data", "info", "other.h5", "--json")
    assert (code, json.loads(out)["structures"]) == (0, 7)


def test_the_best_stage_of_a_store_can_choose(run, tmp_path):
    stage("two heads")
    asked = ["select", "bundled:mini-ccx", "--method", "cc", "--n", 2, "--how", "random", "--among", "--json"]
    code, out, err = run(*asked, "--best", METRIC, "--store", store().root, "--out", "best")
    assert (code, err) == (0, "")
    errors = {
        folder.key: measured(folder, folder.record()).get(METRIC) for folder in store().stages() if folder.record()
    }
    least = min((found.value, key) for key, found in errors.items() if found)
    assert json.loads(out)["stage"] == least[1]


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--by", "zzz"], "no stage of"),
        ([], "--by STAGE or --best METRIC"),
        (["--by", "STAGE", "--best", METRIC], "and not both"),
        (["--best", "test.ccc.energy_mae"], "no trained stage of"),
        (["--by", "STAGE", "--method", "ccc"], "Did you mean 'cc'?"),
        (["--by", "STAGE", "--n", "100000"], "expected at most"),
        (["--by", "STAGE", "--n", "0"], "x>=1"),
        (["--by", "STAGE", "--how", "luck"], "is not one of"),
        (["--by", "STAGE", "--how", "committee"], "a committee needs 2 members"),
        (["--by", "STAGE", "--head", "ccc"], "Did you mean 'cc'?"),
        (["--by", "STAGE", "--method", "gfn2_xtb"], "every structure has gfn2_xtb labels"),
        (["--by", "STAGE", "--spec", "none.yaml"], "none.yaml"),
        (["--by", "STAGE", "--out", "."], "--out .: expected a path that ends in a name, for example select"),
    ],
)
def test_a_mistake_is_a_sentence(run, args, said, tmp_path):
    args = [stage("two heads").key if arg == "STAGE" else arg for arg in args]
    code, _, err = run("select", "bundled:mini-ccx", "--method", "cc", "--n", 3, "--store", store().root, *args)
    assert code == 2
    assert said in err
    assert not list(tmp_path.iterdir())
