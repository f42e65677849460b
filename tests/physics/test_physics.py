"""The checks on energies whose physics is known: a Morse potential between all pairs, and what spoils it."""

from __future__ import annotations

import json

import numpy as np
import performed
import pytest
from ase import Atoms, units
from ase.build import molecule
from click.testing import CliRunner

from mfsweep.analysis.physics import checked
from mfsweep.analysis.records import Records
from mfsweep.cli.main import cli
from mfsweep.errors import DataError
from mfsweep.physics.dynamics import drift, stable
from mfsweep.physics.engine import Evaluated, added
from mfsweep.physics.minima import apart, frequency_error, relax
from mfsweep.physics.molecules import bonds_of, builtin, halves
from mfsweep.physics.scans import curve_error, deepest, inconsistency, stretches
from mfsweep.physics.settings import PhysicsChecks
from mfsweep.physics.validate import _at_rest
from mfsweep.records import CellRecord

DEPTH, STEEPNESS, LENGTH = 5.0, 2.2, 1.1
CHECKS = PhysicsChecks(drift_time=0.2, stable_time=0.2, temperatures=(300.0, 3000.0))


def pairwise(energy, slope):
    """Return the engine of a pair energy and its derivative, functions of (n,) distances."""

    def engine(atoms):
        energies, forces = [], []
        for one in atoms:
            first, second = np.triu_indices(len(one), 1)
            vectors = one.positions[second] - one.positions[first]
            distances = np.linalg.norm(vectors, axis=1)
            pull = (slope(distances) / distances)[:, None] * vectors
            force = np.zeros((len(one), 3))
            np.add.at(force, first, pull)
            np.add.at(force, second, -pull)
            energies.append(energy(distances).sum())
            forces.append(force)
        return Evaluated(np.array(energies), forces)

    return engine


def morse(depth=DEPTH):
    def part(r):
        return np.exp(-STEEPNESS * (r - LENGTH))

    return pairwise(lambda r: depth * (1 - part(r)) ** 2, lambda r: 2 * depth * STEEPNESS * part(r) * (1 - part(r)))


def well(depth, place, width=0.1):
    """Return the engine of a Gaussian hollow."""

    def part(r):
        return np.exp(-(((r - place) / width) ** 2))

    return pairwise(lambda r: -depth * part(r), lambda r: 2 * depth * (r - place) / width**2 * part(r))


@pytest.fixture
def nitrogen():
    return Atoms("N2", [[0, 0, 0], [0, 0, LENGTH + 0.05]])


def test_a_diatomic_has_its_length_and_its_frequency(nitrogen):
    minimum = relax(morse(), nitrogen, CHECKS)
    assert minimum.converged
    assert minimum.atoms.get_distance(0, 1) == pytest.approx(LENGTH, abs=1e-3)
    # omega = a sqrt(2 D / mu), in ASE's units of time, then as a wave number.
    omega = STEEPNESS * np.sqrt(2 * DEPTH / (nitrogen.get_masses()[0] / 2))
    expected = omega * units._hbar * units.J * units.s / units.invcm
    assert minimum.frequencies == pytest.approx([expected], rel=2e-3)
    assert frequency_error(minimum.frequencies + 10, minimum.frequencies) == pytest.approx(10)
    assert frequency_error([], minimum.frequencies) is None


def test_a_minimum_whose_frequencies_cannot_be_computed_is_no_true_minimum(nitrogen):
    def engine(atoms):
        found = morse()(atoms)
        if len(atoms) > 1:  # the displaced ones
            found.forces[-1][:] = np.nan
        return found

    spoilt, whole = relax(engine, nitrogen, CHECKS), relax(morse(), nitrogen, CHECKS)
    assert spoilt.converged
    assert spoilt.frequencies is None
    assert frequency_error(spoilt.frequencies, whole.frequencies) is None
    assert [_at_rest(one, None)["imaginary"] for one in (spoilt, whole)] == [None, 0]
    lone = relax(morse(), Atoms("N"), CHECKS)
    assert _at_rest(lone, None)["imaginary"] == 0


def test_geometries_are_compared_wherever_they_lie():
    ammonia = molecule("NH3")
    turned = ammonia.copy()
    turned.rotate(70, (1, 2, 3))
    turned.translate((4, 5, 6))
    assert apart(ammonia, turned) == pytest.approx(0, abs=1e-6)
    turned.positions[0] += 0.2
    assert 0.05 < apart(ammonia, turned) < 0.35


def test_energy_is_kept_and_every_trajectory_lasts(nitrogen):
    starts = [relax(morse(), nitrogen, CHECKS).atoms, Atoms("OH", [[0, 0, 0], [0, 0, LENGTH]])]
    for one in drift(morse(), starts, CHECKS):
        assert abs(one.drift) < 2e-3
        assert one.fluctuation < 1e-2
        assert one.lasted == CHECKS.drift_time
    found = stable(morse(), starts, CHECKS)
    assert [[own.temperature for own in one] for one in found] == [[300, 3000]] * 2
    assert all(own.why is None and own.lasted == CHECKS.stable_time for one in found for own in one)


