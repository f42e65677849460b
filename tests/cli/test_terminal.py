"""The live display of a real run in a real terminal of 80 columns: nothing wraps, and nobody waits in silence."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time

import pytest

WIDTH = 80
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07]*\x07")
SAID = re.compile(r" *(\d+[dhm] )*\d+[hms]  ")
"""How a line begins that stays above the display: the terminal wraps it, so that it is copied whole."""
SILENCE = 20.0
"""Seconds without a byte that a person on a busy machine puts up with."""


def shown(text):
    """Return what was written, each time that the cursor went back to the left in a line of its own."""
    return CONTROL.sub("", text.replace("\r", "\n"))


class Terminal:
    """A pseudo-terminal with a program in it, and when it said what."""

    def __init__(self, command):
        environment = {**os.environ, "TERM": "xterm-256color"}
        environment.pop("COLUMNS", None)
        self._pid, self._master = pty.fork()
        if not self._pid:
            os.execve(command[0], command, environment)
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", 40, WIDTH, 0, 0))
        self._code = None
        self.text = ""
        self.silence = 0.0
        self._last = time.monotonic()

    def read(self, until, seconds):
        """Read until a text has come, or the program has ended."""
        end = time.monotonic() + seconds
        while time.monotonic() < end and not re.search(until, shown(self.text)):
            if not select.select([self._master], [], [], 0.2)[0]:
                continue
            try:
                content = os.read(self._master, 65536)
            except OSError:
                return
            if not content:
                return
            now = time.monotonic()
            self.silence, self._last = max(self.silence, now - self._last), now
            self.text += content.decode(errors="replace")

    def press(self, key):
        os.write(self._master, key)
        self._last = time.monotonic()

    def ended(self):
        self._code = os.waitstatus_to_exitcode(os.waitpid(self._pid, 0)[1])
        return self._code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        """Leave no program that runs on, whatever was wrong with it."""
        if self._code is None:
            os.kill(self._pid, signal.SIGKILL)
            self.ended()


@pytest.mark.slow
def test_a_run_in_80_columns_is_never_silent_and_wraps_nothing(write_spec, tmp_path):
    long = "    max_steps: 20000\n    validate_every: 20\n    continued"
    spec = write_spec(("    max_steps: 4\n    validate_every: 2\n    continued", long))
    command = [sys.executable, "-m", "mfsweep", "run", str(spec), "--store", str(tmp_path / "store")]
    with Terminal(command) as terminal:
        terminal.read(r"stages done, [1-9]\d* running", 300)
        assert re.search(r"stages done, [1-9]", shown(terminal.text)), terminal.text[-2000:]
        assert terminal.silence < SILENCE
        started = len(terminal.text)
        terminal.read("\0", 5)
        live = shown(terminal.text[started:])
        drawn = [line.rstrip() for line in live.split("\n") if not SAID.match(line)]
        assert any("=" in line for line in drawn), live
        assert max(map(len, drawn)) <= WIDTH
        first = re.findall(r"about .* left", live)
        assert not first or "0 of" not in live, "an estimate before anything ended"
        terminal.silence = 0.0
        terminal.press(b"\x03")
        answered = len(terminal.text)
        terminal.read("\0", 120)
        assert terminal.ended() == 130
        assert shown(terminal.text[answered:]).strip()
        assert terminal.silence < SILENCE
