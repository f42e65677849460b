"""Rows 3 and 4: a data set of ANI-1ccx's size, from file to batches, in one process and in four that share it.

    OMP_NUM_THREADS=1 python tests/benchmarks/scale.py [DATA METHOD]

Without arguments, a synthetic data set of that size is made first. DATA is one that `mfsweep data import` wrote. Memory
is each process's proportional share (PSS): pages that several processes map count once among them.
"""

from __future__ import annotations

import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import synthetic

from mfsweep.data import dataset
from mfsweep.data.batch import assemble
from mfsweep.data.importing import Rules, import_files
from mfsweep.data.packing import worst_fit
from mfsweep.data.source import contents
from mfsweep.data.view import DataView, open_view
from mfsweep.spec.data import ResolvedData, Splits, Subset
from mfsweep.spec.stage import LabelledSet

CUTOFF = 5.0
MAX_ATOMS = 256
BATCHES = 2000
WORKERS = 4
ANI1CCX = 490_000


def main() -> None:
    """Print what each step takes."""
    if len(sys.argv) > 1:
        measure(Path(sys.argv[1]), sys.argv[2])
        return
    with tempfile.TemporaryDirectory() as folder:
        source, data = Path(folder) / "ani1x.h5", Path(folder) / "data.h5"
        synthetic.write(source, ANI1CCX, formulae=900, cc_share=1.0)
        import_files([source], data, Rules(labels={}))
        measure(data, synthetic.DFT)


def measure(path: Path, method: str) -> None:
    splits = Splits(
        a=Subset(size=100_000, validation=5000, needs=(method,)),
        t=Subset(size=100_000, needs=(method,)),
        b=Subset(size="rest", validation=5000, needs=(method,)),
    )
    with tempfile.TemporaryDirectory() as folder:
        began = time.perf_counter()
        found = contents({"": path}, Path(folder) / "digests.json")
        print(
            f"{path.stat().st_size / 1e6:.0f} MB; every array compared with its digest (once per store and file): {_since(began)}"
        )
        labels = {method: dataset.methods(path)[method]}
        data = ResolvedData(digest=found.digest, contents=found.of(labels), labels=labels, splits=splits)
        for turn in ("first process, which computes the neighbours", "second process"):
            _in_process(_open, path, method, data, Path(folder) / "edges", turn)
        _in_process(_batches, path, method, data, Path(folder) / "edges")
        for workers in (1, WORKERS):
            _shared(workers, path, method, data, Path(folder) / "edges")


def _opened(path: Path, data: ResolvedData, edges: Path) -> DataView:
    return open_view({"": path}, data, edges)


def _open(path: Path, method: str, data: ResolvedData, edges: Path, turn: str) -> None:
    began = time.perf_counter()
    view = _opened(path, data, edges)
    opened = _since(began)
    began = time.perf_counter()
    view.training(LabelledSet(labels=method, subset="b"))
    split = _since(began)
    began = time.perf_counter()
    view.offsets(method, [])
    offsets = _since(began)
    began = time.perf_counter()
    count = view.edges(CUTOFF).offsets[-1]
    print(
        f"{turn}: {len(view.structures.formula):,} structures opened {opened}, partition {split}, offsets {offsets}, {count:,} edges {_since(began)}"
    )


def _batches(path: Path, method: str, data: ResolvedData, edges: Path) -> None:
    view = _opened(path, data, edges)
    sizes = view.structures.sizes
    order = np.random.default_rng(0).permutation(len(sizes))
    began = time.process_time()
    packed = worst_fit(sizes[order], MAX_ATOMS, 8)
    print(f"a pass packed (worst fit): {time.process_time() - began:.2f} s of CPU")
    offsets = dict.fromkeys(view.elements, 0.0)
    count = 0
    began = time.process_time()
    for batch in packed[:BATCHES]:
        count += len(assemble(view, order[batch], method, offsets, CUTOFF, with_forces=True).atoms)
    print(f"shuffled structures into batches: {count / (time.process_time() - began):,.0f} per CPU second")


def _shared(workers: int, path: Path, method: str, data: ResolvedData, edges: Path) -> None:
    """Let some processes go over the whole store, and print what memory they have together."""
    context = multiprocessing.get_context("spawn")
    pipes = []
    for rank in range(workers):
        ours, theirs = context.Pipe()
        process = context.Process(target=_worker, args=(theirs, path, method, data, edges, rank))
        process.start()
        pipes.append((ours, process))
    before = [pipe.recv() for pipe, _ in pipes]
    for pipe, _ in pipes:
        pipe.send("go")
    for pipe, _ in pipes:
        pipe.recv()
    after = [_share(process.pid) for _, process in pipes]
    for pipe, process in pipes:
        pipe.send("end")
        process.join()
    grown = sum(after) - sum(before)
    print(
        f"{workers} worker(s) after a pass: {sum(after):.0f} MB together, {grown:.0f} MB more than before the store was opened"
    )


def _worker(pipe: Connection, path: Path, method: str, data: ResolvedData, edges: Path, rank: int) -> None:
    pipe.send(_share(None))
    pipe.recv()
    view = _opened(path, data, edges)
    offsets = dict.fromkeys(view.elements, 0.0)
    order = np.random.default_rng(rank).permutation(len(view.structures.formula))
    for start in range(0, len(order), 200):
        assemble(view, order[start : start + 200], method, offsets, CUTOFF, with_forces=True)
    pipe.send("done")
    pipe.recv()


def _share(process: int | None) -> float:
    """Return a process's proportional share of memory, MB."""
    text = Path(f"/proc/{process or 'self'}/smaps_rollup").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) / 1024


def _since(began: float) -> str:
    return f"{time.perf_counter() - began:.2f} s"


def _in_process(function: Callable[..., None], *arguments: object) -> None:
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise SystemExit(f"{function.__name__} failed")


if __name__ == "__main__":
    main()
