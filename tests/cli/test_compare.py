"""`mfsweep compare` prints tables, JSON and files, and a mistake is a sentence with exit code 2."""

from __future__ import annotations

import csv
import io
import json

import pytest
import strategies

from mfsweep.cli.main import main


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("compare")
    strategies.trained(folder, ("fold: [0, 1, 2, 3]", "fold: [0, 1]"), ("[20, 80]", "[20]"))
    return folder


@pytest.fixture
def compare(place, called):
    def run(*args, spec="strategies.yaml"):
        return called("compare", place / spec, "--store", place / "store", *args)

    return run


def test_the_same_numbers_are_printed_and_are_in_json_and_csv(compare):
    code, printed, err = compare()
    assert code == 0, err
    assert "equal labels: 20 cc + 20 dft labels" in printed
    assert "delta needs dft for every structure that is predicted, too." in printed
    found = json.loads(compare("--json")[1])
    assert (found["y"], found["by"], found["against"]) == ("result.test.cc.energy_mae", "strategy", "direct")
    rows = {row["strategy"]: row for row in found["blocks"][0]["rows"]}
    table = csv.DictReader(io.StringIO(compare("--format", "csv")[1]))
    assert {row["strategy"]: float(row["error"]) for row in table} == {
        name: pytest.approx(row["error"]) for name, row in rows.items()
    }
    assert f"{rows['delta']['ratio']['estimate']:.2f}" in printed


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--by", "sise"], "Did you mean 'size'"),
        (["--label-cost", "cc"], "expected METHOD=COST"),
        (["--label-cost", "cc=-1"], "expected METHOD=COST"),
        (["--label-cost", "cc=1"], "none for dft"),
        (["--json", "--format", "csv"], "not both"),
        (["-y", "result.test.cc.energy"], "is not the path of a metric"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(compare, args, says):
    code, out, err = compare(*args)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err


def test_a_store_that_is_not_there_is_told(place, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["compare", str(place / "strategies.yaml"), "--store", str(place / "nowhere")])
    assert ended.value.code == 2
    assert "mfsweep run` makes a store" in capsys.readouterr().err
