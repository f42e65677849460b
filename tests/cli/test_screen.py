"""What is printed where nobody looks, where nobody looks any more, and where it is read later."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys

import pytest
from rich.table import Table

from mfsweep.cli import screen
from mfsweep.store import StoreFolder
from mfsweep.sweep.screen import console


def test_a_file_gets_the_whole_of_every_line(capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("key", "state", box=None)
    table.add_row("k" * 200, "done")
    console().print(table)
    console().print("word " * 100)
    out = capsys.readouterr().out
    assert "k" * 200 in out
    assert out.count("\n") == 3


def test_whoever_sets_a_width_gets_it(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    console().print("word " * 100)
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 60


class Gone(io.StringIO):
    """A stream whose reader has left after the first line."""

    def __init__(self, code):
        super().__init__()
        self.code = code
        self.handle = os.open(os.devnull, os.O_WRONLY)

    def write(self, text):
        if self.getvalue().endswith("\n"):
            raise OSError(self.code, os.strerror(self.code))
        return super().write(text)

    def fileno(self):
        return self.handle


@pytest.mark.parametrize("code", [errno.EPIPE, errno.EIO])
def test_a_command_goes_on_when_its_reader_leaves(monkeypatch, code):
    stream = Gone(code)
    monkeypatch.setattr(sys, "stdout", stream)
    with screen.lenient_output():
        for _ in range(3):
            sys.stdout.write("0\n")
            console().print("0")
    assert sys.stdout is stream
    assert stream.getvalue() == "0\n"


def test_other_trouble_with_the_output_is_told(monkeypatch):
    monkeypatch.setattr(sys, "stdout", Gone(errno.ENOSPC))
    with screen.lenient_output():
        sys.stdout.write("0\n")
        with pytest.raises(OSError, match="No space left"):
            sys.stdout.write("0\n")


@pytest.mark.parametrize("lines", [0, 1])
def test_a_command_whose_output_is_cut_off_says_nothing_and_returns_what_it_would(write_spec, tmp_path, lines):
    """As `mfsweep status ... | head` does."""
    StoreFolder(tmp_path / "store").prepare()
    command = [sys.executable, "-m", "mfsweep", "status", str(write_spec()), "--store", str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        for _ in range(lines):
            process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(timeout=120) == 0
