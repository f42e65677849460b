"""Where a sweep stands, told from a store that is written by hand; what is printed, and the page."""

from __future__ import annotations

import errno
import html
import io
import json
import os
import re
import time

import pytest
from finished import finish
from rich.console import Console

from mfsweep.cli import standing as command
from mfsweep.cli.main import main
from mfsweep.cli.status import status_table
from mfsweep.errors import DataError, StoreError
from mfsweep.files import write_json
from mfsweep.metrics_file import append, line
from mfsweep.prepare import prepare
from mfsweep.store.lease import holding
from mfsweep.sweep.standing import standing
from mfsweep.sweep.status_page import write_status_page
from mfsweep.sweep.sweep import Sweep
from mfsweep.usage_record import UsagePart, UsageRecord


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


def test_it_tells_when_a_run_was_heard_of_last_that_is_silent(plan, tmp_path):
    plan, (running, _, begun, *_) = plan
    path = plan.store.stage(running).path / ".lease-000004"
    path.write_text(json.dumps({"host": "node7", "process": 12, "boot": "other", "beats": 3, "free": False}))
    title = next(row.title for row in standing(plan).stages if row.key == running)
    assert not any(row.silent for row in standing(plan).stages), "it was heard of"
    os.utime(path, (time.time() - 7500,) * 2)
    with holding(plan.store.stage(begun).path):
        found = standing(plan)
        write_status_page(tmp_path / "status.html", found, None)
    assert [row.key for row in found.stages if row.silent] == [running]
    assert f"silent: {title}: last heard 2h 05m ago. If its run has died, " in "\n".join(found.sentences())
    assert "last heard 2h 05m ago" in (tmp_path / "status.html").read_text()
    rows = {row["key"]: row for row in json.loads(json.dumps(found.as_json()))["stages"]}
    assert rows[running]["silent"] == pytest.approx(7500, abs=60)
    assert "silent" not in rows[begun]
    console = Console(width=400, record=True, file=io.StringIO())
    console.print(status_table(found.stages, found.paces))
    assert "last heard 2h 05m ago" in console.export_text()


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


def test_it_tells_what_stages_use_of_their_devices_and_what_was_measured(plan, tmp_path):
    plan, (running, *_) = plan
    folder = plan.store.stage(running)
    for rank, busy in ((0, 0.9), (1, 0.7)):
        for number, time_ in enumerate((10.0, 20.0)):
            used = UsagePart(
                rank=rank, host=f"node-{rank}", time=time_, seconds=100.0, samples=50, utilisation=0.8,
                now=busy if number else 0.0, memory_gib=12.0, joules=3e4, source="nvml",
            )  # fmt: skip
            write_json(folder.usage / f"{rank}.{number}.json", used.model_dump(mode="json"))
    (folder.usage / "2.damaged.json").write_text("{")
    done = next(node for node in plan.graph.nodes.values() if node.name == "pretrain")
    measured = UsageRecord(seconds=1.0, utilisation=0.6, joules=3.6e6, source="nvml")
    record = plan.store.stage(done.key).record()
    plan.store.stage(done.key).write_record(record.model_copy(update={"usage": measured}))
    with holding(folder.path):
        found = standing(plan.again(), price=2.0, co2=300.0)
        write_status_page(tmp_path / "status.html", found, None)
    said = "\n".join(found.sentences())
    assert "rank 0 on node-0, GPU 90% busy now, 80% on average, 12.0 GiB at most, 300 W on average" in said
    assert "rank 1 on node-1, GPU 70% busy now" in said
    assert "Energy of trained stages: 1 kWh (0.3 kg CO2 at 300 g/kWh), measured in 0.00 of " in said
    plain = json.loads(json.dumps(found.as_json()))
    row = next(row for row in plain["stages"] if row["key"] == running)
    assert [one["now"] for one in row["devices"]] == [0.9, 0.7]
    row = next(row for row in plain["stages"] if row["key"] == done.key)
    assert (row["spent"]["kwh"], row["usage"]["utilisation"]) == (1.0, 0.6)
    assert {cell["kwh"] for cell in plain["cells"]} == {1.0, None}
    page = (tmp_path / "status.html").read_text()
    assert "80%" in page
    assert "60%" in page


