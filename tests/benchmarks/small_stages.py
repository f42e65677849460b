"""A grid of 100 tiny stages by `mfsweep run`, two at a time: what they cost beside their optimiser steps.

Each trains a model of 4 channels for 20 steps on 20 structures, and is tested. `--against` names another checkout of
mfsweep, which runs with the same Python and packages; they take turns.

    OMP_NUM_THREADS=1 python tests/benchmarks/small_stages.py [--against CHECKOUT] [--turns 1]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

STAGES = 100
SPEC = f"""\
name: small
data:
  source: bundled:mini-ccx
  labels:
    dft: {{energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}}
  splits:
    a: {{size: 100, validation: 20, needs: [dft]}}
    t: {{size: 40, needs: [dft]}}
model: {{architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8]}}
axes:
  seed: {[*range(STAGES)]}
stages:
  train:
    train: [{{labels: dft, subset: a, size: 20}}]
    max_steps: 20
    validate_every: 20
    batch: {{max_atoms: 64, batches_per_step: 1}}
result: train
evaluate: [{{labels: dft, subset: t}}]
resources: {{workers: 1, gpus_per_worker: 0}}
"""


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--against", type=Path, help="another checkout of mfsweep")
    parser.add_argument("--turns", type=int, default=1)
    asked = parser.parse_args()
    checkouts = {"this checkout": Path(__file__).parents[2]}
    if asked.against:
        checkouts[str(asked.against)] = asked.against.absolute()
    found: dict[str, list[tuple[float, float, float]]] = {name: [] for name in checkouts}
    for _ in range(asked.turns):
        for name, checkout in checkouts.items():
            found[name].append(swept(checkout))
    print(
        f"| {STAGES} stages of 20 steps | the command | first stage's begin to last record | a stage | of it trained |"
    )
    print("|" + " --- |" * 5)
    for name, turns in found.items():
        whole, between, trained = (statistics.median(own) for own in zip(*turns, strict=True))
        each = 2 * between / STAGES
        print(f"| {name} | {whole:.1f} s | {between:.1f} s | {each:.2f} s | {trained / STAGES:.2f} s |")


def swept(checkout: Path) -> tuple[float, float, float]:
    """Return the seconds of the command, between the first stage's begin and the last record, and of all trainings."""
    with tempfile.TemporaryDirectory() as folder:
        spec, store = Path(folder) / "small.yaml", Path(folder) / "store"
        spec.write_text(SPEC)
        words = [sys.executable, "-m", "mfsweep", "run", str(spec), "--store", str(store)]
        environment = os.environ | {"PYTHONPATH": str(checkout)}
        begin = time.perf_counter()
        subprocess.run(words, cwd=folder, env=environment, check=True, capture_output=True)
        whole = time.perf_counter() - begin
        paths = list(store.glob("stages/*/record.json"))
        records = [json.loads(path.read_text()) for path in paths]
        assert len(records) == STAGES, len(records)
        last = max(path.stat().st_mtime for path in paths)
        return whole, last - min(one["started"] for one in records), sum(one["seconds"] for one in records)


if __name__ == "__main__":
    main()
