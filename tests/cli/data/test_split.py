from __future__ import annotations

import functools
import json

import numpy as np
import pytest
import yaml

from mfsweep.data.dataset import Chunk, Writer
from mfsweep.data.splits import partition
from mfsweep.data.survey.opening import open_file
from mfsweep.data.view import open_view
from mfsweep.spec.data import ResolvedData, Splits

MINI = "bundled:mini-ccx"
CC = "cc=ccsd(t)_631gd.energy"


@pytest.fixture
def split(called):
    """Give a function that runs the command; it returns exit code, output and errors."""
    return functools.partial(called, "data", "split")


@pytest.fixture
def crystals(tmp_path):
    """Write a data set of ten families of three structures, where one geometry is in two families."""
    rng = np.random.default_rng(0)
    positions = rng.normal(size=(30, 4, 3))
    positions[29] = positions[0]
    chunk = Chunk(
        sizes=np.full(30, 4),
        species=np.tile(np.array([29, 29, 79, 79], np.uint8), 30),
        positions=positions.reshape(-1, 3),
        energies={"emt": rng.normal(size=30)},
        forces={},
        columns={"family": [f"family {number // 3}" for number in range(30)]},
    )
    path = tmp_path / "crystals.h5"
    with Writer(path, energies=["emt"], forces=[], columns=["family"]) as writer:
        writer.add(chunk)
        writer.finish({})
    return path


def test_the_block_makes_in_a_spec_the_partition_that_is_shown(split):
    labels = ["--labels", "cc=ccsd(t)_631gd.energy", "--labels", "dft=wb97x_631gd.energy,wb97x_631gd.forces"]
    sizes = ["--a", 120, "--b", "rest", "--t", 200, "--validation", "a=40", "--validation", "b=80"]
    needs = ["--needs", "a=cc,dft", "--needs", "t=cc", "--needs", "b=dft"]
    code, out, _ = split(MINI, *sizes, *needs, *labels, "--seed", 3)
    assert code == 0
    assert "no geometry is in two parts" in out
    splits = Splits(**yaml.safe_load(out[out.index("splits:") :])["splits"])
    assert (splits.seed, splits.a.validation, splits.t.needs) == (3, 40, ("cc",))
    opened = open_file(MINI, [labels[1], labels[3]])
    made = open_view({"": opened.path}, ResolvedData(digest="0" * 64, labels=opened.labels, splits=splits)).partition
    printed = json.loads(split(MINI, *sizes, *needs, *labels, "--seed", 3, "--json")[1])
    assert Splits(**printed["splits"]) == splits
    for name, members in made.train.items():
        assert printed["parts"][name]["structures"] == len(members)
        assert printed["parts"][name]["atoms"] == opened.structures.sizes[members].sum()


def test_a_geometry_in_two_parts_is_a_leak_and_exit_code_1(split, crystals):
    args = (crystals, "--by", "family", "--a", 15, "--b", "rest", "--seed", 1)
    code, out, _ = split(*args, "--json")
    printed = json.loads(out)
    (leak,) = printed["leaks"]
    assert (code, sorted(leak["parts"]), leak["structures"]) == (1, ["a", "b"], 1)
    assert leak["first"] == [["Au2Cu2, conformer 0 (structure 0)", "Au2Cu2, conformer 29 (structure 29)"]] or (
        leak["first"] == [["Au2Cu2, conformer 29 (structure 29)", "Au2Cu2, conformer 0 (structure 0)"]]
    )
    assert printed["splits"]["by"] == "family"
    assert (printed["parts"]["a"]["structures"], printed["parts"]["a"]["groups"]) == (15, 5)
    code, out, _ = split(*args)
    assert (code, "leak: 1 structure" in out, "by: family" in out) == (1, True, True)


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (
            ["--a", 10, "--by", "famly"],
            "data.splits.by: expected formula, structure or a text column of the data, got 'famly'",
        ),
        (["--a", 10, "--needs", "a=gfn2_xbt"], "Did you mean 'gfn2_xtb'?"),
        (["--a", 10, "--needs", "a=ccsd(t)_631gd"], "--labels 'NAME=ccsd(t)_631gd.energy'"),
        (["--a", 10, "--needs", "gfn2_xtb"], "expected SUBSET=VALUE"),
        (["--a", 10, "--validation", "b=5"], "expected a subset whose size is given (a), got 'b'"),
        (["--a", 10, "--validation", "a=some"], "expected a number of structures, got 'some'"),
        (["--a", "-1"], "--a: expected a number of structures above 0 or `rest`, got '-1'"),
        (["--a", 10**6], "asks for 0 validation and 1000000 training structures"),
        (["--a", 10, "--by", ""], "--by: expected formula, structure or the name of a text column"),
        (["--a", 10, "--seed", 10**22], "is not in the range 0<=x<=9223372036854775807"),
        (["--a", 0], "--a: expected a number of structures above 0"),
        ([], "expected the size of at least one subset"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(split, args, says):
    code, out, err = split(MINI, *args)
    assert (code, out) == (2, "")
    assert says in err


def test_help_has_examples(split):
    code, out, _ = split("--help")
    assert code == 0
    assert out.count("mfsweep data split ") >= 3


def test_folds_are_shown_with_what_they_test_on_and_are_those_of_a_spec(split):
    sizes = ["--a", 100, "--b", "rest", "--t", "rest", "--needs", "t=cc", "--needs", "a=cc", "--needs", "b=cc"]
    code, out, _ = split(MINI, *sizes, "--labels", CC, "--folds", 4, "--json")
    assert code == 0
    found = json.loads(out)
    assert found["in_common"] == []
    assert [fold["fold"] for fold in found["folds"]] == [0, 1, 2, 3]
    data = open_file(MINI, (CC,)).structures
    for fold in found["folds"]:
        made = partition(data, Splits(**{**found["splits"], "fold": fold["fold"]}))
        assert {name: len(own) for name, own in made.train.items()} == {name: fold["parts"][name] for name in "abt"}
        assert fold["test"] == len(made.train["t"]) == sum(fold["tested"].values())


def test_folds_are_a_table_and_a_block_to_paste(split):
    code, out, err = split(MINI, "--a", 60, "--t", "rest", "--folds", 3)
    assert code == 0, err
    assert "no two folds test on a common one" in out
    block = yaml.safe_load(out[out.index("splits:") :])["splits"]
    assert (block["folds"], block["fold"]) == (3, "${fold}")
    assert out.endswith("fold: [0, 1, 2]\n")


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["--a", 10, "--folds", 3], "--folds: expected --t too"),
        (["--a", 10, "--t", "rest", "--folds", 1], "is not in the range x>=2"),
        (["--a", 10, "--t", "rest", "--folds", 1000], "fold "),
    ],
)
def test_folds_that_cannot_be_had_are_said_so(split, args, says):
    code, _, err = split(MINI, *args)
    assert code == 2
    assert says in err
