"""The notebook of a law runs from top to bottom on a store with a known one; tests/docs runs the others."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from mfsweep.files import write_text

FOLDER = Path(__file__).parents[2] / "notebooks"
NOTEBOOKS = [FOLDER / "01_quickstart.ipynb"]
FITS = "fits: {transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}}"


@pytest.fixture
def finished_sweep(world, monkeypatch):
    """Leave a finished sweep with gradient 1.3 where the notebooks look for one."""
    world.grid({"dft": 1.3}, seeds=(0, 1))
    sweep = world.store.sweep("known")
    sweep.write_cells(world.cells)
    write_text(sweep.spec, FITS)
    monkeypatch.setenv("MFSWEEP_STORE", str(world.store.root))
    monkeypatch.setenv("MFSWEEP_SWEEP", "known")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_runs_from_top_to_bottom(path, finished_sweep):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(FOLDER)}}).execute()
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    assert "1.30" in "".join(out.get("text", "") for out in outputs)
    assert len([out for out in outputs if "image/png" in out.get("data", {})]) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_a_notebook_is_stored_with_small_outputs_in_their_order(path):
    notebook = nbformat.read(path, as_version=4)
    stored = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in stored] == list(range(1, len(stored) + 1))
    assert not [
        out
        for cell in stored
        for out in cell.outputs
        if out.output_type == "error" or ("name" in out and out.name == "stderr")
    ]
    assert path.stat().st_size < 150_000
