from __future__ import annotations

import io
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from mfsweep.cli.data import labelling
from mfsweep.data import dataset, journal
from mfsweep.data.labellers import parse
from mfsweep.run.labelling import LabelSummary, Request

COUNT = 20
SLOW = '''
import time
from pathlib import Path
from ase.calculators.calculator import Calculator, all_changes

class Slow(Calculator):
    """Takes some time, and notes for what."""

    implemented_properties = ["energy"]
    default_parameters = {"seconds": 0.0, "notes": None, "fail": False}

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        time.sleep(self.parameters.seconds)
        if self.parameters.fail:
            raise RuntimeError("it never converges")
        Path(self.parameters.notes, f"{atoms.positions[0, 0]:.0f}.{time.monotonic_ns()}").touch()
        self.results = {"energy": -float(atoms.positions[0, 0])}
'''


@pytest.fixture
def data_store(tmp_path: Path) -> Path:
    path = tmp_path / "set.h5"
    positions = np.zeros((COUNT, 2, 3))
    positions[:, :, 0] = np.arange(COUNT)[:, None]
    positions[:, 1, 2] = 1.13
    with dataset.Writer(path, energies=["cc"]) as writer:
        species = np.tile(np.array([6, 8], np.uint8), COUNT)
        energies = {"cc": np.full(COUNT, -3000.0)}
        writer.add(dataset.Chunk(np.full(COUNT, 2), species, positions.reshape(-1, 3), energies, {}))
        writer.finish({})
    return path


