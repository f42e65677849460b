"""The tests of an architecture whose packages cannot be imported beside mace-torch's, in a process of its overlay."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mfsweep.models.overlay import overlay_path

HERE = Path(__file__).parent


def test_allegro_obeys_the_laws():
    overlay = overlay_path("allegro")
    if overlay is None:
        pytest.skip("the overlay is not built: make allegro")
    tests = [HERE / f"test_{name}.py" for name in ("laws", "adopt", "lora", "repeats", "allegro")]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        env={**os.environ, "PYTHONPATH": str(overlay)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d+ passed in ", done.stdout), f"passed, and none skipped:\n{done.stdout}"
