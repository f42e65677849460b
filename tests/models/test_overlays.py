"""The tests of architectures whose packages cannot be imported beside the others', in a process of their overlay."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from mfsweep.models.overlay import overlay_path
from mfsweep.models.registry import ARCHITECTURES

HERE = Path(__file__).parent


@pytest.mark.parametrize(
    "files",
    [
        pytest.param(["test_laws.py"], id="laws"),
        pytest.param(
            ["test_architecture.py", "test_adopt.py", "test_lora.py", "test_repeats.py", None],
            id="the others",
            marks=pytest.mark.slow,
        ),
    ],
)
@pytest.mark.parametrize("name", [name for name, own in ARCHITECTURES.items() if own.PINS])
def test_an_architecture_of_an_overlay_passes_the_tests_of_every_one_and_its_own(name, files):
    overlay = overlay_path(name)
    if overlay is None:
        pytest.skip(f"the overlay is not built: mfsweep env {name}")
    tests = [HERE / (file or name) for file in files]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *tests],
        env={**os.environ, "PYTHONPATH": str(overlay)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"\d\d+ passed", done.stdout), done.stdout
    skipped = {line.rpartition(": ")[2] for line in done.stdout.splitlines() if line.startswith("SKIPPED")}
    assert skipped <= {"it takes no vectors of methods"}
