"""`mfsweep run` of several specs: one store, one Ray, the worst exit code."""

import contextlib
import errno
import io
import json

import pytest
from rich.console import Console

from mfsweep.cli.main import main
from mfsweep.errors import ResourceError
from mfsweep.prepare import prepare
from mfsweep.run.sweep import Failure, RunSummary
from mfsweep.sweep import running, several


@pytest.fixture
def specs(write_spec):
    """Write two specs of different names, which share half of their stages."""
    small = (("[0, 20, 40]", "[0, 20]"), ("[20, 60]", "[20]"))
    other = (("[0, 20, 40]", "[0, 40]"), ("[20, 60]", "[20]"), ("name: small", "name: other"))
    return write_spec(*small), write_spec(*other, name="other.yaml")


@pytest.fixture
def console():
    return Console(record=True, width=120, file=io.StringIO())


def summary(run=0, reused=0, failed=0, interrupted=False):
    return RunSummary(run=run, reused=reused, failed=failed, skipped=0, interrupted=interrupted, failures=())


def test_specs_run_one_after_another_and_share_their_stages(without_ray, specs, console, tmp_path):
    plans = [prepare(spec, tmp_path / "store", {"groups": 1}) for spec in specs]
    outcome = several.run(plans, console, None)
    assert outcome.counts() == {"run": 5, "reused": 1, "failed": 0, "skipped": 0, "pruned": 0}, (
        "direct training is the same in both"
    )
    assert outcome.exit_code == 0
    index = (tmp_path / "store" / "sweeps" / "index.html").read_text()
    assert "small/report.html" in index
    assert "other/report.html" in index
    again = several.run([prepare(spec, tmp_path / "store") for spec in specs], console, None)
    assert again.counts() == {"run": 0, "reused": 6, "failed": 0, "skipped": 0, "pruned": 0}


@pytest.mark.parametrize(
    ("ends", "code", "ran"),
    [
        ([summary(run=3), summary(run=1)], 0, 2),
        ([summary(run=2, failed=1), summary(run=1)], 1, 2),
        ([ResourceError("no GPU"), summary(run=1, failed=1)], 2, 1),
        ([RuntimeError("a defect"), summary(run=1)], 2, 1),
        ([OSError(errno.ENOSPC, "No space left on device"), summary(run=1)], 1, 1),
        ([summary(run=1, interrupted=True), summary()], 130, 1),
    ],
)
def test_the_worst_end_is_the_exit_code_and_only_an_interrupt_ends_all(
    specs, console, tmp_path, monkeypatch, ends, code, ran
):
    plans = [prepare(spec, tmp_path / "store") for spec in specs]
    left = iter(ends)

    def run(plan, *_):
        end = next(left)
        if isinstance(end, Exception):
            raise end
        return end

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(several, "_one_cluster", lambda _: contextlib.nullcontext())
    outcome = several.run(plans, console, None)
    assert outcome.exit_code == code
    assert len(outcome.summaries) == ran


def test_a_defect_is_said_with_its_traceback_and_raised_where_there_is_one_spec(specs, console, tmp_path, monkeypatch):
    def run(*_, **__):
        raise RuntimeError("a defect [of ours]")

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(several, "_one_cluster", lambda _: contextlib.nullcontext())
    plans = [prepare(spec, tmp_path / "store") for spec in specs]
    assert several.run(plans, console, None).refused == 2
    text = console.export_text()
    assert text.count("Traceback") == text.count("RuntimeError: a defect [of ours]") == 2
    with pytest.raises(RuntimeError, match="a defect"):
        several.run(plans[:1], console, None)


def test_the_index_is_written_also_after_an_interrupt(specs, console, tmp_path, monkeypatch):
    plans = [prepare(spec, tmp_path / "store") for spec in specs]
    written = []

    def run(plan, *_):
        if plan.name == "other":
            raise KeyboardInterrupt
        report = plan.store.sweep(plan.name).report
        report.parent.mkdir(parents=True)
        report.touch()
        return summary(run=1)

    monkeypatch.setattr(running, "run", run)
    monkeypatch.setattr(several, "_one_cluster", lambda _: contextlib.nullcontext())
    monkeypatch.setattr(several, "write_index", lambda _, names: written.append(names))
    with pytest.raises(KeyboardInterrupt):
        several.run(plans, console, None)
    assert written == [["small"]]


def test_after_an_interrupt_the_last_line_is_the_whole_command(specs, console, tmp_path, monkeypatch):
    plans = [prepare(spec, tmp_path / "store") for spec in specs]
    monkeypatch.setattr(running, "_run", lambda *_: (summary(run=1, interrupted=True), []))
    monkeypatch.setattr(several, "_one_cluster", lambda _: contextlib.nullcontext())
    assert several.run(plans, console, None).exit_code == 130
    last = console.export_text().splitlines()[-1]
    assert last.endswith(f"Go on with: mfsweep run {specs[0]} {specs[1]} --store {tmp_path / 'store'}")


def test_a_wrong_spec_among_several_stops_all_before_anything_trains(specs, write_spec, tmp_path, capsys):
    wrong = write_spec(("start_from:", "start_form:"), name="wrong.yaml")
    with pytest.raises(SystemExit) as ended:
        main(["run", *map(str, (*specs, wrong)), "--store", str(tmp_path / "store")])
    assert ended.value.code == 2
    assert "wrong.yaml:22" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("smoke", [False, True])
def test_json_of_a_run_names_the_stages_that_failed_and_were_skipped(specs, tmp_path, monkeypatch, capsys, smoke):
    failed = Failure("k1", "pretrain seed=0", tmp_path / "train.log", "the loss is not finite")
    skipped = Failure("k2", "finetune seed=0", tmp_path / "train.log", "pretrain seed=0 failed")
    end = RunSummary(run=3, reused=1, failed=1, skipped=1, interrupted=False, failures=(failed,), not_run=(skipped,))
    monkeypatch.setattr(running, "smoke" if smoke else "run", lambda *_, **__: end)
    command = ["run", str(specs[0]), "--store", str(tmp_path / "store"), "--json"]
    with pytest.raises(SystemExit) as ended:
        main([*command, "--smoke"] if smoke else command)
    assert ended.value.code == 1
    assert json.loads(capsys.readouterr().out) == {
        "run": 3,
        "reused": 1,
        "failed": 1,
        "skipped": 1,
        "pruned": 0,
        "interrupted": False,
        "disk_full": False,
        "failed_stages": [{"spec": "small", **failed.as_json()}],
        "skipped_stages": [{"spec": "small", **skipped.as_json()}],
        "pruned_stages": [],
    }
    assert failed.as_json()["reason"] == "the loss is not finite"