def test_what_falls_apart_is_named_and_the_others_go_on(nitrogen):
    """Of two bonds the weak one breaks; what is pulled together collides; what is no number is said."""
    weak = stable(morse(depth=0.02), [nitrogen], CHECKS)[0]
    assert weak[1].why == "a bond N-N broke"
    assert 0 < weak[1].lasted < CHECKS.stable_time
    pulled = stable(pairwise(lambda r: 20 * r, lambda r: np.full_like(r, 20.0)), [nitrogen], CHECKS)[0]
    assert {one.why for one in pulled} == {"N and N ran into one another"}

    def blind(atoms):
        found = morse()(atoms)
        bad = [one.numbers[0] == 8 for one in atoms]
        return found._replace(energy=np.where(bad, np.nan, found.energy), forces=[force * np.nan if b else force for force, b in zip(found.forces, bad, strict=True)])  # fmt: skip

    water, well_off = drift(blind, [Atoms("OH", nitrogen.positions), nitrogen], CHECKS)
    assert water.drift is None
    assert water.lasted < CHECKS.drift_time
    assert abs(well_off.drift) < 2e-3


def test_a_hole_behind_a_bond_is_found_with_its_depth(nitrogen):
    nitrogen.set_distance(0, 1, LENGTH)
    (whole,) = stretches(morse(), nitrogen, CHECKS)
    assert whole.bond == "N0-N1"
    assert deepest(whole) == 0
    (torn,) = stretches(added(morse(), well(2.0, 1.8 * LENGTH)), nitrogen, CHECKS)
    assert 1 < deepest(torn) < 2
    assert curve_error(torn, whole) == pytest.approx(np.abs(torn.energies - whole.energies).mean())
    (pressed,) = stretches(added(morse(), well(9.0, 0.7 * LENGTH)), nitrogen, CHECKS)
    assert deepest(pressed) > 1


def test_forces_that_are_not_the_slope_are_found(nitrogen):
    assert inconsistency(morse(), nitrogen, CHECKS) < 1e-4

    def wrong(atoms):
        found = morse()(atoms)
        return found._replace(forces=[1.1 * force for force in found.forces])

    assert inconsistency(wrong, nitrogen, CHECKS) > 1e-2


def test_bonds_outside_rings_are_stretched():
    ethane = molecule("C2H6")
    assert len(bonds_of(ethane)) == 7
    carbon = next(moves for first, second, moves in halves(ethane) if {first, second} == {0, 1})
    assert carbon.sum() == 4
    assert [set(molecule("C6H6").symbols[[first, second]]) for first, second, _ in halves(molecule("C6H6"))] == [{"C", "H"}] * 6  # fmt: skip


def test_molecules_are_those_whose_elements_are_known():
    assert [one.name for one in builtin(("H2O", "CH4"), [1, 6])] == ["CH4"]
    with pytest.raises(DataError, match=r"none called 'CH44'\. Did you mean"):
        builtin(("CH44",), [1, 6])
    with pytest.raises(DataError, match=r"none of the molecules H2O is made of elements that the head knows \(C\)"):
        builtin(("H2O",), [6])


@pytest.mark.filterwarnings("ignore")  # of click's runner, none of ours
def test_the_command_keeps_what_it_found_and_the_report_shows_it():
    folder = performed.stage("two heads")
    asked = ["validate", folder.key[:6], "--store", str(performed.store().root), "--head", "dft", "--molecule", "H2O", "--molecule", "CH4", "--temperature", "300", "--time", "0.02", "--drift-time", "0.01", "--reference", "gfn2-xtb", "--json"]  # fmt: skip
    first = CliRunner().invoke(cli, asked, catch_exceptions=False)
    again = CliRunner().invoke(cli, asked, catch_exceptions=False)
    assert json.loads(first.stdout) == json.loads(again.stdout), "what is there is not computed anew"
    (record,) = folder.every_physics_record()
    assert [one.name for one in record.structures] == ["H2O", "CH4"]
    assert record.checks["reference"] == "gfn2-xtb"
    assert all(one.inconsistency < 1e-3 for one in record.structures)
    assert all(len(one.trajectories) == 1 and one.drift_lasted for one in record.structures)
    assert len(record.structures[1].bonds) == 4
    assert all(bond.error is not None for one in record.structures for bond in one.bonds)
    cell = CellRecord(values={"size": 20}, stages={"only": folder.key}, result="only", sizes={}, evaluations={"only": [one.identity() for one in performed.STAGES["two heads"]["evaluations"]]})  # fmt: skip
    (shown,) = checked(Records(performed.store(), [cell]), [cell])
    assert shown.row()[:3] == ("only size=20", folder.key[:12], "dft")
    assert shown.error == pytest.approx(Records(performed.store(), [cell]).stage(folder.key).metrics["test.dft.energy_mae"])  # fmt: skip
