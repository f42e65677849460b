"""A store that was moved goes on where it is, on a real local Ray: nothing is trained twice, or written elsewhere."""

from __future__ import annotations

import io

import pytest
from mlflow import MlflowClient
from rich.console import Console

from mfsweep.prepare import prepare
from mfsweep.sweep import running as command


@pytest.mark.slow
@pytest.mark.cluster
def test_a_moved_store_trains_only_what_is_new_and_leaves_the_old_place_alone(ray_cluster, write_spec, tmp_path):
    def sweep(spec, store):
        plan = prepare(spec, store, {"cpus_per_worker": 2})
        return command.run(plan, Console(file=io.StringIO()), None)

    first, second = tmp_path / "first" / "store", tmp_path / "second" / "moved"
    assert sweep(write_spec(("[0, 20, 40]", "[20]"), ("[20, 60]", "[20]")), first).run == 2
    second.parent.mkdir()
    first.rename(second)
    first.parent.rmdir()
    summary = sweep(write_spec(("[0, 20, 40]", "[20]"), ("[20, 60]", "[20, 60]")), second)
    assert (summary.run, summary.reused, summary.failed) == (1, 2, 0)
    assert not first.parent.exists()
    client = MlflowClient(f"sqlite:///{second / 'mlflow.db'}")
    runs = client.search_runs([client.get_experiment_by_name("small").experiment_id])
    assert len(runs) == 4
    for run in runs:
        assert run.info.artifact_uri == f"mlflow-artifacts:/{run.info.run_id}/artifacts"
    kept = {path.name for path in (second / "mlartifacts").rglob("*") if path.is_file()}
    assert {"spec.yaml", "report.html"} <= kept
    assert str(first).encode() not in (second / "mlflow.db").read_bytes()
