"""What comes with the package: files of known content, each with its page, small enough to install."""

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


@pytest.fixture(scope="module")
def mini_ani():
    path = next(one.path for one in bundles() if one.name == "mini-ani")
    return read({"": path}, MINI_ANI)


def test_every_bundled_set_has_a_file_and_a_page_and_all_files_are_listed():
    assert {one.path for one in bundles()} == set(bundles()[0].path.parent.glob("*.h5"))
    for one in bundles():
        assert one.page.read_text().startswith(f"# {one.name}: ")
        assert f"{counts(one.path).structures:,}" in one.page.read_text()


def test_they_leave_room_for_the_package_below_ten_megabytes():
    package = Path(__file__).parents[2] / "mfsweep"
    files = (path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    assert sum(path.stat().st_size for path in files) < 10e6


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
