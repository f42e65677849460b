"""What the judge of data costs at the size of ANI-1ccx, at import and at the door of a spec.

Makes a synthetic file, imports it, and plans a spec on the file itself, which is read in place, and on the data set made
of it, each in a process of its own. CPU seconds, since the machine is shared.

    OMP_NUM_THREADS=1 python tests/benchmarks/judging.py [STRUCTURES]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthetic

ANI1CCX = 490_000

PEAK = "[int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')][0] / 1000"
"""Peak resident memory of a process, MB, mapped files included."""
TIMED = f"""
import functools, json, sys, time
from pathlib import Path
spent = {{}}
def timed(module, name, what):
    plain = getattr(module, name)
    @functools.wraps(plain)
    def wrapped(*args, **kwargs):
        begin = time.process_time()
        try:
            return plain(*args, **kwargs)
        finally:
            spent[what] = spent.get(what, 0.0) + time.process_time() - begin
    setattr(module, name, wrapped)
def listed(plain):
    return lambda *args, **kwargs: iter(list(plain(*args, **kwargs)))
def tell(begin):
    print(json.dumps({{"seconds": time.process_time() - begin, "peak": {PEAK}, **spent}}))
"""
IMPORT = (
    TIMED
    + """
from mfsweep.data import importing
from mfsweep.data.importing import Rules, import_files
timed(importing.Filter, "__call__", "judge")
timed(importing.StructureSample, "add", "judge")
timed(importing.Verdicts, "warnings", "judge")
begin = time.process_time()
import_files([Path(sys.argv[1])], Path(sys.argv[2]), Rules(labels={}))
tell(begin)
"""
)
PLAN = (
    TIMED
    + """
from mfsweep import prepare
from mfsweep.data import check
check._judged = listed(check._judged)
timed(check, "_judged", "judge")
begin = time.process_time()
prepare.prepare(Path(sys.argv[1]), Path(sys.argv[2]), {})
tell(begin)
"""
)
SPEC = """\
name: judging
data:
  source: {source}
  labels: {{dft: {{energy: wb97x_dz.energy, forces: wb97x_dz.forces}}}}
  splits: {{a: {{size: 1000, validation: 1000}}, b: {{size: rest, validation: 1000}}, t: {{size: 1000}}}}
model: {{architecture: mace, channels: 8, max_L: 0, max_ell: 1, correlation: 1}}
stages:
  pretrain: {{train: [{{labels: dft, subset: b}}], max_steps: 10}}
  direct: {{start_from: pretrain, train: [{{labels: dft, subset: a}}], max_steps: 10}}
result: direct
evaluate: [{{labels: dft, subset: t}}]
resources: {{workers: 1, gpus_per_worker: 0}}
"""


def main(structures: int) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synthetic.write(folder / "own.h5", structures, formulae=900, cc_share=1.0)
        rows = {"import of the ANI-1x file": _result(IMPORT, folder / "own.h5", folder / "set.h5")}
        for what, source in {"the ANI-1x file, read in place": "own.h5", "the data set": "set.h5"}.items():
            spec, store = folder / f"{source}.yaml", folder / f"{source}.store"
            spec.write_text(SPEC.format(source=source))
            (store / "stages").mkdir(parents=True)
            rows[f"plan on {what}, first"] = _result(PLAN, spec, store)
            rows[f"plan on {what}, again"] = _result(PLAN, spec, store)
    print(f"{structures:,} structures, energies of two methods and forces of one\n")
    print("| | CPU seconds | of these the judge | peak resident memory, MB |\n|---|---|---|---|")
    for what, row in rows.items():
        print(f"| {what} | {row['seconds']:.1f} | {row.get('judge', 0.0):.1f} | {row['peak']:,.0f} |")


def _result(program: str, *arguments: Path) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ANI1CCX)
