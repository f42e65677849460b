"""All benchmarks, one after another, each in a process of its own: `python tests/benchmarks [NAME ...]`.

A benchmark is a script here that can be run. One that fails does not keep the others from running; the exit code says
that it has. Times say something only on quiet cores, so the load before each is printed beside it.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> int:
    """Run the named ones, or all; return how many failed."""
    scripts = [path for path in sorted(HERE.glob("[!_]*.py")) if "__main__" in path.read_text(encoding="utf-8")]
    if unknown := set(names) - {path.stem for path in scripts}:
        print(f"No benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(p.stem for p in scripts)}.")
        return 2
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], cwd=HERE, check=False, capture_output=True, text=True
    )
    print(
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, "
        f"commit {commit.stdout.strip() or 'unknown'}"
    )
    failed, began = [], time.monotonic()
    for script in scripts:
        if names and script.stem not in names:
            continue
        print(f"\n## {script.stem} (load {os.getloadavg()[0]:.1f})\n", flush=True)
        start = time.monotonic()
        if subprocess.run([sys.executable, str(script)], check=False).returncode:
            failed.append(script.stem)
        print(f"\n{time.monotonic() - start:.0f} s", flush=True)
    print(f"\n{time.monotonic() - began:.0f} s in all; failed: {', '.join(failed) or 'none'}")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
