"""What tests of the command line share."""

from __future__ import annotations

import pytest

from mfsweep.cli.main import main


@pytest.fixture
def called(capsys):
    """Give a function that runs a command; it returns exit code, output and errors."""

    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main([*map(str, args)])
        out, err = capsys.readouterr()
        return ended.value.code, out, err

    return run


@pytest.fixture
def called_in_folder(called, tmp_path, monkeypatch):
    """Give the same in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return called
