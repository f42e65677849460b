"""Data of one composition, trained end to end from the file: water, an alloy, and one molecule's trajectory."""

from __future__ import annotations

from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator

from mfsweep.prepare import prepare
from mfsweep.run.perform import perform
from mfsweep.run.sweep import _job
from mfsweep.train import World

SPEC = """\
name: composition
data:
  source: own.traj
  labels:
    dft: {energy: energy, forces: forces}
  offsets: OFFSETS
  splits:
    by: structure
    a: {size: 40, validation: 10}
    t: {size: 10}
model: {architecture: mace, channels: 8, max_L: 0, max_ell: 2, correlation: 1, radial_hidden: [16], bessel: 6, r_max: 4.0}
axes: {size: [40]}
stages:
  direct:
    train: [{labels: dft, subset: a, size: "${size}"}]
    learning_rate: 0.03
    max_steps: 60
    validate_every: 5
    batch: {max_atoms: 128, batches_per_step: 1}
result: direct
evaluate: [{labels: dft, subset: t}]
resources: {workers: 1, gpus_per_worker: 0}
"""


def water():
    one, other = molecule("H2O"), molecule("H2O")
    other.translate([0, 0, 2.9])
    return [shaken(one + other, seed) for seed in range(70)]


def alloy():
    parent = bulk("Cu", cubic=True)
    parent.symbols[:2] = "Al"
    return [shaken(parent, seed) for seed in range(70)]


def trajectory():
    return [shaken(molecule("CH3CH2OH"), seed) for seed in range(70)]


def shaken(parent, seed):
    atoms = parent.copy()
    atoms.rattle(0.06, seed=seed)
    atoms.calc = EMT()
    forces = atoms.get_forces()
    atoms.calc = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=forces)
    return atoms


def isolated(symbols):
    made = []
    for symbol in symbols:
        atoms = Atoms(symbol, cell=[15, 15, 15], pbc=True)
        atoms.calc = SinglePointCalculator(atoms, energy=1.0, forces=np.zeros((1, 3)))
        made.append(atoms)
    return made


@pytest.mark.parametrize(
    ("made", "free", "offsets"),
    [
        (water, "free: H +1, O -2", "fixed"),
        (alloy, "free: Al +1, Cu -1", "fixed"),
        (trajectory, "free: H +1, O -6 and C +1, O -2", "fixed"),
        (trajectory, "", "isolated_atoms"),
        (water, "", "{dft: {H: 1.0, O: 1.5}}"),
    ],
)
def test_data_of_one_composition_train_end_to_end(tmp_path: Path, made, free, offsets):
    frames = made()
    ase.io.write(tmp_path / "own.traj", [*isolated(sorted(set(frames[0].symbols))), *frames])
    path = tmp_path / "spec.yaml"
    path.write_text(SPEC.replace("OFFSETS", offsets))
    plan = prepare(path, tmp_path / "runs", keep=True)
    told = [text for text in plan.warnings if "energy offsets of dft" in text]
    assert len(told) == bool(free)
    assert all(free in text and "other compositions" not in text for text in told)
    (node,) = plan.graph.nodes.values()
    assert len(plan.view(node).structures.formula) == len(frames)
    plan.store.prepare()
    assert perform(_job(plan, node), World.alone(), lambda _: True)
    (made_evaluation,) = [plan.store.stage(node.key).evaluation(own.identity()) for own in node.evaluations]
    assert made_evaluation.metrics["energy_mae"] < made_evaluation.offsets_only["energy_mae"]
    record = plan.store.stage(node.key).record()
    if offsets != "fixed":
        assert record.offsets["dft"]["H"] == 1.0
