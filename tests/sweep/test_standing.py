"""Where a sweep stands, told from a store that is written by hand; what is printed, and the page."""

from __future__ import annotations

import json
import re
import time

import pytest
from finished import finish

from mfsweep.cli.main import main
from mfsweep.metrics_file import append, line
from mfsweep.prepare import prepare
from mfsweep.store.lease import holding
from mfsweep.sweep.standing import standing
from mfsweep.sweep.status_page import write_status_page


@pytest.fixture
def plan(write_spec, tmp_path):
    """A sweep of which all but a fine-tuning that goes on, one that failed and one that waits is done."""
    plan = prepare(write_spec(), tmp_path / "store")
    finish(plan)
    tuned = [node for node in plan.graph.nodes.values() if node.name == "finetune"]
    for node in tuned[:3]:
        folder = plan.store.stage(node.key)
        folder.record_path.unlink()
        (folder.path / "metrics.jsonl.gz").unlink()
    plan.store.stage(tuned[1].key).fail("loss is not finite\nat step 3")
    now = time.time()
    for step, moment in ((1, now - 120), (2, now - 60)):
        row = {"structures_per_second": 50.0 * step, "validation.cc.energy_mae": 30.0, "validation.loss": 0.1}
        append(plan.store.stage(tuned[0].key).metrics, [line(step, row, moment)])
    return plan.again(), [node.key for node in tuned]


def test_it_tells_steps_speed_time_left_cost_and_failures(plan):
    plan, (running, failed, begun, *_) = plan
    with holding(plan.store.stage(running).path):
        found = standing(plan, price=2.0)
    states = {row.key: row.state for row in found.stages}
    assert (states[running], states[failed], states[begun]) == ("running", "failed", "begun")
    assert found.paces[running][:4] == (2, 4, 100.0, pytest.approx(120.0, abs=0.1))
    assert found.open == {running, begun}
    assert found.left.low <= found.left.seconds <= found.left.high
    said = "\n".join(found.sentences())
    done = len(found.stages) - 3
    assert f"small: {done} of {len(found.stages)} stages done; " in said
    assert re.search(r"Time left: about \d+s with 1 stage at a time \(\d+s to \d+s in 80% of draws", said)
    hours = (done + 120) / 3600
    assert f"Spent: {hours:.2f} hours of an unknown device; about 0.00 to come. At 2 an hour: {2 * hours:.2f}" in said
    assert re.search(r"^failed: finetune .*: loss is not finite \(.*train\.log\)$", said, re.MULTILINE)
    row = next(row for row in found.as_json()["stages"] if row["key"] == running)
    assert (row["state"], row["step"], row["limit"]) == ("running", 2, 4)
    assert json.loads(json.dumps(found.as_json()))["over"] is False


def test_an_interruption_is_no_training(plan):
    plan, (running, *_) = plan
    metrics = plan.store.stage(running).metrics
    now = time.time()
    append(metrics, [line(step, {"structures_per_second": 1.0}, now + 60 * step) for step in range(3, 9)])
    append(metrics, [line(9, {"structures_per_second": 1.0}, now + 1e6)])
    assert standing(plan).paces[running].seconds < 1000


def test_before_anything_is_done_no_time_is_told(write_spec, tmp_path):
    plan = prepare(write_spec(), tmp_path / "store")
    plan.store.prepare()
    said = list(standing(plan).sentences())
    assert said[0].endswith("0 of 8 stages done; 8 to do")
    assert said[1] == "Time left: not known before a stage of this spec is done"
    assert said[2] == "Spent: nothing"


def test_the_page_is_read_again_while_it_is_written_and_no_longer(plan, tmp_path):
    plan, _ = plan
    page = tmp_path / "status.html"
    write_status_page(page, standing(plan), 30)
    assert '<meta http-equiv="refresh" content="30">' in page.read_text()
    assert "loss is not finite" in page.read_text()
    write_status_page(page, standing(plan), None)
    assert "refresh" not in page.read_text()


def test_watching_ends_when_nothing_is_left_to_do(write_spec, tmp_path, capsys):
    spec, store = write_spec(), tmp_path / "store"
    finish(prepare(spec, store))
    with pytest.raises(SystemExit) as ended:
        main(
            [
                "status",
                str(spec),
                "--store",
                str(store),
                "--watch",
                "--html",
                str(tmp_path / "status.html"),
                "--price",
                "1",
            ]
        )
    assert ended.value.code == 0
    said = capsys.readouterr().out
    assert "8 of 8 stages done" in said
    assert "Time left" not in said
    assert "refresh" not in (tmp_path / "status.html").read_text()
