"""RAY_ADDRESS: whatever it names, one sentence says within seconds why it cannot be joined."""

import os
import socket
import subprocess
import sys
import time

import pytest
from clusters import cluster
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.errors import ResourceError
from mfsweep.run import address
from mfsweep.run.address import reachable


@pytest.fixture
def refusal():
    """Give a function that returns what is said of an address, a sentence without a line break."""

    def said(value):
        begun = time.monotonic()
        with pytest.raises(ResourceError) as raised:
            reachable(value)
        assert time.monotonic() - begun < 20, "within seconds"
        assert "\n" not in str(raised.value)
        assert str(raised.value).startswith(f"RAY_ADDRESS={value}")
        return str(raised.value)

    return said


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("http://head.lab:8265", "got an address like the dashboard's (port 8265). On a node of the cluster set RAY_ADDRESS=head.lab:6379"),
        ("https://head.lab/", "RAY_ADDRESS=head.lab:6379; from elsewhere submit the run as a job"),
        ("ray://head.lab:10001", "Ray Client's, through which no sweep can run"),
        ("head.lab", "expected host:port of a cluster's head, for example head.lab:6379"),
        ("head.lab:", "for example head.lab:6379"),
        ("head.lab:gcs", "expected host:port"),
        ("head.lab:65536", "expected host:port"),
        ("127.0.0.1:1", "no Ray cluster answers there: [Errno 111] Connection refused. Start one with `ray start --head`"),
        ("nowhere.invalid:6379", "no Ray cluster answers there"),
        ("head..lab:6379", "no Ray cluster answers there"),
        ("x" * 300 + ":6379", "no Ray cluster answers there"),
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_one_is_said_with_the_way_on(refusal, value, said):
    assert said in refusal(value)


@given(st.text(min_size=1, max_size=30))
def test_no_text_ends_in_anything_but_a_sentence(text):
    try:
        found = address._resolved(f"x{text}")
    except ResourceError:
        return
    host, port = found.rsplit(":", 1)
    assert host
    assert 0 <= int(port) <= address.LARGEST_PORT


def test_auto_does_not_wait_for_a_cluster_that_has_left_its_address_behind(refusal, tmp_path, monkeypatch):
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("127.0.0.1:1")
    monkeypatch.setattr(address.services, "find_gcs_addresses", set)  # another cluster may run on this machine
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    monkeypatch.setenv("RAY_ADDRESS", "auto")
    assert "no Ray cluster answers there: [Errno 111] Connection refused" in refusal("auto")


def test_what_listens_and_is_no_cluster_is_not_waited_for(refusal, monkeypatch):
    monkeypatch.setattr(address, "ANSWER_SECONDS", 2.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        said = refusal(f"127.0.0.1:{server.getsockname()[1]}")
    assert "no Ray cluster answers there: what listens there is silent for 2 s" in said


@pytest.mark.slow
@pytest.mark.cluster
def test_a_cluster_says_what_keeps_a_run_from_joining_it(tmp_path):
    program = """
import sys, time
from mfsweep.errors import ResourceError
from mfsweep.run.address import reachable
begun = time.monotonic()
try:
    print("joins", reachable(sys.argv[1]))
except ResourceError as error:
    print(error)
print(time.monotonic() - begun < 30)
"""
    of_another_version = """
import json, sys
from ray._common.usage.usage_constants import CLUSTER_METADATA_KEY as KEY
from ray._raylet import GcsClient
client = GcsClient(address=sys.argv[1])
metadata = json.loads(client.internal_kv_get(KEY, b"cluster"))
client.internal_kv_put(KEY, json.dumps(metadata | {"ray_version": "2.9.0"}).encode(), True, b"cluster")
"""

    def run(code, environment):
        done = subprocess.run(
            [sys.executable, "-c", code, made.address],
            env=environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout, done.stderr

    wrong = tmp_path / "wrong"
    wrong.write_text("a" * 64)
    with cluster() as made:
        environment = made.environment(HOME=str(tmp_path), PYTHONPATH=os.pathsep.join(sys.path))
        assert run(program, environment) == (f"joins {made.address}\nTrue\n", "")
        without = {name: value for name, value in environment.items() if not name.startswith("RAY_AUTH")}
        for other in (without, environment | {"RAY_AUTH_TOKEN_PATH": str(wrong)}, without | {"RAY_AUTH_MODE": "token"}):
            said, noise = run(program, other)
            assert "that cluster asks for a token, and this process has none or another. Set RAY_AUTH_MODE" in said
            assert said.endswith("True\n")
            assert noise == ""
        run(of_another_version, environment)
        said, _ = run(program, environment)
        assert "that cluster has Ray 2.9.0 and Python 3.11" in said
