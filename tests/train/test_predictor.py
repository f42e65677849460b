"""Whatever a stage's evaluations recorded, its predictor says again."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import performed
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.calculator import PropertyNotImplementedError
from ase.calculators.emt import EMT
from ase.calculators.fd import calculate_numerical_stress

from mfsweep.errors import DataError, StoreError, TrainingError
from mfsweep.store import StageFolder
from mfsweep.train.calculator import StageCalculator, load_calculator
from mfsweep.train.predictor import load_model

CASES = [(kind, one) for kind, asked in performed.STAGES.items() for one in asked["evaluations"]]


@pytest.mark.parametrize(("kind", "evaluation"), CASES, ids=[f"{kind}, {one.name}" for kind, one in CASES])
def test_predictions_are_those_of_the_evaluations(kind, evaluation):
    folder = performed.stage(kind)
    stored = np.load(folder.evaluation_paths(evaluation.identity())[1])
    predictor = load_model(folder.path, evaluation.head, offsets=evaluation.offsets)
    found = predictor.predict(performed.atoms_of(stored["index"]))
    energy, forces = found.energy, np.concatenate(found.forces)
    if evaluation.base:
        assert predictor.minus == evaluation.base
        labels = performed.dataset().structures.labels[evaluation.base]
        energy = energy + labels.energy[stored["index"]]
    np.testing.assert_allclose(energy, stored["energy_predicted"], rtol=0, atol=1e-8)
    if "forces_predicted" in stored:
        np.testing.assert_allclose(forces, stored["forces_predicted"], rtol=0, atol=1e-8)


def test_a_batch_is_its_structures_one_by_one_and_none_is_none():
    predictor = performed.predictor("two heads", "dft")
    atoms = performed.atoms_of(range(5))
    whole = predictor.predict(atoms, max_atoms=12)
    alone = [predictor.predict([one]) for one in atoms]
    np.testing.assert_allclose(whole.energy, [one.energy[0] for one in alone], rtol=0, atol=1e-9)
    for together, one in zip(whole.forces, alone, strict=True):
        np.testing.assert_allclose(together, one.forces[0], atol=1e-10)
    nothing = predictor.predict([])
    assert len(nothing.energy) == len(nothing.forces) == 0
    assert predictor.predict(atoms, forces=False).forces is None


def test_what_cannot_be_predicted_is_said():
    folder = performed.stage("two heads")
    with pytest.raises(TrainingError, match="has the heads cc, dft: expected the name of one of them, got 'dtf'"):
        load_model(folder.path, "dtf")
    with pytest.raises(DataError, match="has the energy offsets of cc, dft"):
        load_model(folder.path, "cc", offsets="xtb")
    predictor = load_model(folder.path, "cc")
    with pytest.raises(DataError, match="knows the elements H, C, N, O, and these structures have S too"):
        predictor.predict([molecule("H2O"), molecule("SH2")])
    with pytest.raises(DataError, match=r"for H2 \(structure 1\) is not finite"):
        predictor.predict([molecule("H2O"), Atoms("H2", np.zeros((2, 3)))])
    with pytest.raises(StoreError, match="no stage that is trained to its end"):
        load_model(folder.path.parent)


@pytest.mark.parametrize("place", range(3))
def test_what_is_not_finite_leaves_the_others_as_they_are(place):
    predictor = performed.predictor("two heads", "dft")
    others = [molecule("H2O"), molecule("CH4")]
    atoms = [*others[:place], Atoms("H2", np.zeros((2, 3))), *others[place:]]
    found, expected = predictor.compute(atoms), predictor.compute(others)
    assert np.flatnonzero(~np.isfinite(found.energy)).tolist() == [place]
    np.testing.assert_allclose(np.delete(found.energy, place), expected.energy, rtol=0, atol=1e-8)
    del found.forces[place]
    for own, other in zip(found.forces, expected.forces, strict=True):
        np.testing.assert_allclose(own, other, rtol=0, atol=1e-8)
    with pytest.raises(DataError, match=rf"for H2 \(structure {place}\) is not finite"):
        predictor.predict(atoms)


def test_weights_that_are_not_those_of_the_record_are_refused(tmp_path):
    import shutil

    folder = performed.stage("two heads")
    copy = StageFolder(tmp_path / folder.key)
    shutil.copytree(folder.path, copy.path)
    copy.selected.write_bytes(copy.selected.read_bytes() + b"x")
    with pytest.raises(StoreError, match="cannot be used"):
        load_model(copy.path, "cc")


def test_the_calculator_gives_what_ase_asks_for():
    calculator = load_calculator(performed.stage("two heads").path, "dft")
    atoms = molecule("CH3OH")
    atoms.calc = calculator
    found = calculator.predictor.predict([atoms])
    assert atoms.get_potential_energy() == pytest.approx(found.energy[0], abs=1e-9)
    assert atoms.get_potential_energy(force_consistent=True) == atoms.get_potential_energy()
    np.testing.assert_allclose(atoms.get_forces(), found.forces[0], atol=1e-10)
    with pytest.raises(PropertyNotImplementedError):
        atoms.get_stress()


def test_the_stress_of_a_crystal_is_the_slope_of_its_energy():
    crystal = bulk("C", "diamond", a=3.4, cubic=True)
    crystal.rattle(0.05, seed=1)
    crystal.set_cell(crystal.cell @ (np.eye(3) + 0.05 * np.random.default_rng(2).normal(size=(3, 3))), scale_atoms=True)
    crystal.calc = load_calculator(performed.stage("two heads").path, "cc")
    slope = calculate_numerical_stress(crystal, eps=1e-5)
    np.testing.assert_allclose(crystal.get_stress(), slope, rtol=1e-5, atol=1e-8)
    mixed = crystal.calc.predictor.predict([molecule("H2O"), crystal], stress=True)
    assert np.isnan(mixed.stress[0]).all()
    np.testing.assert_allclose(mixed.stress[1], crystal.get_stress(), atol=1e-10)


def test_a_difference_needs_what_it_is_added_to():
    predictor = load_model(performed.stage("a difference").path)
    with pytest.raises(DataError, match="learned a difference to dft, which is no total energy: give `base`"):
        StageCalculator(predictor)
    atoms = molecule("H2O")
    atoms.calc = StageCalculator(predictor, base=EMT())
    base = molecule("H2O")
    base.calc = EMT()
    found = predictor.predict([atoms])
    assert atoms.get_potential_energy() == pytest.approx(found.energy[0] + base.get_potential_energy())
    np.testing.assert_allclose(atoms.get_forces(), found.forces[0] + base.get_forces())
    with pytest.raises(DataError, match="learned a difference to dft"):
        load_calculator(performed.stage("a difference").selected)
    with pytest.raises(DataError, match="learned total energies: leave out `base`"):
        StageCalculator(performed.predictor("two heads", "cc"), base=EMT())


def test_a_process_of_other_packages_is_told_to_begin_anew(tmp_path):
    """mace-torch's e3nn is there; the overlay's cannot take its place."""
    from mfsweep.models import overlay

    program = f"""
import e3nn
from mfsweep.models import overlay
overlay.require = lambda _: {str(tmp_path / "allegro")!r} and __import__("pathlib").Path({str(tmp_path / "allegro")!r})
overlay.enter("allegro")
"""
    assert any(pin.startswith("e3nn==") for pin in overlay.PINS["allegro"])
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "expected a process of its own" in done.stderr
