"""Row 4: from a file of the ANI-1x layout to arrays that every process maps, at the size of ANI-1ccx.

Makes a synthetic file, imports it in a process of its own, and opens the store in another one.

    python tests/benchmarks/importing.py [STRUCTURES]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthetic

ANI1CCX = 490_000

PEAK = "[int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')][0] / 1000"
"""Peak resident memory of a process, MB, mapped files included."""

IMPORT = f"""
import json, sys
from pathlib import Path
from mfsweep.data.importing import Rules, import_files
summary = import_files([Path(sys.argv[1])], Path(sys.argv[2]), Rules(labels={{}}))
print(json.dumps({{"seconds": summary.seconds, "bytes": summary.bytes, "peak": {PEAK}}}))
"""
OPEN = f"""
import json, sys, time
from pathlib import Path
from mfsweep.data import dataset
before, begin = {PEAK}, time.perf_counter()
structures = dataset.read(Path(sys.argv[1]), dataset.methods(Path(sys.argv[1])))
seconds = time.perf_counter() - begin
print(json.dumps({{"seconds": seconds, "structures": len(structures.formula), "peak": {PEAK} - before}}))
"""


def main(structures: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        source, store = Path(folder) / "ani1x.h5", Path(folder) / "store.h5"
        begin = time.perf_counter()
        synthetic.write(source, structures, formulae=900, cc_share=1.0)
        made = time.perf_counter() - begin
        imported = _result(IMPORT, source, store)
        first, again = _result(OPEN, store), _result(OPEN, store)
        assert first["structures"] == structures
    rows = [
        ("made (not part of the import)", f"{made:.1f} s", ""),
        ("imported", f"{imported['seconds']:.1f} s", "< 600 s"),
        ("... per second", f"{structures / imported['seconds']:,.0f} structures", ""),
        ("... peak resident memory", f"{imported['peak']:.0f} MB", "< 1,000 MB"),
        ("size of the store", f"{imported['bytes'] / 1e6:.0f} MB", "< 500 MB"),
        ("opened", f"{first['seconds']:.3f} s", "< 1 s"),
        ("opened again", f"{again['seconds']:.3f} s", ""),
        ("... resident memory taken", f"{first['peak']:.0f} MB", ""),
    ]
    print(f"{structures:,} structures, energies of two methods and forces of one\n")
    print("| | measured | goal |\n|---|---|---|")
    for row in rows:
        print("|", " | ".join(row), "|")


def _result(program: str, *arguments: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], check=True, capture_output=True, text=True
    )
    return json.loads(done.stdout)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ANI1CCX)
