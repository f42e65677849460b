"""Sweeps at odd places and with secrets in their addresses, from the command to every file of the store."""

import contextlib
import io
import sqlite3
import subprocess
import sys

import pytest
from rich.console import Console

from mfsweep.cli.main import main
from mfsweep.errors import SpecError, StoreError, TrackingError
from mfsweep.prepare import prepare
from mfsweep.spec.base import LONGEST_NAME
from mfsweep.spec.load import load
from mfsweep.sweep import places, results
from mfsweep.sweep import running as command

TWO_STAGES = (("[0, 20, 40]", "[20]"), ("[20, 60]", "[20]"))
SEARCHED = (
    ("  pretrain_size: [0, 20, 40]\n", "  rate: {low: 0.001, high: 0.01, log: true}\n"),
    ("[20, 60]", "[20]"),
    ('size: "${pretrain_size}"}]', 'size: 20}]\n    learning_rate: "${rate}"'),
    ("start_from: pretrain", "start_from: null"),
    ("    continued: {learning_rate: 1.0e-4}\n", '    learning_rate: "${rate}"\n'),
    ("fits:\n  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}\n",
     "search: {objective: validation.cc.energy_mae, trials: 1}\n"),
)  # fmt: skip
SECRET = "Zq-hunter2-qZ"


@pytest.fixture
def sweep(without_ray, tmp_path):
    """Give a function that runs a spec as the command does; it returns the summary and what was printed."""

    def run(path, store, uri=None):
        console = Console(record=True, width=200, file=io.StringIO())
        summary = command.run(prepare(path, tmp_path / store), console, uri)
        return summary, console.export_text()

    return run


def secret_uri(path):
    """Return the address of an sqlite file with a parameter that sqlite passes over."""
    return f"sqlite+pysqlite:///file:{path}?uri=true&token={SECRET}"


