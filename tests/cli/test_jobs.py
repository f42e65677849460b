"""`run --detach`, `logs` and `cancel`, against a server that speaks Ray's Jobs API; the client is Ray's own."""

from __future__ import annotations

import json
import shlex

import pytest
from jobs_api import JobsApi

from mfsweep.cli.main import main
from mfsweep.spec.load import load


@pytest.fixture
def api(monkeypatch):
    for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "MLFLOW_TRACKING_URI", "MFSWEEP_STORE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with JobsApi().serving() as served:
        yield served


@pytest.fixture
def command(capsys):
    """Give a function that calls the command line; it returns the exit code and what was printed."""

    def call(*words):
        with pytest.raises(SystemExit) as ended:
            main([str(word) for word in words])
        said = capsys.readouterr()
        return ended.value.code, said.out + said.err

    return call


def submit(command, api, spec, *words):
    code, said = command("run", spec, "--store", "/shared/store", "--detach", "--address", api.address, *words)
    assert code == 0, said
    return said


def test_a_condition_goes_along_with_what_its_decision_is_of(api, command, write_spec):
    words = ["--until", "budget.regret < 5 %", "--unit", "core hours", "--budget", "500.0", "--cost", "cc=10.0"]
    submit(command, api, write_spec(), *words, "--cost", "dft=0.5")
    (job,) = api.jobs.values()
    asked = shlex.split(job["entrypoint"])[5:]
    pairs = set(zip(asked[::2], asked[1::2], strict=True))
    assert pairs == {*zip(words[::2], words[1::2], strict=True), ("--cost", "dft=0.5")}


def test_a_run_is_shipped_with_its_spec_and_its_options_and_can_be_followed_and_ended(api, command, write_spec):
    spec = write_spec()
    said = submit(
        command, api, spec, "--workers", "2", "--smoke", "--json", "--tracking-uri", "http://me:pw@mlflow.lab",
        "--notify", "https://hooks.lab/s3cret", "--notify", "tell-me",
    )  # fmt: skip
    (name,) = api.jobs
    job = api.jobs[name]
    assert name.startswith("mfsweep-small-")
    assert shlex.split(job["entrypoint"]) == [
        "mfsweep", "run", "small.yaml", "--store", "/shared/store", "--smoke", "--json", "--workers", "2",
    ]  # fmt: skip
    assert job["runtime_env"]["env_vars"] == {
        "RAY_JOB_STOP_WAIT_TIME_S": "60", "MLFLOW_TRACKING_URI": "http://me:pw@mlflow.lab",
        "MFSWEEP_NOTIFY": "https://hooks.lab/s3cret tell-me",
    }  # fmt: skip
    assert list(api.shipped.values()) == [{"small.yaml": spec.read_text()}]
    assert "pw@" not in said + job["entrypoint"]

    printed, *told = said.splitlines()
    assert json.loads(printed) == {"job": name, "specs": ["small"], "store": "/shared/store"}
    assert told[0] == f"Submitted as {name}."
    shown = [line.partition(":  ")[2] or line.partition(": ")[2] for line in told[1:3]]
    follow, end = (shlex.split(line)[1:] for line in shown)
    assert command(*follow) == (1, "one\ntwo\n"), "it has failed"
    code, said = command(*end)
    assert code == 0
    assert said.startswith(f"{name} failed since 2"), "ended already: it is left alone"


def test_what_is_told_beside_json_is_not_on_the_output(api, capsys, write_spec):
    words = ["run", write_spec(), "--store", "/shared/store", "--detach", "--address", api.address]
    outputs = []
    for more in ([], ["--json"]):
        with pytest.raises(SystemExit):
            main([*map(str, words), *more])
        outputs.append(capsys.readouterr())
    (plain, alone), (first, second) = outputs, api.jobs
    assert (plain.err, json.loads(alone.out)["job"]) == ("", second)
    assert alone.err == plain.out.replace(first, second)


def test_a_job_is_found_by_its_spec_the_latest_one(api, command, write_spec):
    first, second = write_spec(), write_spec()
    for spec in (first, second):
        submit(command, api, spec)
    old, new = api.jobs
    code, said = command("cancel", "small", "--address", api.address, "--json")
    assert code == 0
    assert (api.jobs[old]["status"], api.jobs[new]["status"]) == ("RUNNING", "STOPPED")
    assert json.loads(said.splitlines()[-1]) | {"started": 0, "ended": 0} == {
        "id": new, "status": "STOPPED", "specs": ["small"], "command": api.jobs[new]["entrypoint"],
        "started": 0, "ended": 0, "message": "",
    }  # fmt: skip
    assert command("logs", old, "--address", api.address) == (0, "one\ntwo\n")
    code, said = command("logs", "smal", "--address", api.address)
    assert code == 2
    assert "no job" in said
    assert "Did you mean 'small'" in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--detach"], "--address http://HEAD:8265 is needed"),
        (["--detach", "--address", "head:6379"], "expected the address of the cluster's dashboard, for example http://head:8265"),
        (["--detach", "--address", "ray://head:10001"], "for example http://head:8265"),
        (["--detach", "--address", "http://127.0.0.1:1"], "no dashboard of a Ray cluster answers there"),
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_said_in_a_sentence(api, command, write_spec, words, said):
    code, printed = command("run", write_spec(), "--store", "/shared/store", *words)
    assert code == 2
    assert said in printed
    assert "Traceback" not in printed


def test_what_only_this_machine_has_is_refused_with_its_line(api, command, write_spec):
    spec = write_spec(
        ("source: bundled:mini-ccx", "source: here.h5"), ("start_from: pretrain", 'start_from: "file:x.model"')
    )
    code, said = command("run", spec, "--store", "/shared/store", "--detach", "--address", api.address)
    assert code == 2
    assert f"{spec}:3: data.source: got 'here.h5', expected an absolute path on the cluster's shared storage" in said
    assert "stages.finetune.start_from: got 'x.model'" in said
    code, said = command("run", write_spec(), "--store", "store", "--detach", "--address", api.address)
    assert code == 2
    assert "--store store: with --detach an absolute path" in said
    code, said = command(
        "run", write_spec(("size: 60", "sise: 60")), "--store", "/s", "--detach", "--address", api.address
    )
    assert code == 2
    assert "Did you mean 'size'" in said
    assert not api.jobs


def test_two_specs_of_one_file_name_both_arrive(api, command, write_spec, tmp_path):
    first = write_spec()
    second = tmp_path / "other" / "small.yaml"
    second.parent.mkdir()
    second.write_text(first.read_text().replace("name: small", "name: second"))
    code, said = command("run", first, second, "--store", "/shared/store", "--detach", "--address", api.address)
    assert code == 0, said
    (job,) = api.jobs.values()
    assert shlex.split(job["entrypoint"])[2:4] == ["small.yaml", "1-small.yaml"]
    (shipped,) = api.shipped.values()
    names = {file: load_name(text, tmp_path) for file, text in shipped.items()}
    assert names == {"small.yaml": "small", "1-small.yaml": "second"}
    assert job["metadata"] == {"mfsweep.specs": "small,second", "mfsweep.store": "/shared/store"}


def load_name(text, folder):
    path = folder / "shipped.yaml"
    path.write_text(text)
    return load(path).experiment.name


def test_a_cluster_that_asks_for_a_token_is_told_apart_from_none(api, command, write_spec):
    api.token = "the head's"
    code, said = command("logs", "small", "--address", api.address)
    assert code == 2
    assert "asks for a token" in said
