"""Materials: bulk crystals with labels of ASE's EMT, from an extxyz file to a trained model."""

from __future__ import annotations

import io

import ase.io
import numpy as np
import pytest
from ase.build import bulk
from ase.calculators.emt import EMT
from rich.console import Console

from mfsweep.cli.main import main
from mfsweep.data import dataset
from mfsweep.prepare import prepare
from mfsweep.sweep import running as command

SPEC = """\
name: crystals
data:
  source: crystals.h5
  labels:
    emt: {energy: emt.energy, forces: emt.forces}
  splits:
    a: {size: 30, validation: 10}
    t: {size: 15}
model: {architecture: mace, channels: 4, max_L: 0, max_ell: 2, correlation: 2, radial_hidden: [8], bessel: 4, r_max: 4.0}
stages:
  train:
    train: [{labels: emt, subset: a}]
    max_steps: 200
    validate_every: 20
    learning_rate: 0.03
    batch: {max_atoms: 32, batches_per_step: 1}
result: train
evaluate: [{labels: emt, subset: t}]
resources: {workers: 1, gpus_per_worker: 0}
"""


@pytest.fixture(scope="module")
def crystals(tmp_path_factory):
    """Write rattled cells of four metals and their alloys, smaller than twice the cutoff."""
    rng = np.random.default_rng(0)
    frames = []
    for number in range(80):
        crystal = bulk("Cu", a=rng.uniform(3.6, 4.1), cubic=True).repeat((1 + number % 2, 1, 1))
        crystal.numbers[:] = rng.choice([28, 29, 46, 47], len(crystal))
        crystal.set_cell(crystal.cell.array + rng.uniform(-0.15, 0.15, (3, 3)), scale_atoms=True)
        crystal.rattle(0.08, rng=rng)
        crystal.calc = EMT()
        crystal.get_forces()
        frames.append(crystal)
    path = tmp_path_factory.mktemp("crystals") / "crystals.xyz"
    ase.io.write(path, frames, format="extxyz")
    return path, frames


def test_crystals_are_imported_with_their_cells_and_learned(without_ray, crystals, tmp_path):
    path, frames = crystals
    with pytest.raises(SystemExit) as ended:
        main(["data", "import", str(path), str(tmp_path / "crystals.h5"), "--labels", "emt"])
    assert ended.value.code == 0
    stored = dataset.read(tmp_path / "crystals.h5", dataset.methods(tmp_path / "crystals.h5"))
    assert stored.pbc.all()
    np.testing.assert_allclose(stored.cell, [np.array(one.cell) for one in frames], atol=1e-7)
    np.testing.assert_allclose(stored.labels["emt"].energy, [one.get_potential_energy() for one in frames], atol=1e-6)

    (tmp_path / "crystals.yaml").write_text(SPEC)
    plan = prepare(tmp_path / "crystals.yaml", tmp_path / "store", {})
    screen = Console(record=True, width=120, file=io.StringIO())
    assert command.run(plan, screen, f"sqlite:///{tmp_path}/mlflow.db").exit_code == 0
    (folder,) = plan.store.stages()
    (node,) = plan.graph.nodes.values()
    (evaluation,) = node.evaluations
    scored = folder.evaluation(evaluation.identity())
    assert scored.metrics["energy_mae"] < 0.75 * scored.offsets_only["energy_mae"]
    labels_rms = 1000 * np.sqrt(np.mean(np.concatenate([one.get_forces() for one in frames]) ** 2))
    assert scored.metrics["force_rmse"] < 0.3 * labels_rms
