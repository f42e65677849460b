"""What is built for others: a source distribution that is whole, and a wheel that has all it reads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LEFT_OUT = shutil.ignore_patterns(
    ".git",
    ".venv",
    "build",
    "dist",
    "site",
    "*.egg-info",
    "__pycache__",
    ".*_cache",
    ".hypothesis",
    "mfsweep-store",
    "mlruns",
)
BUILD = """
import sys
from setuptools import build_meta
out = sys.argv[1]  # the hooks write over it
print(build_meta.build_sdist(out), build_meta.build_wheel(out))
"""
"""By the hooks that pip and build call; neither is needed, nor an index."""
PROGRAM = """
import sys
from pathlib import Path
import mfsweep
assert Path(mfsweep.__file__).is_relative_to(sys.argv[1]), mfsweep.__file__
from mfsweep.cli.main import main
for arguments in (["init", "quickstart"], ["plan", "quickstart.yaml"]):
    try:
        main(arguments)
    except SystemExit as ended:
        assert not ended.code, ended.code
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Build both from a copy of the checkout; return the folder they lie in."""
    copy, out = tmp_path_factory.mktemp("copy") / "mfsweep", tmp_path_factory.mktemp("dist")
    shutil.copytree(ROOT, copy, symlinks=True, ignore=LEFT_OUT)
    subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=copy, check=True, capture_output=True)
    return out


def files_below(folder: Path) -> set[str]:
    """Return the files of a checkout's folder that are no product of a run."""
    found = (path.relative_to(ROOT) for path in (ROOT / folder).rglob("*") if path.is_file())
    return {str(path) for path in found if "__pycache__" not in path.parts and not path.name.startswith(".")}


def test_a_source_distribution_has_the_tests_and_all_they_need(built):
    (archive,) = built.glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        there = {name.partition("/")[2] for name in opened.getnames()}
    expected = {"constraints.txt", "Makefile", "cluster.yaml", "pyproject.toml", "LICENSE", ".ci/run"}
    for folder in ("mfsweep", "tests", "search_spaces", "notebooks"):
        expected |= files_below(Path(folder))
    assert not expected - there


def test_a_wheel_writes_and_plans_the_quickstart_far_from_any_checkout(built, tmp_path):
    (wheel,) = built.glob("*.whl")
    installed, work = tmp_path / "installed", tmp_path / "work"
    work.mkdir()
    with zipfile.ZipFile(wheel) as opened:
        names = opened.namelist()
        opened.extractall(installed)
    assert not [name for name in names if name.startswith(("tests", "search_spaces"))]
    environment = os.environ | {"PYTHONPATH": str(installed)}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(installed)],
        cwd=work,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "stages to train once" in done.stdout