@pytest.fixture
def label(called):
    """Give a function that runs the command here; it returns exit code, output and errors."""

    def run(*args):
        code, out, err = called("data", "label", *args)
        return code, out, " ".join(err.split())

    return run


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--method", "gfn2xtb"], "Did you mean 'gfn2-xtb'"),
        (["--method", "gfn2-xtb", "--options", "accuracy=1"], "expected a JSON object"),
        (["--method", "gfn2-xtb", "--options", '{"acc": 1}'], "accuracy, electronic_temperature"),
        (["--method", "gfn2-xtb", "--head", "cc"], "only a model has heads"),
        (["--method", "gfn2-xtb", "--as", "a/b"], "a name without `/`"),
        (["--method", "gfn2-xtb", "--as", "cc"], "came with the import"),
        (["--method", "model:abc", "--store", "nowhere"], "no stage"),
        (["--method", "model:abc", "--options", '{"a": 1}'], "a model has none"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(label, data_store, args, said):
    code, _, err = label(data_store, *args)
    assert code == 2
    assert err.startswith("mfsweep: ")
    assert said in err
    assert sorted(path.name for path in data_store.parent.iterdir()) == ["set.h5"]


def test_a_file_of_another_layout_has_to_be_imported_first(label, tmp_path):
    from mfsweep.data.source import resolve

    code, _, err = label(resolve("bundled:mini-ccx", tmp_path), "--method", "gfn2-xtb")
    assert code == 2
    assert "mfsweep data import" in err
    code, _, err = label(tmp_path / "none.h5", "--method", "gfn2-xtb")
    assert (code, "no such file" in err) == (2, True)


def test_a_relative_path_inside_a_job_is_refused(label, data_store, monkeypatch):
    monkeypatch.chdir(data_store.parent)
    monkeypatch.setenv("RAY_JOB_ID", "01000000")
    code, _, err = label("set.h5", "--method", "gfn2-xtb")
    assert code == 2
    assert "an absolute path on shared storage" in err


def test_a_folder_that_cannot_be_written_is_said(label, data_store, monkeypatch):
    def refuse(*args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", refuse)  # root may write into any folder
    code, _, err = label(data_store, "--method", "gfn2-xtb")
    assert code == 2
    assert "cannot be written: Permission denied" in err


def test_an_interrupt_says_how_to_go_on(label, data_store, monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(labelling, "label", interrupted)
    code, out, _ = label(data_store, "--method", "gfn2-xtb")
    assert code == 130
    assert "the same command goes on" in " ".join(out.split())


def test_progress_is_said_in_plain_lines_where_there_is_no_terminal(monkeypatch):
    monkeypatch.setattr(labelling, "HEARTBEAT_SECONDS", 0.0)
    out = io.StringIO()
    with labelling.LabellingDisplay(Console(file=out, width=120)) as display:
        display.begin("a local Ray cluster", 2, 2000)
        display.beat()
        display.advance(500, 3)
        display.beat()
    first, nothing, some = out.getvalue().splitlines()
    assert first == "On a local Ray cluster: 2 tasks at a time, 2,000 structures to label."
    assert nothing == "0 of 2,000 structures (0%), 0 failed"
    assert re.fullmatch(r"500 of 2,000 structures \(25%\), .* structures/s, about 0s left, 3 failed", some)


def test_the_commonest_reasons_are_said_with_a_structure():
    failures = {**dict.fromkeys((4, 7, 9), "worse"), 5: "bad", 2: "bad", 3: "odd", 8: "rare"}
    summary = LabelSummary(10, 10, 10, 0, 3, dict(sorted(failures.items())), 0.5, 2.0)
    out = io.StringIO()
    request = Request(Path("set.h5"), "emt", parse("ase:ase.calculators.emt.EMT", {}))
    labelling.say(Console(file=out, width=120), request, summary)
    said = out.getvalue()
    assert "7 structures failed" in said
    assert "3 x worse (the first is structure 4)" in said
    assert "2 x bad (the first is structure 2)" in said
    assert "and 1 other reasons" in said
    assert "5 structures/s" in said
    assert "0.5 core-seconds" in said


@pytest.mark.cluster
def test_a_store_is_labelled_and_then_there_is_nothing_to_do(ray_cluster, label, data_store):
    code, out, err = label(data_store, "--method", "gfn2-xtb", "--first", 3, "--json")
    assert code == 0
    printed = json.loads(out)
    assert (printed["name"], printed["labelled"], printed["failures"]) == ("gfn2_xtb", 3, {})
    assert printed["core_seconds_per_label"] == pytest.approx(
        np.nanmean(dataset.labellings(data_store)["gfn2_xtb"].seconds)
    )
    assert "3 structures computed" in err
    assert "costs: {METHOD: measured}" in err
    code, out, _ = label(data_store, "--method", "gfn2-xtb", "--first", 3)
    assert code == 0
    assert "Nothing to do" in out


@pytest.fixture
def slow(ray_cluster, data_store, tmp_path):
    """Give a function that starts the command in a process of its own, on the test cluster."""
    (tmp_path / "slow.py").write_text(SLOW)
    notes = tmp_path / "notes"
    notes.mkdir()
    environment = os.environ | {"RAY_ADDRESS": ray_cluster, "PYTHONPATH": str(tmp_path)}

    def start(**options) -> subprocess.Popen[str]:
        options = json.dumps({"seconds": 0.3, "notes": str(notes), **options})
        command = [sys.executable, "-m", "mfsweep", "data", "label", str(data_store), "--json", "--batch", "1"]
        command += ["--method", "ase:slow.Slow", "--options", options]
        return subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
        )

    return start


def kept_in(folder: Path) -> int:
    """Return how many structures a journal holds."""
    kept = 0
    for path in folder.glob("[0-9]*.npz"):
        with np.load(path) as file:
            kept += sum(len(file[name]) for name in file.files if name.endswith(".index"))
    return kept


def stop_after(process, structures: int, folder: Path, by: signal.Signals) -> None:
    deadline = time.monotonic() + 60
    while kept_in(folder) < structures:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "nothing came"
        time.sleep(0.02)
    process.send_signal(by)
    process.communicate()


@pytest.mark.slow
@pytest.mark.cluster
def test_a_killed_run_loses_what_was_in_flight_and_nothing_else(slow, data_store, tmp_path):
    folder = journal.place(data_store, "slow")
    process = slow()
    stop_after(process, 5, folder, signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    kept = kept_in(folder)
    assert set(dataset.methods(data_store)) == {"cc"}

    process = slow()
    out, err = process.communicate()
    assert process.returncode == 0, err
    printed = json.loads(out)
    assert (printed["resumed"], printed["tried"], printed["labelled"]) == (kept, COUNT - kept, COUNT)
    assert not folder.exists()
    labels = dataset.read(data_store, {"slow": dataset.methods(data_store)["slow"]}).labels["slow"]
    np.testing.assert_array_equal(labels.energy, -np.arange(COUNT))
    assert labels.forces is None
    # Killed with at most two tasks in flight on each of the cluster's four CPUs.
    assert COUNT <= len(list((tmp_path / "notes").iterdir())) <= COUNT + 8


@pytest.mark.slow
@pytest.mark.cluster
def test_when_all_fail_the_reason_is_said_and_the_exit_code_is_1(slow, data_store):
    process = slow(seconds=0, fail=True)
    _, err = process.communicate()
    assert process.returncode == 1
    assert "20 x RuntimeError: it never converges (the first is structure 0)" in err
    assert set(dataset.methods(data_store)) == {"cc"}
