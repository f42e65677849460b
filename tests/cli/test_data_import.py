import functools
import json
import shlex
from pathlib import Path

import ase.io
import numpy as np
import pytest
import synthetic
from ase.build import molecule
from ase.calculators.singlepoint import SinglePointCalculator

from mfsweep.data import dataset
from mfsweep.data.fetch import PUBLISHED
from mfsweep.spec.data import LabelKeys
from mfsweep.spec.load import load


@pytest.fixture
def mfsweep(called):
    """Give a function that runs `mfsweep data ...`; it returns exit code, output and errors."""
    return functools.partial(called, "data")


@pytest.fixture
def release(tmp_path):
    path = tmp_path / "ani1x-release.h5"
    synthetic.write(path, 120, formulae=12)
    return path


def test_help_shows_examples(mfsweep):
    for command in ("import", "fetch"):
        code, out, _ = mfsweep(command, "--help")
        assert code == 0
        assert f"mfsweep data {command} " in out.partition("Example")[2]


def test_import_prints_what_came_in_and_what_was_assumed(mfsweep, release, tmp_path):
    store = tmp_path / "own.h5"
    code, out, err = mfsweep("import", release, store, "--needs", "ccsd(t)_cbs")
    assert (code, err) == (0, "")
    count = len(dataset.read(store, {}).formula)
    assert f"{store}: {count} structures" in out
    assert f"{count} (100.0%)" in out
    assert "ani1x-release.h5: energies read as hartree, forces as hartree/Ang, positions as Ang" in out
    assert f"left out: {120 - count} structures that do not carry ccsd(t)_cbs (--needs)" in out


def test_import_prints_json(mfsweep, release, tmp_path):
    code, out, _ = mfsweep("import", release, tmp_path / "own.h5", "--json")
    printed = json.loads(out)
    assert code == 0
    assert printed["dataset"] == str(tmp_path / "own.h5")
    assert (printed["structures"], printed["formulae"]) == (120, 12)
    assert printed["units"] == {"ani1x-release.h5": {"energy": "hartree", "forces": "hartree/Ang", "positions": "Ang"}}


def test_mistake_is_one_message_and_leaves_nothing(mfsweep, release, tmp_path):
    code, out, err = mfsweep("import", release, tmp_path / "own.h5", "--labels", "cc=ccsd(t)_cbs.enrgy")
    assert (code, out) == (2, "")
    assert err.startswith(f"mfsweep: {release}: --labels cc: there is no 'ccsd(t)_cbs.enrgy'. Did you mean")
    assert err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [release]


def test_file_in_atomic_units_is_never_taken_for_electronvolts_silently(mfsweep, tmp_path):
    rng = np.random.default_rng(0)
    frames = []
    for number in range(30):
        atoms = molecule(("H2O", "CH4", "CH3OH")[number % 3])
        atoms.rattle(0.05, rng=rng)
        energy = sum({1: -0.5, 6: -37.8, 8: -75.1}[z] for z in atoms.numbers) + 0.002 * rng.normal()
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=0.03 * rng.normal(size=(len(atoms), 3)))
        frames.append(atoms)
    path, store = tmp_path / "atomic.xyz", tmp_path / "own.h5"
    ase.io.write(path, frames)
    code, _, err = mfsweep("import", path, store, "--labels", "dft")
    assert code == 2
    assert "--unit energy=hartree" in err
    assert "--trust-units" in err
    assert not store.exists()
    assert mfsweep("import", path, store, "--labels", "dft", "--trust-units")[0] == 0
    atomic = "--unit", "energy=hartree", "--unit", "forces=hartree/bohr"
    code, out, _ = mfsweep("import", path, store, "--labels", "dft", "--overwrite", *atomic)
    assert (code, "warning" in out) == (0, False)
    electronvolt = "--unit", "energy=eV", "--unit", "forces=eV/Ang"
    code, out, _ = mfsweep("import", path, store, "--labels", "dft", "--overwrite", *electronvolt)
    assert (code, "warning: " in out and "--unit energy=hartree" in out) == (0, True)


def test_command_that_fetch_prints_imports_ani1ccx(mfsweep, release, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    program, group, *args = shlex.split(PUBLISHED["ani1ccx"].command(release))
    assert (program, group) == ("mfsweep", "data")
    assert mfsweep(*args)[0] == 0
    keys = dataset.methods(tmp_path / "ani1ccx.h5")
    assert keys["ccsd(t)_cbs"].forces is None
    assert keys["wb97x_dz"].forces == "wb97x_dz.forces"
    structures = dataset.read(tmp_path / "ani1ccx.h5", keys)
    assert structures.usable("ccsd(t)_cbs").all()
    assert structures.usable("wb97x_dz").all()
    # With the labels that `mfsweep data label --method gfn2-xtb` adds it is what the specs of the study ask for.
    keys["gfn2_xtb"] = LabelKeys(energy="gfn2_xtb.energy", forces="gfn2_xtb.forces")
    for path in sorted((Path(__file__).parents[2] / "search_spaces" / "paper").glob("*.yaml")):
        data = load(path).experiment.data
        assert data.source == "ani1ccx.h5"
        assert all(asked in keys.values() for asked in data.labels.values()), path


def test_unknown_data_set_is_refused_with_those_there_are(mfsweep):
    code, _, err = mfsweep("fetch", "ani2x")
    assert code == 2
    assert "'ani1ccx'" in err
