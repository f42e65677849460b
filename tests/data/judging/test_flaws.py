from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk, molecule
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging.coincident import CLOSE, coincident
from mfsweep.data.judging.flaws import flaws
from mfsweep.data.judging.zeros import filled_in


def chunk_of(frames, forces=None) -> Chunk:
    """Structures of ASE's, with forces of a method `dft`."""
    return Chunk(
        sizes=np.array([len(atoms) for atoms in frames]),
        species=np.concatenate([atoms.numbers for atoms in frames]).astype(np.uint8),
        positions=np.concatenate([atoms.positions for atoms in frames]),
        energies={"dft": np.arange(len(frames), dtype=float)},
        forces={} if forces is None else {"dft": np.concatenate(forces)},
        cell=np.array([atoms.cell.array for atoms in frames]),
        pbc=np.array([atoms.pbc for atoms in frames]),
    )


def nearest(atoms) -> float:
    """Return the smallest distance between two atoms, images counted, by brute force."""
    distances = atoms.get_all_distances(mic=True)
    return float(distances[np.triu_indices(len(atoms), 1)].min())


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 10_000),
    st.lists(
        st.tuples(st.integers(2, 40), st.sampled_from(["none", "all", "slab"]), st.booleans()), min_size=1, max_size=5
    ),
)
def test_atoms_at_one_place_are_found_in_any_cell(seed, kinds):
    rng = np.random.default_rng(seed)
    frames = []
    for number, periodic, planted in kinds:
        atoms = bulk("Cu", "fcc", a=4.0, cubic=True) * (3, 3, 3)
        atoms = atoms[rng.permutation(len(atoms))[:number]]
        atoms.set_cell(atoms.cell.array + rng.normal(scale=0.3, size=(3, 3)), scale_atoms=True)
        atoms.rattle(0.1, rng=rng)
        atoms.pbc = {"none": False, "all": True, "slab": (True, True, False)}[periodic]
        if planted:
            shift = rng.normal(size=3)
            shift *= rng.uniform(0, 0.9 * CLOSE) / np.linalg.norm(shift)
            images = rng.integers(-1, 2, 3) * atoms.pbc @ atoms.cell.array
            atoms.positions[1] = atoms.positions[0] + shift + images
        atoms.positions += rng.integers(-2, 3, (len(atoms), 3)) * atoms.pbc @ atoms.cell.array
        frames.append(atoms)
    expected = [nearest(atoms) < CLOSE for atoms in frames]
    assert coincident(chunk_of(frames)).tolist() == expected
    assert [planted for *_, planted in kinds] == expected


def test_an_atom_and_its_own_image_are_not_at_one_place():
    assert not coincident(chunk_of([bulk("Cu"), bulk("Cu", cubic=True)])).any()


@pytest.mark.parametrize("kind", ["molecules", "crystals"])
@given(seed=st.integers(0, 1000), moved=st.lists(st.booleans(), min_size=2, max_size=6))
@settings(max_examples=25, deadline=None)
def test_zeros_are_forces_only_where_nothing_moves(kind, seed, moved):
    rng = np.random.default_rng(seed)
    frames = []
    for own in moved:
        atoms = molecule("C2H6") if kind == "molecules" else bulk("Cu", cubic=True)
        if own:
            atoms.rattle(0.05, rng=rng)
        if kind == "molecules":
            atoms.rotate(rng.uniform(0, 360), rng.normal(size=3))
            atoms.translate(rng.normal(size=3))
        else:
            atoms.set_cell(atoms.cell * rng.uniform(0.95, 1.05), scale_atoms=True)  # an energy-volume curve
        frames.append(atoms)
    zeros = [np.zeros((len(atoms), 3), np.float32) for atoms in frames]
    found = filled_in(chunk_of(frames, zeros), "dft")
    assert found.any() == any(moved)
    # where a part has forces, only the others are meant
    zeros[0] += 0.1
    assert not filled_in(chunk_of(frames, zeros), "dft")[0]


def test_single_atoms_and_lattices_that_differ_may_have_no_forces():
    frames = [molecule("H"), molecule("H"), bulk("ZnO", "zincblende", a=4.6), bulk("ZnO", "rocksalt", a=4.3)]
    zeros = [np.zeros((len(atoms), 3), np.float32) for atoms in frames]
    assert not filled_in(chunk_of(frames, zeros), "dft").any()


def test_what_is_not_finite_is_one_flaw_of_the_structure():
    frames = [molecule("CH4") for _ in range(3)]
    frames[1].positions[2] = np.nan
    found = {flaw.what: flaw.bad.tolist() for flaw in flaws(chunk_of(frames)) if flaw.bad.any()}
    assert found == {"its positions are not finite": [False, True, False]}
