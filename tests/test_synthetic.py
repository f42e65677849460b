"""The generator of test data makes what it says."""

from __future__ import annotations

import h5py
import numpy as np
import pytest
import synthetic

from mfsweep.data.structures import hill_formula


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    made = tmp_path_factory.mktemp("synthetic") / "ani.h5"
    synthetic.write(made, 2000, formulae=100, cc_share=0.5)
    return made


def test_file_has_the_structures_asked_for_and_the_sizes_of_ani1ccx(path):
    with h5py.File(path) as file:
        conformers = np.array([len(group["coordinates"]) for group in file.values()])
        sizes = np.array([len(group["atomic_numbers"]) for group in file.values()])
        formulae = {hill_formula(group["atomic_numbers"][()]) for group in file.values()}
    assert conformers.sum() == 2000
    assert len(formulae) == len(sizes) == 100
    assert 12 < (conformers * sizes).sum() / 2000 < 16
    assert conformers.max() > 5 * np.median(conformers)


def test_same_seed_makes_the_same_file(path, tmp_path):
    synthetic.write(tmp_path / "again.h5", 2000, formulae=100, cc_share=0.5)
    with h5py.File(path) as one, h5py.File(tmp_path / "again.h5") as two:
        for name, group in one.items():
            for key, values in group.items():
                np.testing.assert_array_equal(values[()], two[name][key][()])


def test_atoms_keep_their_distance_and_shells_are_closed(path):
    with h5py.File(path) as file:
        for group in file.values():
            assert group["atomic_numbers"][()].sum() % 2 == 0
            positions = group["coordinates"][:5].astype(np.float64)
            apart = np.linalg.norm(positions[:, :, None] - positions[:, None], axis=-1) + 9 * np.eye(positions.shape[1])
            assert 0.7 < apart.min() < 1.6


def test_forces_are_the_energys_own():
    rng = np.random.default_rng(0)
    positions = rng.normal(scale=1.5, size=(1, 5, 3))
    _, slope = synthetic.pair_energy(positions)
    step = np.zeros_like(positions)
    step[0, 2, 1] = 1e-4
    ahead, behind = synthetic.pair_energy(positions + step)[0], synthetic.pair_energy(positions - step)[0]
    assert slope[0, 2, 1] == pytest.approx((ahead - behind)[0] / 2e-4, rel=1e-5)


def test_share_of_structures_has_cc(path):
    with h5py.File(path) as file:
        cc = np.concatenate([group["ccsd(t)_cbs.energy"][()] for group in file.values()])
        dft = np.concatenate([group["wb97x_dz.energy"][()] for group in file.values()])
    assert 0.45 < np.isnan(cc).mean() < 0.55
    assert not np.isnan(dft).any()
