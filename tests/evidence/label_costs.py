"""What a label of the bundled sets costs: core-seconds of each method on structures drawn at random.

The labels of mini-ani are predictions, but a user who wanted them from quantum chemistry would pay what is measured
here: wB97X/6-31G* with forces, CCSD(T)/6-31G* energies (a basis set smaller than the source study's), GFN2-xTB with forces.
The numbers stand in the `costs` of `search_spaces/mini/figS4.yaml` and `search_spaces/real/figS4.yaml`.

    OMP_NUM_THREADS=1 python tests/evidence/label_costs.py [STRUCTURES] [SET ...]
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from mfsweep.data import reading
from mfsweep.data.labellers import Geometries, build, parse
from mfsweep.data.source import resolve
from mfsweep.data.structures import Structures
from mfsweep.spec.data import LabelKeys

STRUCTURES = 24
SEED = 0
KEYS = {"mini-ani": "ani1ccx.energy", "mini-ccx": "ccsd(t)_631gd.energy", "mini-ccx-2": "ccsd(t)_631gd.energy"}
"""Set -> its dear labels: only structures that carry one are drawn."""
METHODS = ("gfn2-xtb", "wb97x/6-31g*", "ccsd(t)/6-31g*")


def main(structures: int, sets: list[str]) -> None:
    """Print the table, a row as it is measured."""
    print("| set | method | structures | core-seconds a label: mean ± standard error | median | lowest to highest |")
    print("|---|---|---|---|---|---|", flush=True)
    for name in sets:
        carried = reading.read({"": resolve(f"bundled:{name}", Path())}, {"cc": LabelKeys(energy=KEYS[name])})
        chosen = drawn(carried, structures)
        for method in METHODS:
            seconds = build(parse(method, {}))(Geometries.of(carried, chosen)).seconds
            done = np.sort(seconds[np.isfinite(seconds)])
            error = done.std(ddof=1) / np.sqrt(len(done))
            spread = f"{done[0]:.3g} to {done[-1]:.3g}"
            mean = f"{done.mean():.3g} ± {error:.2g}"
            print(f"| {name} | {method} | {len(done)} | {mean} | {np.median(done):.3g} | {spread} |", flush=True)


def drawn(carried: Structures, structures: int) -> np.ndarray:
    """Return the indices of structures with a dear label, drawn without replacement."""
    labelled = np.flatnonzero(carried.usable("cc"))
    return np.sort(np.random.default_rng(SEED).choice(labelled, min(structures, len(labelled)), replace=False))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else STRUCTURES, sys.argv[2:] or list(KEYS))
