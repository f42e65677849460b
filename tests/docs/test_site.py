"""The site builds without a warning, without network; the pages that code writes are in it."""

from __future__ import annotations

import os
import subprocess
import sys

from blocks import ROOT


def test_the_site_builds_without_a_warning(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path / "site")]
    environ = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    fields = (tmp_path / "site" / "reference" / "spec-fields.html").read_text(encoding="utf-8")
    assert "patience_steps" in fields
    commands = (tmp_path / "site" / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "mfsweep data label" in commands
    assert "${" in fields, "references stay as they are"