def test_no_file_of_a_store_and_no_line_on_the_screen_holds_a_secret(sweep, write_spec, tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    addresses = f'tracking: {{uri: "{secret_uri(store / "runs.db")}"}}\nresources:'
    storage = f'trials: 1, storage: "{secret_uri(store / "points.db")}"'
    path = write_spec(*SEARCHED, ("resources:", addresses), ("trials: 1", storage))
    summary, said = sweep(path, "store")
    assert summary.exit_code == 0, said
    assert SECRET not in said
    assert (store / "runs.db").exists()
    assert (store / "points.db").exists()
    files = [own for own in store.rglob("*") if own.is_file()]
    assert len(files) > 10
    assert [own for own in files if SECRET.encode() in own.read_bytes()] == []
    copy = store / "sweeps" / "small" / "spec.yaml"
    assert "token=***" in copy.read_text()

    # The copy serves every command that only reads; what needs the password says where to put it.
    analysed = results.analyse(prepare(copy, store))
    assert "token=***" in analysed.write_report().read_text()
    with pytest.raises(StoreError, match=r"search\.storage: .* Run your own spec"):
        sweep(copy, "store")


def test_a_run_of_a_copy_says_where_its_password_belongs(without_ray, write_spec, tmp_path):
    path = write_spec(("resources:", 'tracking: {uri: "postgresql://***@db.lab/sweeps"}\nresources:'))
    with pytest.raises(TrackingError, match=r"has no password: it comes from a copy of a spec.*--tracking-uri"):
        command.run(prepare(path, tmp_path / "store"), Console(file=io.StringIO()), None)


@pytest.mark.parametrize(
    "line",
    [
        f'tracking: {{uri: "nosuch://anna:{SECRET}@db.lab/sweeps"}}',
        f'tracking: {{uri: "postgresql://anna:{SECRET}@127.0.0.1:1/sweeps"}}',
        f'tracking: {{uri: "http://anna:{SECRET}@127.0.0.1:1"}}',
        f'tracking: ["postgresql://anna:{SECRET}{"x" * 60}@db.lab/sweeps"]',
        f'traking: "https://{SECRET}@db.lab"',
        f'tracking: {{uri: ["https://db.lab/?token={SECRET}"]}}',
    ],
)
def test_no_error_names_a_secret(without_ray, write_spec, tmp_path, capsys, line):
    path = write_spec(("resources:", f"{line}\nresources:"))
    with pytest.raises(SystemExit) as ended:
        main(["run", str(path), "--store", str(tmp_path / "store")])
    out, err = capsys.readouterr()
    assert ended.value.code == 2
    assert err
    assert "Zq-hunter2" not in out + err


def test_a_defect_of_ours_names_no_secret_either():
    program = f"""
from mfsweep.cli import main

class Broken:
    def main(self, *args, **options):
        raise ZeroDivisionError("postgresql://anna:{SECRET}@db")
main.cli = Broken()
main.main([])
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "ZeroDivisionError" in done.stderr
    assert SECRET not in done.stderr


@pytest.mark.slow
def test_a_store_at_the_oddest_place_holds_all_that_is_written(sweep, write_spec, tmp_path):
    name = 'lab\'s ~x? 50%20 #1;a&b="ä"'
    summary, said = sweep(write_spec(*TWO_STAGES), name)
    assert summary.exit_code == 0, said
    assert "MLflow:" not in said, "it took every artifact"
    store = tmp_path / name
    beside = {own.name for own in tmp_path.iterdir()} - {"small.yaml"}
    assert beside == {name}
    with contextlib.closing(sqlite3.connect(store / "mlflow.db")) as database:
        assert database.execute("select count(*) from runs").fetchone() == (3,)
    assert list((store / "mlartifacts").rglob("report.html"))
    assert (store / "sweeps" / "small" / "report.html").exists()
    again, _ = sweep(write_spec(*TWO_STAGES), name)
    assert (again.run, again.reused) == (0, 2)


@pytest.mark.parametrize("given", ["--store=~/kept", "MFSWEEP_STORE"])
def test_a_tilde_in_front_of_a_store_is_the_home_folder(write_spec, tmp_path, monkeypatch, capsys, given):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    options = [given] if given.startswith("--") else []
    if not options:
        monkeypatch.setenv(given, "~/kept")
    with pytest.raises(SystemExit) as ended:
        main(["bench", str(write_spec(*TWO_STAGES)), "--steps", "1", *options])
    assert ended.value.code == 0, capsys.readouterr()
    assert (tmp_path / "home" / "kept" / "costs.json").exists()


@pytest.mark.slow
def test_a_relative_database_of_a_spec_lies_beside_the_spec(sweep, write_spec, tmp_path, monkeypatch):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    path = write_spec(*TWO_STAGES, ("resources:", 'tracking: {uri: "sqlite:///runs.db"}\nresources:'))
    assert sweep(path, "store")[0].exit_code == 0
    assert (tmp_path / "runs.db").exists()
    assert list(elsewhere.iterdir()) == []


def test_a_relative_database_is_refused_inside_a_job(write_spec, tmp_path, monkeypatch):
    relative = "sqlite:///runs.db"
    tracked = prepare(write_spec(("resources:", f'tracking: {{uri: "{relative}"}}\nresources:')), tmp_path / "store")
    searched = prepare(write_spec(*SEARCHED, ("trials: 1", f'trials: 1, storage: "{relative}"')), tmp_path / "store")
    plain = prepare(write_spec(), tmp_path / "store")
    for plan, uri in ((tracked, None), (searched, None), (plain, relative)):
        places.refuse_relative_databases(plan, uri)
    monkeypatch.setenv("RAY_JOB_ID", "1")
    with pytest.raises(
        SpecError, match=r"tracking\.uri: got 'sqlite:///runs\.db', expected an absolute path on shared"
    ):
        places.refuse_relative_databases(tracked, None)
    places.refuse_relative_databases(tracked, "http://mlflow.lab:5000")
    with pytest.raises(SpecError, match=r"search\.storage: got"):
        places.refuse_relative_databases(searched, None)
    with pytest.raises(TrackingError, match=r"MLFLOW_TRACKING_URI"):
        places.refuse_relative_databases(plain, relative)
    places.refuse_relative_databases(plain, f"sqlite:///{tmp_path}/runs.db")


@pytest.mark.parametrize(
    "change",
    [
        lambda name: ("name: small", f"name: {name}"),
        lambda name: ("pretrain_size", name),
        lambda name: ("finetune_size", name),
        lambda name: ("pretrain:", f"{name}:"),
        lambda name: ("  transfer:", f"  {name}:"),
        lambda name: ("cc", name),
        lambda name: ("    dft:", f"    {name}:"),
    ],
)
def test_a_name_that_no_file_could_have_is_refused_in_a_sentence(write_spec, change):
    with pytest.raises(SpecError, match=rf"expected .*at most {LONGEST_NAME} ") as raised:
        load(write_spec(change("n" * 300)))
    assert all(len(line) < 500 for line in str(raised.value).splitlines())


def test_a_store_that_no_folder_could_be_is_refused_in_a_sentence(write_spec, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["plan", str(write_spec()), "--store", "x" * 300])
    assert ended.value.code == 2
    assert "is no path of a folder: [Errno 36] File name too long" in " ".join(capsys.readouterr().err.split())


@pytest.mark.parametrize("source", ["x" * 300, "~nobody-of-that-name/x.h5", r"a\0b"])
def test_a_data_path_that_cannot_be_one_is_refused_in_a_sentence(write_spec, tmp_path, capsys, source):
    path = write_spec(("source: bundled:mini-ccx", f'source: "{source}"'))
    with pytest.raises(SystemExit) as ended:
        main(["status", str(path), "--store", str(tmp_path / "store")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "data.source: expected the path of a file, got" in said or "there is no user 'nobody-of-that-name'" in said
