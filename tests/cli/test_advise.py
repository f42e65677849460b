"""`mfsweep advise` prints what it found and where the spec is, and leaves alone what is there."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import pytest
from synthetic import write

SEARCH = Path(__file__).parents[2] / "search_spaces" / "alpha_search.yaml"


@pytest.fixture
def advise(called_in_folder, tmp_path):
    write(tmp_path / "own set.h5", 300, formulae=40, cc_share=0.6)
    return functools.partial(called_in_folder, "advise")


def test_it_writes_a_spec_and_a_second_run_leaves_it(advise, tmp_path):
    code, out, err = advise("own set.h5")
    assert code == 0, err
    assert "Target cc, auxiliary method dft" in out
    assert "Next: mfsweep plan own-set.yaml" in out
    (tmp_path / "own-set.yaml").write_text("mine")
    code, out, err = advise("own set.h5")
    assert code == 0, err
    assert "own-set.yaml is there already" in out
    assert (tmp_path / "own-set.yaml").read_text() == "mine"
    code, _, err = advise("own set.h5", "-o", "own-set.yaml")
    assert (code, "is there already" in err) == (2, True)


def test_a_method_without_a_cost_is_named(advise):
    code, out, err = advise("own set.h5", "--label-cost", "cc=2")
    assert code == 0, err
    assert "no cost of a dft label is known (--label-cost METHOD=COST)" in out


def test_of_a_search_without_cells_nothing_is_said_of_partitions_and_costs(advise):
    code, out, err = advise(str(SEARCH))
    assert code == 0, err
    assert "Its search has proposed no cell yet" in out
    assert "partition" not in out


def test_json_has_everything(advise, tmp_path):
    code, out, err = advise("own set.h5", "--json", "-o", "first.yaml", "--target", "dft")
    assert code == 0, err
    found = json.loads(out)
    assert (found["target"], found["auxiliary"], found["spec"]) == ("dft", "cc", "first.yaml")
    assert found["alignment"][0]["method"] == "cc"
    assert found["cost"]["shared"]["stages"] > 5
    assert (tmp_path / "first.yaml").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["nothing.h5"], "nothing.h5"),
        (["own set.h5", "--target", "ccx"], "no label method 'ccx'"),
        (["own set.h5", "--label-cost", "c=1"], "has no such label method: there are cc, dft. Did you mean 'cc'?"),
        (["nothing.yaml"], "nothing.yaml"),
        (["nothing.yaml", "-o", "x.yaml"], "SOURCE is a spec already"),
        (["bundled:mini-anni"], "mini-ani"),
    ],
)
def test_a_mistake_is_a_sentence_and_exit_code_2(advise, args, says):
    code, out, err = advise(*args)
    assert (code, out) == (2, "")
    assert says in err
    assert "Traceback" not in err
