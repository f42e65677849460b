import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from undisturbed import check_as_undisturbed

from mfsweep.cli.main import main

COMMANDS = ("plan", "run", "bench", "status", "fit", "report", "ui", "track rebuild")


@pytest.fixture
def mfsweep(called, tmp_path):
    """Give a function that runs a command on a store of its own; it returns exit code, output and errors."""
    return lambda *args: called(*args, "--store", tmp_path / "store")


HEARS_ALL = """
import os, signal, sys
for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(one, signal.SIG_DFL)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Becomes a command that ignores no signal, as one would that `nohup` starts, or a script in the background."""


def test_help_lists_every_command_and_the_exit_codes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    text = capsys.readouterr().out
    assert ended.value.code == 0
    assert "130 interrupted" in text
    assert all(f"\n  {command.split()[0]} " in text for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_shows_an_example(capsys, command):
    with pytest.raises(SystemExit):
        main([*command.split(), "--help"])
    assert f"mfsweep {command} " in capsys.readouterr().out.partition("Example")[2]


def test_plan_prints_its_counts_as_json(mfsweep, write_spec, tmp_path):
    code, out, _ = mfsweep("plan", write_spec(), "--json")
    assert code == 0
    printed = json.loads(out)
    assert printed.keys() > {"specs", "cost", "warnings"}
    assert {name: count for name, count in printed.items() if isinstance(count, int)} == {
        "cells": 6,
        "stages": 8,
        "stages_without_sharing": 10,
        "done": 0,
        "steps_at_most": 32,
        "steps_at_most_without_sharing": 40,
    }
    assert not (tmp_path / "store").exists(), "a plan writes nothing"


def test_plan_prints_a_row_for_each_kind_of_stage(mfsweep, write_spec):
    code, out, _ = mfsweep("plan", write_spec())
    assert code == 0
    assert "8 stages to train once, in place of 10; 0 done already" in out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ((("start_from:", "start_form:"),), "small.yaml:22: stages.finetune.start_form: got 'start_form', expected one of"),
        ((("source: bundled:mini-ccx", "source: bundled:mini-cxx"),), "mini-ccx"),
        ((("wb97x_631gd.energy", "wb97x_631gd.enrgy"),), "wb97x_631gd.energy"),
        ((("{size: 60, validation: 20", "{size: 6000, validation: 20"),), "6000"),
        ((("[0, 20, 40]", "[0, 20, 4000]"),), "4000"),
        ((("max_steps: 4", "max_steps: 4\n    batch: {max_atoms: 5}"),), "atoms"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["plan", "run"])
def test_wrong_input_ends_in_one_message_and_2_before_anything_starts(
    mfsweep, write_spec, tmp_path, command, changes, says
):
    code, out, err = mfsweep(command, write_spec(*changes))
    assert code == 2
    assert err.startswith("mfsweep: ")
    assert says in err
    assert "Traceback" not in out + err
    assert not (tmp_path / "store").exists()


def test_a_wrong_option_ends_in_2(mfsweep, write_spec):
    code, _, err = mfsweep("plan", write_spec(), "--jsn")
    assert code == 2
    assert "No such option" in err


def test_an_unreachable_cluster_ends_in_2(write_spec, tmp_path):
    # In a process of its own: this one may be on a cluster already.
    command = [sys.executable, "-m", "mfsweep", "run", str(write_spec()), "--store", str(tmp_path / "store")]
    environment = os.environ | {"RAY_ADDRESS": "127.0.0.1:1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("mfsweep: RAY_ADDRESS=127.0.0.1:1: no Ray cluster answers there")


def test_an_unreachable_tracking_server_ends_in_2_before_anything_runs(without_ray, mfsweep, write_spec, tmp_path):
    code, _, err = mfsweep("run", write_spec(), "--tracking-uri", "http://127.0.0.1:9")
    assert code == 2
    assert "127.0.0.1:9" in err
    assert not list((tmp_path / "store" / "stages").iterdir())


def test_a_refused_tracking_uri_is_named_by_what_has_named_it(without_ray, mfsweep, write_spec, monkeypatch):
    address = "http://someone:secret@127.0.0.1:9"
    by_spec = write_spec(("resources:", f"tracking: {{uri: '{address}'}}\nresources:"))
    refused = {
        "--tracking-uri": mfsweep("run", write_spec(name="plain.yaml"), "--tracking-uri", address),
        "`tracking:` in the spec": mfsweep("run", by_spec),
    }
    monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
    refused["MLFLOW_TRACKING_URI"] = mfsweep("run", by_spec)
    for given, (code, _, err) in refused.items():
        said = err.splitlines()
        assert code == 2
        assert any(line.startswith(f"mfsweep: {given}: the tracking server http://***@127.0.0.1:9") for line in said), (
            err
        )
        assert "secret" not in err


def test_status_and_fit_of_an_empty_store_say_so(mfsweep, write_spec, store):
    code, out, _ = mfsweep("status", write_spec(), "--json")
    assert (code, {row["state"] for row in json.loads(out)["stages"]}) == (0, {"to do"})
    code, out, _ = mfsweep("fit", write_spec())
    assert code == 0
    assert "refused" in out


@pytest.mark.parametrize("command", ["plan", "run", "status", "fit", "report"])
def test_a_fit_of_what_does_not_exist_ends_in_2(mfsweep, write_spec, tmp_path, command):
    spec = write_spec(("x: pretrain.validation.energy_mae", "x: pretrian.validation.energy_mae"))
    code, _, err = mfsweep(command, spec)
    assert code == 2
    assert "small.yaml:30: fits.transfer.x: got 'pretrian.validation.energy_mae'" in err
    assert "Did you mean 'pretrain'?" in err
    assert not (tmp_path / "store").exists()


def test_ui_of_a_store_without_runs_ends_in_2(mfsweep):
    code, _, err = mfsweep("ui")
    assert code == 2
    assert "nothing has been run" in err


@pytest.mark.cluster
@pytest.mark.parametrize(
    "endings",
    [
        [signal.SIGINT],
        pytest.param([signal.SIGINT, signal.SIGINT], marks=pytest.mark.drill),
        pytest.param([signal.SIGTERM], marks=pytest.mark.drill),
        pytest.param([signal.SIGHUP], marks=pytest.mark.drill),
    ],
    ids=["Ctrl-C", "Ctrl-C twice", "SIGTERM", "SIGHUP"],
)
def test_what_asks_a_run_to_end_stops_it_cleanly_and_the_next_run_goes_on(
    without_ray, called, mfsweep, write_spec, tmp_path, endings
):
    spec = write_spec(("max_steps: 4", "max_steps: 100"), ("[0, 20, 40]", "[20]"), ("[20, 60]", "[20]"))
    store = tmp_path / "store"
    command = [sys.executable, "-m", "mfsweep", "run", str(spec), "--store", str(store), "--json"]
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    process = subprocess.Popen(
        [sys.executable, "-c", HEARS_ALL, *command],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and process.poll() is None:
        if list(store.glob("stages/*/checkpoints/last.pt")):
            break
        time.sleep(0.05)
    for ending in endings:
        os.killpg(process.pid, ending)  # as a terminal, `timeout` and a batch system do
        time.sleep(0.3)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130, err
    assert f"Go on with: mfsweep run {spec}" in err
    assert "Traceback" not in err
    first = json.loads(out)
    assert (first["failed"], first["interrupted"]) == (0, True)

    code, out, err = mfsweep("run", spec, "--json")
    assert code == 0, err
    assert json.loads(out) == {
        "run": 2 - first["run"],
        "reused": first["run"],
        "failed": 0,
        "skipped": 0,
        "pruned": 0,
        "interrupted": False,
        "disk_full": False,
        "failed_stages": [],
        "skipped_stages": [],
        "pruned_stages": [],
    }
    peace = tmp_path / "peace"
    assert called("run", spec, "--store", peace)[0] == 0
    check_as_undisturbed(store, peace, "small")


@pytest.mark.parametrize(("code", "exits"), [(errno.ENOSPC, 1), (errno.EDQUOT, 1)])
def test_a_full_disk_is_said_in_a_line(mfsweep, monkeypatch, write_spec, code, exits):
    def refuse(*_, **__):
        raise OSError(code, os.strerror(code), "/shared/store/report.html")

    monkeypatch.setattr("mfsweep.sweep.sweep.prepare", refuse)
    found, _, err = mfsweep("status", write_spec())
    assert found == exits
    assert err == "mfsweep: the disk is full (/shared/store/report.html). Make room and run it again\n"
