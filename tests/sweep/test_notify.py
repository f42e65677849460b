"""Who is told of failures and of the end, and that a run never depends on them."""

from __future__ import annotations

import http.server
import json
import math
import re
import shlex
import subprocess
import threading

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.sweep import notify
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
        notifier.tell("ended", "small ended: 1 run", run=1, width=math.inf)
    assert not warned
    assert [(one["event"], one["text"]) for one in told] == [
        ("failed", "small: pretrain size=3 failed: loss is not finite"),
        ("ended", "small ended: 1 run"),
    ]
    assert (told[1]["run"], told[1]["width"]) == (1, None)
    lines = (tmp_path / "told").read_text().splitlines()
    assert json.loads(lines[0].partition("} ")[0] + "}") == told[0]
    assert [line.partition("} ")[2] for line in lines] == [f"{one['event']}: {one['text']}" for one in told]


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("exit 3", "exit: exit code 3"),
        ("kill -9 $$", "kill: ended by signal 9"),
        ("no-such-command-here", "no-such-command-here: exit code 127"),
        ("TOKEN=s3cret false", "a command: exit code 1"),
        ("http://127.0.0.1:1/hook", "http://127.0.0.1: ConnectionError"),
        (" HTTPS://me:s3cret@[::1]:1/s3cret", "https://::1: ConnectionError"),
        ("https://me:s3/cret@host/", "a web hook: InvalidURL"),
    ],
)
def test_one_that_cannot_be_told_is_said_and_costs_nothing_else(hook, target, said):
    address, told, _ = hook
    warned = []
    with Notifier([target, address], warned.append) as notifier:
        notifier.tell("ended", "over")
    assert len(told) == 1
    assert warned == [f"warning: --notify {said}"]


SECRET = "q7Zx"
_SECRETS = st.text("aZ9 /?#&=:@%;$'\"\\-_.", max_size=8).map(lambda text: f"{text}{SECRET}{text[::-1]}")
_HIDDEN = st.one_of(st.just(""), _SECRETS)


@st.composite
def addresses(draw):
    scheme = draw(st.sampled_from(["http", "https", "HTTPS"]))
    user, path, query, fragment = (draw(_HIDDEN) for _ in range(4))
    port = draw(st.sampled_from(["", ":9", ":port"]))
    query, fragment = query and f"?{query}", fragment and f"#{fragment}"
    return (
        f"{scheme}://{user and f'{user}@'}hooks.example{port}/{path}{query}{fragment}",
        "(https?://hooks.example|a web hook)",
    )


@st.composite
def commands(draw):
    argument = st.tuples(st.sampled_from(["", "-H", "--token="]), _SECRETS | _SECRETS.map(shlex.quote)).map("".join)
    words = [draw(st.sampled_from(["curl", "~/bin/tell-me", "./notify.sh"])), *draw(st.lists(argument, max_size=3))]
    before = draw(st.sampled_from(["", "TOKEN={} ", "A=1 TOKEN={} ", "$(cat {}) ", "{{ {}; }} | "])).format(
        draw(_SECRETS)
    )
    between = draw(st.sampled_from([" ", ";", "|", "\n"]))
    return before + between.join(words), "a command" if before else f"({re.escape(words[0])}|a command)"


@given(
    addresses() | commands(),
    st.sampled_from(
        [
            lambda target: requests.ConnectionError(f"no route to {target}"),
            requests.Timeout,
            lambda target: requests.HTTPError(target, response=response(403, target)),
            lambda target: subprocess.CalledProcessError(22, target),
            lambda target: subprocess.TimeoutExpired(target, 30),
            lambda target: OSError(7, "Argument list too long", target),
            ValueError,
        ]
    ),
)
def test_no_part_of_a_target_that_may_be_secret_is_said(named, fails):
    (target, name), warned = named, []

    def fail(*_):
        raise fails(target)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notify, "_tell", fail)
        with Notifier([target], warned.append) as notifier:
            notifier.tell("ended", "over")
    (said,) = warned
    assert re.fullmatch(rf"warning: --notify {name}: [\w ]+", said)
    assert SECRET.lower() not in said.lower()


def response(code, reason):
    made = requests.Response()
    made.status_code, made.reason = code, reason
    return made


def test_a_hook_that_refuses_is_said(hook):
    address, _, server = hook
    server.code = 500
    warned = []
    with Notifier([address], warned.append) as notifier:
        notifier.tell("ended", "over")
    assert warned == ["warning: --notify http://127.0.0.1: HTTP status 500"]


def test_a_run_that_breaks_off_is_told_too_and_its_error_goes_on(hook):
    address, told, _ = hook
    with pytest.raises(ValueError, match="defect"), Notifier([address], print):
        raise ValueError("a defect\nof ours")
    assert told[0]["text"] == "the run broke off: a defect"


def test_nobody_is_told_where_nobody_was_named():
    with Notifier([], print) as notifier:
        notifier.tell("ended", "over")
        assert notifier._events.empty()