@pytest.mark.parametrize(("resources", "devices"), [("{workers: 2}", 2), ("{gpus_per_worker: 0.25}", 0.25)])
def test_what_goes_on_counts_what_its_own_stage_holds(write_spec, tmp_path, resources, devices):
    hours, coming = {}, {}
    own = ("    start_from: pretrain\n", f"    start_from: pretrain\n    resources: {resources}\n")
    for name, changes in (("common", ()), ("own", (own,))):
        plan = prepare(write_spec(*changes), tmp_path / name)
        finish(plan)
        running = next(node for node in plan.graph.nodes.values() if node.name == "finetune")
        folder = plan.store.stage(running.key)
        folder.record_path.unlink()
        (folder.path / "metrics.jsonl.gz").unlink()
        for step, moment in ((1, 1000.0), (2, 4600.0)):
            append(folder.metrics, [line(step, {"structures_per_second": 1.0, "validation.loss": 0.1}, moment)])
        found = standing(plan.again())
        hours[name] = sum(found.spent.values()), found.paces[running.key].seconds / 3600
        coming[name] = found.hours_to_come
    (common, pace), (own, _) = hours["common"], hours["own"]
    assert own - common == pytest.approx((devices - 1) * pace)
    assert coming["own"] == pytest.approx(min(devices, 1) * coming["common"]), "workers share the work, not the device"


def test_prices_of_the_spec_are_those_of_the_command_where_it_gives_none(write_spec, tmp_path):
    spec = write_spec(("resources: {", "resources: {price_per_hour: 3, co2_g_per_kwh: 50, "))
    plan = prepare(spec, tmp_path / "store")
    finish(plan)
    assert standing(plan.again()).trained.rates == (3, 50)
    assert standing(plan.again(), price=0.0, co2=1.0).trained.rates == (0.0, 1.0)
    found = Sweep(spec, store=tmp_path / "store").results().rows()
    assert next(row["spent"] for row in found if "spent" in row) == "all stages"


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


ERRORS = [
    StoreError("the storage s3://lab/stores cannot be reached"),
    DataError("molecules.h5 cannot be read"),
    OSError(errno.ESTALE, "Stale file handle", "/shared/store/stages"),
]


def watch(spec, store, page, *more):
    with pytest.raises(SystemExit) as ended:
        main(["status", str(spec), "--store", str(store), "--watch", "5", "--html", str(page), *more])
    return ended.value.code


@pytest.mark.parametrize("error", ERRORS)
def test_a_store_that_cannot_be_read_at_one_look_is_looked_at_again(write_spec, tmp_path, capsys, monkeypatch, error):
    spec, store, page, pages, looks = write_spec(), tmp_path / "store", tmp_path / "status.html", [], []
    plan = prepare(spec, store)
    plan.store.prepare()
    own = Sweep.standing

    def look(sweep, **options):
        looks.append(len(pages))
        if len(looks) in (2, 3):
            raise error
        return own(sweep, **options)

    def sleep(seconds):
        assert seconds == 5
        pages.append(page.read_text())
        if len(pages) == 3:
            finish(plan)

    monkeypatch.setattr(Sweep, "standing", look)
    monkeypatch.setattr(command.time, "sleep", sleep)
    assert watch(spec, store, page, "--json") == 0
    assert looks == [0, 1, 2, 3]
    out, err = capsys.readouterr()
    first, last = json.loads("[" + out.replace("}\n{", "},{") + "]")
    assert (first["over"], last["over"]) == (False, True)
    said = [line for line in err.splitlines() if line.startswith("At ")]
    assert len(said) == 2
    assert str(error) in said[0]
    assert re.search(r"^At \d\d:\d\d:\d\d it could not be read .* What is shown is of \d\d:\d\d:\d\d\.$", said[0])
    noted = ["could not be read" in one for one in (*pages, page.read_text())]
    assert noted == [False, True, True, False]
    assert all('http-equiv="refresh"' in one and "8 to do" in html.unescape(one) for one in pages)


def test_a_store_that_cannot_be_read_at_the_first_look_is_an_error(write_spec, tmp_path, capsys, monkeypatch):
    def look(*_, **__):
        raise ERRORS[0]

    spec, store = write_spec(), tmp_path / "store"
    prepare(spec, store).store.prepare()
    monkeypatch.setattr(Sweep, "standing", look)
    assert watch(spec, store, tmp_path / "status.html") == 2
    assert str(ERRORS[0]) in capsys.readouterr().err
