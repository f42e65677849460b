"""`mfsweep init` writes a spec that can be planned and trained as it is; `mfsweep schema` prints JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import ase.io
import h5py
import jsonschema
import numpy as np
import pytest
from ase.calculators.singlepoint import SinglePointCalculator
from springs import frames
from synthetic import CC, write

from mfsweep.prepare import prepare
from mfsweep.spec.ready import ready
from mfsweep.spec.yaml12 import parse


@pytest.fixture
def mfsweep(called_in_folder):
    return called_in_folder


def test_the_spec_of_the_bundled_data_is_a_plan_without_warnings_of_ours(mfsweep, tmp_path):
    code, out, err = mfsweep("init", "bundled:mini-ccx", "-o", "first.yaml")
    assert code == 0, err
    assert "target cc, auxiliary method" in out
    text = (tmp_path / "first.yaml").read_text()
    plan = prepare(tmp_path / "first.yaml", tmp_path / "store")
    assert set(plan.spec.experiment.stages) == {"pretrain", "finetune"}
    assert plan.spec.experiment.fits
    assert not [warning for warning in plan.warnings if "fits." in warning or "one structure" in warning]
    assert text.count("#") > 15, "it is commented"
    jsonschema.validate(parse(text).tree, json.loads(mfsweep("schema")[1]))


def test_a_ready_spec_is_written_as_it_is_unless_a_file_is_called_so(mfsweep, tmp_path):
    code, out, err = mfsweep("init", "quickstart")
    assert code == 0, err
    assert "Next: mfsweep plan quickstart.yaml" in out
    assert (tmp_path / "quickstart.yaml").read_text() == ready()["quickstart"].read_text()
    assert mfsweep("init", "mini/fig3", "-o", "own.yaml")[0] == 0
    code, _, err = mfsweep("init", "quickstart")
    assert (code, "is there already" in err) == (2, True)


@pytest.mark.parametrize("share", [0.1, 0.9])
def test_the_spec_of_a_file_at_hand_fits_it(mfsweep, tmp_path, share):
    (tmp_path / "data").mkdir()
    write(tmp_path / "data" / "own set.h5", 600, formulae=60, cc_share=share)
    code, _, err = mfsweep("init", "data/own set.h5")
    assert code == 0, err
    plan = prepare(tmp_path / "own-set.yaml", tmp_path / "store")
    experiment = plan.spec.experiment
    assert (experiment.name, experiment.data.source) == ("own-set", "data/own set.h5")
    assert plan.graph.cells[0].cell.evaluations[0].labels == "cc"


@pytest.mark.parametrize("shared", [False, True], ids=["formulae of its own", "the same formulae"])
def test_methods_on_different_structures_get_a_spec_that_asks_for_no_structure_with_both(mfsweep, tmp_path, shared):
    write(tmp_path / "own.h5", 600, formulae=60, cc_share=1.0)
    with h5py.File(tmp_path / "own.h5", "r+") as file:
        for number, group in enumerate(file.values()):
            conformers = len(group["coordinates"])
            has_cc = np.arange(conformers) % 2 == 0 if shared else np.full(conformers, number % 2 == 0)
            for key in group:
                if key.endswith((".energy", ".forces")):
                    values = group[key][()]
                    values[has_cc != key.startswith(CC)] = np.nan
                    group[key][...] = values
    code, out, err = mfsweep("init", "own.h5", "--target", "cc")
    assert code == 0, err
    assert "cc and dft are mostly on different structures" in out
    plan = prepare(tmp_path / "own.yaml", tmp_path / "store")
    splits = plan.spec.experiment.data.splits
    assert [getattr(splits, name).needs for name in "atb"] == [("cc",), ("cc",), ("dft",)]
    sizes = {node.name: node.training.sets[0].size for node in plan.graph.nodes.values()}
    assert sizes["pretrain"] > sizes["finetune"] > 4


@pytest.mark.parametrize("name", ["own.xyz", "own.xyz.gz", "own.traj", "own.db"])
def test_a_file_that_is_no_data_set_yet_gets_a_spec_that_imports_it(mfsweep, tmp_path, name):
    made = frames(60)
    for atoms in made:
        if not name.endswith(("xyz", "gz")):
            atoms.calc = SinglePointCalculator(
                atoms, energy=atoms.info.pop("REF_energy"), forces=atoms.arrays.pop("REF_forces")
            )
    ase.io.write(tmp_path / name, made)
    code, out, err = mfsweep("init", name, "-o", "first.yaml")
    assert code == 0, err
    assert "auxiliary method none" in out
    assert len(prepare(tmp_path / "first.yaml", tmp_path / "store").graph.nodes) > 1


def test_a_file_that_only_an_import_can_read_is_refused_with_the_command(mfsweep, tmp_path):
    made = frames(60)
    for number, atoms in enumerate(made):
        atoms.info["head"] = ("cc", "dft")[number % 2]
    ase.io.write(tmp_path / "own.xyz", made)
    code, _, err = mfsweep("init", "own.xyz")
    assert code == 2
    command = next(line for line in err.splitlines() if "mfsweep data import" in line)
    assert "--method-column head" in command
    assert not list(tmp_path.glob("*.yaml"))


def test_one_method_alone_is_a_curve_of_sizes(mfsweep, tmp_path):
    write(tmp_path / "all.h5", 400, formulae=40)
    code, out, err = mfsweep("init", "all.h5", "--target", "dft")
    assert code == 0, err
    assert "target dft" in out


def test_what_is_there_is_not_written_over(mfsweep, tmp_path):
    (tmp_path / "mini-ccx.yaml").write_text("mine")
    code, _, err = mfsweep("init", "bundled:mini-ccx")
    assert (code, (tmp_path / "mini-ccx.yaml").read_text()) == (2, "mine")
    assert "is there already" in err


def test_data_that_no_partition_fits_are_refused_with_the_numbers(mfsweep, tmp_path):
    write(tmp_path / "few.h5", 12, formulae=3, cc_share=0.5)
    code, _, err = mfsweep("init", "few.h5")
    assert code == 2
    assert "no partition was found" in err
    assert not list(tmp_path.glob("*.yaml")) + list(tmp_path.glob(".*.yaml*"))


@pytest.mark.cluster
@pytest.mark.slow
def test_the_spec_trains_as_it_is(mfsweep, tmp_path):
    assert mfsweep("init", "bundled:mini-ccx", "-o", "first.yaml")[0] == 0
    command = [Path(sys.executable).with_name("mfsweep"), "run", "first.yaml", "--smoke", "--store", "store"]
    done = subprocess.run(command, cwd=tmp_path, env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 failed; nothing was kept" in done.stdout
