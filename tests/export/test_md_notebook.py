from __future__ import annotations

from pathlib import Path

import nbformat
import performed
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "04_md.ipynb"


@pytest.mark.slow
def test_the_notebook_of_dynamics_runs_and_is_stored_with_small_outputs(monkeypatch):
    assert NOTEBOOK.stat().st_size < 100_000
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert any(cell.get("outputs") for cell in notebook.cells)
    performed.stage("two heads")
    monkeypatch.setenv("MFSWEEP_STORE", str(performed.store().root))
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    printed = "".join(out.get("text", "") for cell in notebook.cells for out in cell.get("outputs", ()))
    assert "20 cc of a" in printed
    assert "0.10 ps" in printed
