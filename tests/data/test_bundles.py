"""What comes with the package: files of known content, each with its page, small enough to install."""

import zipfile
from pathlib import Path

import numpy as np
import pytest

from mfsweep.data.ani1x import counts
from mfsweep.data.bundles import bundles
from mfsweep.data.reading import read
from mfsweep.data.units import HARTREE
from mfsweep.spec.data import LabelKeys

MINI_ANI = {
    "cc": LabelKeys(energy="ani1ccx.energy"),
    "dft": LabelKeys(energy="ani1x.energy", forces="ani1x.forces"),
    "xtb": LabelKeys(energy="gfn2_xtb.energy", forces="gfn2_xtb.forces"),
}

MINI_CCX = {
    "cc": LabelKeys(energy="ccsd(t)_631gd.energy"),
    "dft": LabelKeys(energy="wb97x_631gd.energy", forces="wb97x_631gd.forces"),
    "xtb": LabelKeys(energy="gfn2_xtb.energy", forces="gfn2_xtb.forces"),
}


@pytest.fixture(scope="module")
def mini_ani():
    path = next(one.path for one in bundles() if one.name == "mini-ani")
    return read({"": path}, MINI_ANI)


def test_every_bundled_set_has_a_file_and_a_page_and_all_files_are_listed():
    assert {one.path for one in bundles()} == set(bundles()[0].path.parent.glob("*.h5"))
    for one in bundles():
        assert one.page.read_text().startswith(f"# {one.name}: ")
        assert f"{counts(one.path).structures:,}" in one.page.read_text()


def test_they_leave_room_for_the_package_below_ten_megabytes(tmp_path):
    package = Path(__file__).parents[2] / "mfsweep"
    with zipfile.ZipFile(tmp_path / "wheel", "w", zipfile.ZIP_DEFLATED) as wheel:
        for path in package.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                wheel.write(path)
    assert (tmp_path / "wheel").stat().st_size < 10e6


def test_the_second_edition_of_mini_ccx_has_all_of_the_first_and_more_of_the_dear_labels():
    first, second = (read({"": one.path}, MINI_CCX) for one in bundles() if one.name in ("mini-ccx", "mini-ccx-2"))
    for name in ("species", "positions", "formula", "offsets"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name))
    known = {}
    for method, own in first.labels.items():
        other, there = second.labels[method], np.isfinite(own.energy)
        np.testing.assert_array_equal(other.energy[there], own.energy[there])
        known[method] = np.isfinite(other.energy)
        if own.forces is not None:
            with_forces = np.isfinite(own.forces)
            np.testing.assert_array_equal(other.forces[with_forces], own.forces[with_forces])
    assert known["cc"].sum() >= 1500
    assert len(set(second.formula[known["cc"]].tolist())) >= 90
    assert (known["dft"] >= known["cc"]).all()
    assert (known["xtb"] >= known["dft"]).all()


def test_labels_of_the_neural_potentials_are_complete_and_not_rounded(mini_ani):
    assert len(mini_ani.formula) == 8451
    for method in MINI_ANI:
        energy = mini_ani.labels[method].energy
        assert np.isfinite(energy).all()
        if method != "xtb":
            rounded = (energy / HARTREE).astype(np.float32).astype(np.float64) * HARTREE
            assert np.abs(energy - rounded).max() > 1e-4, "float32 of total energies would lose this"


def test_forces_of_the_neural_potential_sum_to_zero_over_a_molecule(mini_ani):
    forces = mini_ani.labels["dft"].forces
    assert forces is not None
    sums = np.add.reduceat(forces.astype(np.float64), mini_ani.offsets[:-1])
    assert np.abs(sums).max() < 1e-3
