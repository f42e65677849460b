import subprocess
import sys

import left_behind
import pytest


def test_a_process_of_a_process_that_stays_is_found(monkeypatch):
    monkeypatch.setattr(left_behind, "SECONDS", 0.2)
    started = "import subprocess, sys; print(subprocess.Popen(['sleep', '600'], stdout=subprocess.DEVNULL).pid)"
    with pytest.raises(AssertionError, match="sleep"), left_behind.no_process_left():
        pid = subprocess.run(
            [sys.executable, "-c", started], stdout=subprocess.PIPE, start_new_session=True, check=True
        ).stdout
    left_behind.psutil.Process(int(pid)).kill()


def test_what_ends_late_is_waited_for(monkeypatch):
    monkeypatch.setattr(left_behind, "SECONDS", 20)
    with left_behind.no_process_left():
        late = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(0.5)"])
    assert late.wait(5) == 0
