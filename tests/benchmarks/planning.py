"""Row 10: `mfsweep plan` of a 10,000-cell spec, as a whole command, and what it imports."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROUNDS = 5
QUICKSTART = Path(__file__).parents[2] / "search_spaces" / "quickstart.yaml"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "large.yaml"
        text = QUICKSTART.read_text()
        text = text.replace("[0, 40, 110, 300]", str(list(range(0, 300, 3))))
        text = text.replace("[40, 120]", str(list(range(20, 120))))
        spec.write_text(text)
        command = [sys.executable, "-m", "mfsweep", "plan", str(spec), "--json", "--store", f"{folder}/store"]
        walls = []
        for _ in range(ROUNDS + 1):
            begin = time.perf_counter()
            printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            walls.append(time.perf_counter() - begin)
        modules = subprocess.run(
            [sys.executable, "-X", "importtime", *command[1:]], check=True, capture_output=True, text=True
        ).stderr
    walls = walls[1:]
    heavy = [name for name in ("torch", "ray", "mlflow") if f"| {name}\n" in modules]
    print(printed)
    print(f"{statistics.median(walls):.2f} s wall, median of {ROUNDS} ({min(walls):.2f} to {max(walls):.2f})")
    print(f"imports of torch, ray or mlflow: {heavy or 'none'}")


if __name__ == "__main__":
    main()
