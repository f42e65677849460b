"""Stages of all architectures, of which some exclude each other's packages, in one sweep on a real local Ray."""

import io

import pytest
from rich.console import Console

from mfsweep.errors import ResourceError
from mfsweep.models.overlay import VARIABLE, overlay_path
from mfsweep.models.registry import ARCHITECTURES
from mfsweep.prepare import prepare
from mfsweep.sweep import running as command

MACE = (
    "{architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}"
)
ALLEGRO = "{architecture: allegro, l_max: 1, tensor_channels: 2, scalar_channels: 8, mlp_layers: 1, mlp_width: 8, readout_hidden: 8, r_max: 3.0}"
PAINN = "{architecture: painn, channels: 8, layers: 1, bessel: 4, readout_hidden: 8, r_max: 3.0}"
MIXED = (
    (f"model: {MACE}", 'model: "${arch.model}"'),
    (
        "axes:\n",
        f"axes:\n  arch:\n    mace: {{model: {MACE}}}\n    painn: {{model: {PAINN}}}\n    allegro: {{model: {ALLEGRO}}}\n",
    ),
    ("[0, 20, 40]", "[20]"),
    ("  finetune_size: [20, 60]\n", ""),
    ('size: "${finetune_size}"', "size: 20"),
    ("result: finetune", "result: pretrain"),
    ("evaluate: [{labels: cc,", "evaluate: [{labels: dft,"),
    ("fits:\n  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}\n", ""),
)  # fmt: skip
"""One stage an architecture, those of one environment one after another: a process is started for each environment."""


@pytest.fixture
def plan(write_spec, tmp_path):
    """Give a function that plans a stage of each architecture, with a number of workers."""
    return lambda workers: prepare(write_spec(*MIXED), tmp_path / "store", {"workers": workers, "groups": 1})


@pytest.mark.cluster
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_all_architectures_train_in_one_sweep(plan, workers, ray_cluster, tmp_path):
    if overlay_path("allegro") is None:
        pytest.skip("the overlay is not built: make allegro")
    plan = plan(workers)
    summary = command.run(plan, Console(file=io.StringIO()), f"sqlite:///{tmp_path / 'mlflow.db'}")
    logs = {folder.path.name: folder.log.read_text() for folder in plan.store.stages()}
    assert (summary.run, summary.failed) == (3, 0), logs
    assert {node.training.model.architecture for node in plan.graph.nodes.values()} == set(ARCHITECTURES)
    for key, node in plan.graph.nodes.items():
        record, architecture = plan.store.stage(key).record(), node.training.model.architecture
        assert (record.steps, record.workers) == (4, workers)
        assert record.versions["e3nn"] == ("0.6.0" if architecture == "allegro" else "0.4.4")
        assert ("nequip" in record.versions) == (architecture == "allegro")
        for evaluation in node.evaluations:
            assert plan.store.stage(key).evaluation(evaluation.identity()).metrics["energy_mae"] > 0


def test_a_missing_overlay_is_told_before_anything_starts(plan, monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    plan = plan(1)
    with pytest.raises(ResourceError, match="Run `mfsweep env allegro`"):
        command.run(plan, Console(file=io.StringIO()), "")
    assert not list(plan.store.stages())
