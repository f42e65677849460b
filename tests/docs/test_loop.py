"""The script of docs/how-to/loop.md, from nothing to the second sweep."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mfsweep.prepare import prepare
from mfsweep.store import StoreFolder

SCRIPT = Path(__file__).parents[2] / "docs/snippets/loop.sh"


@pytest.mark.slow
@pytest.mark.cluster
def test_the_loop_closes_and_trains_nothing_twice(tmp_path):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", SCRIPT], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    store = StoreFolder(tmp_path / "loop-store")
    first, second = (prepare(tmp_path / f"{name}.yaml", store.root) for name in ("first", "second"))
    new = second.graph.nodes.keys() - first.graph.nodes.keys()
    assert {second.graph.nodes[key].name for key in new} == {"finetune"}
    assert {second.graph.nodes[key].name for key in second.graph.nodes.keys() - new} == {"pretrain"}
    started = {folder.key: record.started for folder in store.stages() if (record := folder.record()) is not None}
    assert min(started[key] for key in new) > max(started[key] for key in first.graph.nodes)
    view = second.view(second.graph.nodes[min(new)])
    in_b = view.partition.train["b"]
    bought = np.isin(in_b, [row["index"] for row in json.loads((tmp_path / "chosen.json").read_text())["structures"]])
    carried = view.structures.usable("cc_2")[in_b]
    assert carried[bought].all()
    assert int(carried.sum() - view.structures.usable("cc")[in_b].sum()) == bought.sum() == 60
    assert {cell.sizes["finetune"]["cc_2"] for cell in second.cells()} == {240 + int(carried.sum())}
