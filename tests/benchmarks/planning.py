"""Row 10: `mfsweep plan` of specs of 10,000 and 100,000 cells, as a whole command, and what it imports."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROUNDS = 5
SPLITS = {10_000: 1, 100_000: 10}
"""Cells -> values of the split seed; there are 100 sizes of pre-training and of fine-tuning each."""
QUICKSTART = Path(__file__).parents[2] / "search_spaces" / "quickstart.yaml"


def main() -> None:
    print("| cells | unique stages | CPU seconds, median (range) | memory |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for cells, splits in SPLITS.items():
            spec = Path(folder) / f"{cells}.yaml"
            text = QUICKSTART.read_text()
            text = text.replace("pretrain_size: [0, 12, 60, 300, 1800]", f"pretrain_size: {list(range(0, 300, 3))}")
            text = text.replace("finetune_size: [60, 240]", f"finetune_size: {list(range(20, 120))}")
            text = text.replace("fold: [0, 1, 2]", "fold: [0]")
            spec.write_text(text.replace("axes:\n", f"axes:\n  split_seed: {list(range(splits))}\n", 1))
            command = [sys.executable, "-m", "mfsweep", "plan", str(spec), "--json", "--store", f"{folder}/store"]
            _measure(command)
            seconds, memory, printed = zip(*(_measure(command) for _ in range(ROUNDS)), strict=True)
            found = json.loads(printed[0])
            assert found["cells"] == cells
            spread = f"{statistics.median(seconds):.2f} s ({min(seconds):.2f} to {max(seconds):.2f})"
            print(f"| {cells:,} | {found['stages']:,} | {spread} | {max(memory) / 1e9:.2f} GB |")
        modules = subprocess.run(
            [sys.executable, "-X", "importtime", *command[1:]], check=True, capture_output=True, text=True
        ).stderr
    heavy = [name for name in ("torch", "ray", "mlflow") if f"| {name}\n" in modules]
    print(f"imports of torch, ray or mlflow: {heavy or 'none'}")


def _measure(command: list[str]) -> tuple[float, int, str]:
    """Return CPU seconds, most memory in bytes, and what was printed."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, printed


if __name__ == "__main__":
    main()
