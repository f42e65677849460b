"""Searches whose pruner ends trainings, as they are run: a real Optuna study, a real sqlite MLflow; in groups on a real local Ray."""

import io
import json

import mlflow
import optuna
import pytest
from click.testing import CliRunner
from optuna.trial import TrialState
from ray.util import placement_group_table
from rich.console import Console

from mfsweep.cli.main import cli
from mfsweep.metrics_file import entries
from mfsweep.prepare import prepare
from mfsweep.store import StoreFolder
from mfsweep.sweep import several

PRUNER = "pruner: successive_halving, prune_after: 4"
SEARCH = (
    (
        "axes:\n  pretrain_size: [0, 20, 40]\n  finetune_size: [20, 60]\n",
        f"axes:\n  rate: {{low: 1.0e-9, high: 0.1, log: true}}\nsearch: {{objective: validation.cc.energy_mae, trials: 3, parallel: 1, {PRUNER}}}\n",
    ),
    ("fits:\n  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}\n", ""),
    ('train: [{labels: dft, subset: b, size: "${pretrain_size}"}]\n    max_steps: 4', 'train: [{labels: cc, subset: a, size: 60}]\n    learning_rate: "${rate}"\n    max_steps: 40'),
    ('size: "${finetune_size}"', "size: 20"),
    ("result: finetune", "result: pretrain"),
)  # fmt: skip
GOOD, BAD, ALSO_BAD = {"rate": 0.01}, {"rate": 1e-9}, {"rate": 2e-9}


@pytest.fixture
def sweep(tmp_path):
    """Give a function that runs a spec as the command does; it returns the outcome and what was printed."""

    def run(path, **resources):
        console = Console(record=True, width=120, file=io.StringIO())
        # One stage at a time: which point falls behind then does not depend on which is quicker.
        plan = prepare(path, tmp_path / "store", {"cpus_per_worker": 1, "groups": 1, **resources})
        return several.run([plan], console, None), console.export_text()

    return run


def held_groups():
    return {key for key, group in placement_group_table().items() if group["state"] != "REMOVED"}


def trials(store):
    return optuna.load_study(study_name="small", storage=store.search_uri).trials


def mlflow_runs(store):
    client = mlflow.MlflowClient(store.tracking_uri)
    experiment = client.get_experiment_by_name("small").experiment_id
    return client.search_runs([experiment], filter_string="tags.`mfsweep.kind` = 'stage'")


def test_a_pruned_stage_ends_at_once_is_no_failure_and_goes_on_without_a_pruner(
    without_ray, sweep, write_spec, tmp_path
):
    store = StoreFolder(tmp_path / "store")
    store.prepare()
    store.sweep("small").write_asked([GOOD, BAD, ALSO_BAD])
    outcome, said = sweep(write_spec(*SEARCH))
    assert outcome.exit_code == 0
    assert outcome.counts() == {"run": 1, "reused": 0, "failed": 0, "skipped": 0, "pruned": 2}
    assert len(outcome.as_json()["pruned_stages"]) == 2
    assert "1 stages run, 0 reused, 0 failed, 2 pruned" in said

    # It ended at the validation that decided, with its whole state kept.
    pruned = [folder for folder in store.stages() if folder.record() is None]
    assert [folder.pruning().step for folder in pruned] == [4, 4]
    assert all(folder.last.exists() and folder.failure() is None for folder in pruned)
    assert all("given up at step 4 by successive_halving" in folder.log.read_text() for folder in pruned)
    found = trials(store)
    assert [trial.state for trial in found] == [TrialState.COMPLETE, TrialState.PRUNED, TrialState.PRUNED]
    assert [list(trial.intermediate_values) for trial in found[1:]] == [[2, 4]] * 2
    assert sorted((run.info.status, run.data.tags["end"]) for run in mlflow_runs(store)) == [
        ("FINISHED", "capped"), ("KILLED", "pruned"), ("KILLED", "pruned"),
    ]  # fmt: skip
    shown = CliRunner().invoke(cli, ["status", str(tmp_path / "small.yaml"), "--store", str(store.root), "--json"])
    assert [row["state"] for row in json.loads(shown.output)["stages"]] == ["done", "pruned", "pruned"]

    outcome, _ = sweep(write_spec(*SEARCH))
    assert outcome.counts() == {"run": 0, "reused": 1, "failed": 0, "skipped": 2, "pruned": 0}

    outcome, _ = sweep(write_spec(*SEARCH, (f", {PRUNER}", "")))
    assert outcome.counts() == {"run": 2, "reused": 1, "failed": 0, "skipped": 0, "pruned": 0}
    assert [folder.record().steps for folder in store.stages()] == [40] * 3
    assert all(folder.log.read_text().count("starts with") == 2 for folder in pruned), "each went on where it stopped"
    assert [trial.state for trial in trials(store)[3:]] == [TrialState.COMPLETE] * 2
    assert {run.info.status for run in mlflow_runs(store)} == {"FINISHED"}


@pytest.mark.slow
@pytest.mark.cluster
def test_a_group_of_a_pruned_stage_is_free_at_once(ray_cluster, sweep, write_spec, tmp_path):
    store = StoreFolder(tmp_path / "store")
    store.prepare()
    # How many workers share a stage is no part of what it is: the first point is trained by one.
    store.sweep("small").write_asked([GOOD])
    sweep(write_spec(*SEARCH, ("trials: 3", "trials: 1")))
    store.sweep("small").write_asked([GOOD, BAD, ALSO_BAD])
    before = held_groups()
    outcome, _ = sweep(write_spec(*SEARCH), workers=2)
    assert outcome.exit_code == 0
    assert outcome.counts() == {"run": 0, "reused": 1, "failed": 0, "skipped": 0, "pruned": 2}
    assert held_groups() <= before, "no placement group is left"
    pruned = [folder for folder in store.stages() if folder.record() is None]
    assert [folder.pruning().step for folder in pruned] == [4, 4]
    assert all(folder.last.exists() for folder in pruned)
    steps = [[entry.step for entry in entries(folder.metrics)] for folder in pruned]
    assert all(max(own) == 4 for own in steps), "not a step more than the validation that decided"
