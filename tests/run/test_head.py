"""A head that goes away: waited for, said, and at last a sentence and an exit code."""

import socket
import threading
import time

import pytest

from mfsweep.run import head


@pytest.fixture(autouse=True)
def soon(monkeypatch):
    """Wait for tenths of seconds, not for minutes."""
    monkeypatch.setattr(head, "LOOK_SECONDS", 0.05)
    monkeypatch.setattr(head, "SAID_SECONDS", 0.3)
    monkeypatch.setattr(head, "RAYS_SECONDS", 2.0)
    monkeypatch.setattr(head, "MARGIN_SECONDS", 0.5)
    monkeypatch.delenv("RAY_gcs_rpc_server_reconnect_timeout_s", raising=False)


def listen(port=0):
    return socket.create_server(("127.0.0.1", port), backlog=100)


def until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.02)


def test_a_head_that_answers_is_no_word_worth():
    said, left = [], []
    with listen() as server, head.watched(f"127.0.0.1:{server.getsockname()[1]}", said.append, left.append):
        time.sleep(1)
    assert said == left == []


def test_a_head_that_comes_back_is_waited_for():
    said, left = [], []
    server = listen()
    port = server.getsockname()[1]
    with head.watched(f"127.0.0.1:{port}", said.append, left.append):
        server.close()
        until(lambda: said)
        with listen(port):
            until(lambda: len(said) == 2)
            time.sleep(0.5)
    assert "does not answer. The run waits for it" in said[0]
    assert said[1].endswith("answers again; the run goes on.")
    assert left == []


def test_a_head_that_stays_away_ends_the_run_once_in_a_sentence():
    said, left = [], []
    server = listen()
    address = f"127.0.0.1:{server.getsockname()[1]}"
    with head.watched(address, said.append, left.append):
        server.close()
        until(lambda: left)
    assert left == [1]
    assert said[1].startswith(f"mfsweep: the head of the Ray cluster at {address} has not answered for ")
    assert "run the same command again: what was done is kept" in said[1]
    assert len(said) == 2


def test_the_watch_ends_with_what_it_watches():
    before = threading.active_count()
    with listen() as server, head.watched(f"127.0.0.1:{server.getsockname()[1]}", print, print):
        assert threading.active_count() == before + 1
    assert threading.active_count() == before


@pytest.mark.parametrize(("set_", "seconds"), [("", 45), ("600", 585), ("1", 12), ("soon", 45)])
def test_it_leaves_before_ray_does(monkeypatch, set_, seconds):
    monkeypatch.undo()
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", set_)
    assert head.patience() == seconds
