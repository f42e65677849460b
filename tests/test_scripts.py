"""Scripts that no other test runs: what they import is still there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
LOADS = """
import runpy, sys
for script in list(sys.argv[1:]):
    sys.argv[:] = [script]
    runpy.run_path(script, run_name="loaded")
"""


@pytest.mark.slow
@pytest.mark.parametrize("folder", ["benchmarks", "evidence"])
def test_every_script_loads(folder):
    scripts = sorted(map(str, (TESTS / folder).glob("[!_]*.py")))
    assert scripts
    done = subprocess.run(
        [sys.executable, "-c", LOADS, *scripts], cwd=TESTS / folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
