"""After a fault: is a sweep's store what one would be that nothing disturbed, and is nothing left behind?"""

from __future__ import annotations

import re
from pathlib import Path

from mlflow_server import check_mirrored
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
    every stage is recorded, evaluated alike, tidy and let go, the report is there, and MLflow shows each stage once.

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
