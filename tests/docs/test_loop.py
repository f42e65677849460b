"""The script of docs/how-to/loop.md, from nothing to the second sweep and to what the whole grid says."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml

from mfsweep.prepare import prepare
from mfsweep.store import StoreFolder

SCRIPT = Path(__file__).parents[2] / "docs/snippets/loop.sh"
PRICES = {"mini-ani": (60, {"cc": 45.0, "dft": 13.7}), "mini-ccx": (20, {"cc": 1.15, "dft": 2.89})}


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.parametrize("name", PRICES)
def test_the_loop_closes_and_trains_nothing_twice(tmp_path, name):
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", SCRIPT, name],
        cwd=tmp_path,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    number, prices = PRICES[name]

    assert said["advice"]["spec"] == "first.yaml"
    assert said["run"]["until"]["met"] is not None, "it has ended, and says how"
    assert said["run"]["until"]["condition"] == "budget.regret < 5 %"
    assert said["decision"]["costs"] == prices
    assert said["decision"]["recommended"]["cost"] <= said["decision"]["budget"] * (1 + 1e-9)

    store = StoreFolder(tmp_path / "loop-store")
    first, second = (prepare(tmp_path / f"{spec}.yaml", store.root) for spec in ("first", "second"))
    new = second.graph.nodes.keys() - first.graph.nodes.keys()
    assert {second.graph.nodes[key].name for key in new} == {"finetune"}
    assert {second.graph.nodes[key].name for key in second.graph.nodes.keys() - new} == {"pretrain"}
    started = {folder.key: record.started for folder in store.stages() if (record := folder.record()) is not None}
    assert started.keys() == first.graph.nodes.keys() | second.graph.nodes.keys()
    # Of the first grid the run has trained what the decision needed, and the last command only the rest.
    part = said["run"]["run"]
    assert part + said["rest"]["run"] + said["second"]["run"] == len(started)

    size = yaml.safe_load((tmp_path / "second.yaml").read_text())["axes"]["finetune_size"][0]
    chosen = [row["index"] for row in said["chosen"]["structures"]]
    with h5py.File(tmp_path / "lab.h5") as lab:  # its structures are the pool's; of mini-ccx it knows a part
        known = np.isfinite(lab["labels/cc.energy"][:])
    came = [index for index in chosen if known[index]]
    assert len(came) > number / 3
    for cell, planned in zip(second.cells(), second.graph.cells, strict=True):
        view = second.view(second.graph.nodes[planned.keys["finetune"]])
        in_b = view.partition.train["b"]
        carried = view.structures.usable("cc_2")[in_b]
        bought = np.isin(in_b, came)
        assert carried[bought].all()
        assert int(carried.sum() - view.structures.usable("cc")[in_b].sum()) == bought.sum()
        assert cell.sizes["finetune"]["cc_2"] == size + int(carried.sum())
        assert not np.isin(view.partition.train["t"], chosen).any(), "the tests are those of before"
    assert len(chosen) == number

    against = said["whole"]["against"]
    assert against["loss"] >= -1e-9, "the whole grid's own decision is the best by its own model"
    assert f"{against['loss']:+.1%} against this one" in done.stdout
