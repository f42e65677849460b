"""What a store takes: every byte is counted once, under the kind that it belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.cli.main import main
from mfsweep.store import StoreFolder
from mfsweep.store import usage as module
from mfsweep.store.usage import usage

PLACES = {
    "stages/k/checkpoints/selected.pt": module.WEIGHTS,
    "stages/k/checkpoints/best.cc.pt": module.WEIGHTS,
    "stages/k/checkpoints/last.pt": module.STATES,
    "stages/k/checkpoints/last.pt.damaged-1": module.DAMAGED,
    "stages/k/evaluations/test.cc.npz": module.PREDICTIONS,
    "stages/k/evaluations/test.cc.json": module.RECORDS,
    "stages/k/metrics.jsonl": module.METRICS,
    "stages/k/metrics.jsonl.gz": module.METRICS,
    "stages/k/record.json": module.RECORDS,
    "stages/k/train.log": module.RECORDS,
    "sweeps/small/report.html": "reports and figures",
    "mlflow.db": "MLflow's runs",
    "mlflow.db-wal": "MLflow's runs",
    "mlartifacts/a/b": "MLflow's artifacts",
    "optuna.db": "Optuna's studies",
    "edges/x/y.bin": "neighbours",
    "mlflow.db.damaged-2": module.DAMAGED,
    "digests.json": module.OTHER,
}


@given(st.sets(st.sampled_from(sorted(PLACES))))
def test_each_file_is_counted_once_under_its_kind(tmp_path_factory, places):
    store = StoreFolder(tmp_path_factory.mktemp("store"))
    for place in places:
        path = store.root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * 5000)
    found = usage(store)
    assert {kind: held.files for kind, held in found.kinds.items()} == {
        kind: sum(PLACES[place] == kind for place in places) for kind in {PLACES[place] for place in places}
    }
    assert found.total.files == len(places)
    assert found.total.bytes >= 5000 * len(places)
    has_record = "stages/k/record.json" in places
    assert (found.trained, found.begun) == (has_record, not has_record and any("stages/k" in one for one in places))


def test_a_file_that_goes_meanwhile_is_no_matter(tmp_path):
    (tmp_path / "mlflow.db").symlink_to(tmp_path / "nowhere")
    assert usage(StoreFolder(tmp_path)).total.files == 1


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_the_command_says_it(capsys, store, arguments):
    store.stage("k").path.mkdir(parents=True)
    store.stage("k").log.write_text("log")
    with pytest.raises(SystemExit) as ended:
        main(["store", "du", "--store", str(store.root), *arguments])
    assert ended.value.code == 0
    assert module.RECORDS in capsys.readouterr().out
