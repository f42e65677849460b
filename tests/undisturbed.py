"""After a fault: is a sweep's store what one would be that nothing disturbed, and is nothing left behind?"""

from __future__ import annotations

import re
from pathlib import Path

import optuna
from mlflow_server import check_mirrored
from optuna.trial import TrialState
from trained_weights import same, weights

from mfsweep.metrics_file import entries
from mfsweep.store import StoreFolder

TEMPORARY = re.compile(r"\..*\.[0-9a-f]{8}(\..+)?$")
"""The name of a file that is being written (files.py, `beside`)."""


def check_as_undisturbed(
    root: Path, undisturbed: Path, sweep: str, *, tracked: str | None = None, thinned: bool = True, aside: bool = False
) -> None:
    """Check a store after a finished sweep.

    The weights are those of the undisturbed store bit for bit, each optimiser step stands once in its stage's curve,
    every stage is recorded, evaluated alike, tidy and let go, the report is there, MLflow shows each stage once, and a
    search has asked for the same points and told each once.

    Args:
        root: the store.
        undisturbed: another one, into which the same sweep was trained in peace.
        sweep: its name.
        tracked: MLflow's address; by default the store's own database.
        thinned: whether MLflow has been told a part of long curves, as by default.
        aside: whether damaged files may have been set aside.
    """
    store, peace = StoreFolder(root), StoreFolder(undisturbed)
    assert same(weights(root), weights(undisturbed))
    for stage in store.stages():
        found, calm = stage.record(), peace.stage(stage.key).record()
        assert found is not None
        assert calm is not None
        assert found.metrics == calm.metrics
        assert {path.name for path in stage.path.glob("evaluations/*.json")} == {
            path.name for path in peace.stage(stage.key).path.glob("evaluations/*.json")
        }
        assert stage.is_tidy
        assert not stage.is_claimed()
        steps = [entry.step for entry in entries(stage.metrics) if "train.loss" in entry.metrics]
        assert steps == list(range(1, found.steps + 1)), "no step lost, none twice"
    assert not store.sweep(sweep).is_run()
    assert store.sweep(sweep).report.exists()
    names = [path.name for path in root.rglob("*")]
    assert not [name for name in names if TEMPORARY.match(name)]
    assert aside or not [name for name in names if ".damaged-" in name]
    check_mirrored(tracked or store.tracking_uri, sweep, store, thinned=thinned)
    assert points(store) == points(peace), "no point lost, none told twice"


def points(store: StoreFolder) -> dict[str, list[tuple]]:
    """Return what each search has found: study -> number, parameters, state and values of its points.

    A trial that a killed run had begun has failed; its point has another one.
    """
    if not store.search_database.exists():
        return {}
    studies = optuna.get_all_study_names(store.search_uri)
    found = {name: optuna.load_study(study_name=name, storage=store.search_uri).trials for name in studies}
    return {
        name: sorted(
            (trial.user_attrs["point"], sorted(trial.params.items()), trial.state.name, trial.values)
            for trial in trials
            if trial.state is not TrialState.FAIL
        )
        for name, trials in found.items()
    }
