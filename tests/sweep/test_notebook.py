"""A small sweep run in a notebook, as a person would: the progress below the cell, then the frame."""

from __future__ import annotations

import nbformat
import pytest
from nbclient import NotebookClient

RUN = """
import mfsweep
sweep = mfsweep.Sweep('small.yaml', 'store', resources={'cpus_per_worker': 2})
summary = sweep.run()
"""
TABLE = """
frame = sweep.frame()
frame[['pretrain_size', 'finetune_size', 'result.test.cc.energy_mae', 'result.key']]
"""
COUNTS = "print(summary.run, summary.failed, len(mfsweep.Store('store').predictions(frame['result.key'][0])))"


@pytest.mark.slow
def test_a_sweep_runs_in_a_notebook_with_its_progress(write_spec):
    path = write_spec(("pretrain_size: [0, 20, 40]", "pretrain_size: [20]"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in (RUN, TABLE, COUNTS)])
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    run, table, counts = (cell.outputs for cell in notebook.cells)
    assert {one.output_type for one in run} == {"stream"}, "lines of text, and no widget of Ray's"
    said = "".join(one.text for one in run if one.name == "stdout")
    assert said.count(" start ") == said.count(" done ") == 3
    assert "3 stages run, 0 reused, 0 failed" in said
    assert "result.test.cc.energy_mae" in table[0].data["text/html"]
    assert counts[0].text.split() == ["3", "0", "1"]
