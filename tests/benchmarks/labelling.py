"""Row 6: labels per second of one and of two cores, against tblite called in a plain loop in one process.

The bundled geometries, imported into a data set and labelled by GFN2-xTB as `mfsweep data label` does it: a Ray of
as many CPUs, tasks in batches, a journal on disk, the labels added to the store at the end. The contestants take turns.
Ray's own start is not counted; that of its worker processes, imports included, is stated beside the rate without it.

    OMP_NUM_THREADS=1 python tests/benchmarks/labelling.py
"""

from __future__ import annotations

import logging
import shutil
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import ray

from mfsweep.data import dataset
from mfsweep.data.importing import Rules, import_files
from mfsweep.data.labellers import Geometries, build, parse
from mfsweep.data.source import resolve
from mfsweep.run.labelling import Request, label

ROUNDS = 3
CORES = (1, 2)
COPIES = 4
"""Times that the bundled set goes into the store: 21,908 structures."""
METHOD = "gfn2-xtb"


class Clock:
    """Notes when structures come in."""

    def __init__(self) -> None:
        self.times: list[tuple[float, int]] = []

    def begin(self, where: str, slots: int, todo: int) -> None:  # noqa: ARG002
        """Start."""
        self.times.append((time.monotonic(), 0))

    def advance(self, structures: int, failed: int) -> None:  # noqa: ARG002
        """Note some structures."""
        self.times.append((time.monotonic(), structures))

    def beat(self) -> None:
        """Do nothing."""

    def rates(self) -> tuple[float, float]:
        """Return structures per second from the beginning, and after the first tenth."""
        seconds = np.array([moment for moment, _ in self.times])
        done = np.cumsum([count for _, count in self.times])
        tenth = int(np.argmax(done >= done[-1] / 10))
        whole = done[-1] / (seconds[-1] - seconds[0])
        return float(whole), float((done[-1] - done[tenth]) / (seconds[-1] - seconds[tenth]))


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "set.h5"
        source = resolve("bundled:mini-ccx", Path())
        copies = [Path(shutil.copy(source, Path(folder) / f"{copy}.h5")) for copy in range(COPIES)]
        import_files(copies, store, Rules(labels={}, geometries=True))
        rates: dict[str, list[tuple[float, float]]] = {}
        for _ in range(ROUNDS):
            rates.setdefault("a loop over tblite, 1 core", []).append(loop(store))
            for cores in CORES:
                rates.setdefault(f"mfsweep data label, {cores} core(s)", []).append(labelled(store, cores))
    print("| | structures/s, median | after the start | lowest to highest after the start |\n|---|---|---|---|")
    for name, found in rates.items():
        whole, later = (sorted(values) for values in zip(*found, strict=True))
        spread = f"{later[0]:,.0f} to {later[-1]:,.0f}"
        print(f"| {name} | {statistics.median(whole):,.0f} | {statistics.median(later):,.0f} | {spread} |")


def loop(store: Path) -> tuple[float, float]:
    structures = dataset.read(store, {})
    index = np.random.default_rng(0).permutation(len(structures.formula))[::COPIES]
    labeller = build(parse(METHOD, {}))
    start = time.monotonic()
    computed = labeller(Geometries.of(structures, index))
    assert not computed.failures
    rate = len(index) / (time.monotonic() - start)
    return rate, rate


def labelled(store: Path, cores: int) -> tuple[float, float]:
    ray.init(num_cpus=cores, include_dashboard=False, log_to_driver=False, logging_level=logging.ERROR)
    copy = Path(shutil.copy(store, store.with_name(f"{cores}.h5")))
    clock = Clock()
    summary = label(Request(copy, "xtb", parse(METHOD, {})), clock)
    assert summary.labelled == summary.structures
    ray.shutdown()
    return clock.rates()


if __name__ == "__main__":
    main()
