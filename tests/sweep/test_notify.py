"""Who is told of failures and of the end, and that a run never depends on them."""

from __future__ import annotations

import http.server
import json
import threading

import pytest

from mfsweep.sweep.notify import Notifier


@pytest.fixture
def hook():
    """Serve a web hook; give its address, what it was told, and the code that it answers with."""
    told = []

    class Hook(http.server.BaseHTTPRequestHandler):
        code = 200

        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(Hook.code)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), Hook)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/", told, Hook
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_web_hook_and_a_command_are_told_in_order(hook, tmp_path):
    address, told, _ = hook
    command = f'cat >> "{tmp_path}/told"; echo " $MFSWEEP_EVENT: $MFSWEEP_TEXT" >> "{tmp_path}/told"'
    warned = []
    with Notifier([address, command], warned.append) as notifier:
        notifier.failed("small", "pretrain size=3", "loss is not finite\nat step 2")
        notifier.tell("ended", "small ended: 1 run", run=1)
    assert not warned
    assert [(one["event"], one["text"]) for one in told] == [
        ("failed", "small: pretrain size=3 failed: loss is not finite"),
        ("ended", "small ended: 1 run"),
    ]
    assert told[1]["run"] == 1
    lines = (tmp_path / "told").read_text().splitlines()
    assert json.loads(lines[0].partition("} ")[0] + "}") == told[0]
    assert [line.partition("} ")[2] for line in lines] == [f"{one['event']}: {one['text']}" for one in told]


@pytest.mark.parametrize("target", ["exit 3", "no-such-command-here", "http://127.0.0.1:1/hook"])
def test_one_that_cannot_be_told_is_said_and_costs_nothing_else(hook, target):
    address, told, _ = hook
    warned = []
    with Notifier([target, address], warned.append) as notifier:
        notifier.tell("ended", "over")
    assert len(told) == 1
    assert len(warned) == 1
    assert warned[0].startswith(f"warning: --notify {target}: ")
    assert "\n" not in warned[0]


def test_a_hook_that_refuses_is_said(hook):
    address, _, server = hook
    server.code = 500
    warned = []
    with Notifier([address], warned.append) as notifier:
        notifier.tell("ended", "over")
    assert "500" in warned[0]


def test_a_run_that_breaks_off_is_told_too_and_its_error_goes_on(hook):
    address, told, _ = hook
    with pytest.raises(ValueError, match="defect"), Notifier([address], print):
        raise ValueError("a defect\nof ours")
    assert told[0]["text"] == "the run broke off: a defect"


def test_nobody_is_told_where_nobody_was_named():
    with Notifier([], print) as notifier:
        notifier.tell("ended", "over")
        assert notifier._events.empty()
