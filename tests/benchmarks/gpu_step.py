"""Row 6 on a GPU: seconds of an optimiser step, ours by each backend against mace-torch's own `take_step`.

All contestants train a model of one shape on one batch that lies on the GPU: gradients to zero, forward, loss, backward,
Adam. They take turns; a figure is the median of the turns, timed by CUDA events. `error` is the largest relative error
of a parameter's gradient against our eager step in full float32 (train/parity.py). The table is printed row by row.

    python tests/benchmarks/gpu_step.py [COMMIT] [--seconds 200] [--cpu]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from mace.data import AtomicData, Configuration
from mace.modules import WeightedEnergyForcesLoss
from mace.tools import AtomicNumberTable, torch_geometric
from mace.tools.train import take_step
from rival import as_mace_builds
from torch import Tensor, nn

from mfsweep.data.batch import Batch
from mfsweep.data.padding import padded
from mfsweep.models.architecture import Shape
from mfsweep.models.base import Potential
from mfsweep.models.mace import Mace
from mfsweep.models.registry import build
from mfsweep.spec.execution import Execution
from mfsweep.spec.stage import LossWeights, Recipe
from mfsweep.train.bench import ELEMENTS, molecules
from mfsweep.train.execution import BACKENDS
from mfsweep.train.graphed import Graphed
from mfsweep.train.loss import summed_loss
from mfsweep.train.parameters import Flat, trained
from mfsweep.train.parity import in_full_precision
from mfsweep.train.step import Backend, BatchResult, Task, find, moving
from mfsweep.train.tensors import Labelled, Sender

MODELS = {
    "16 ch, L0": Mace(channels=16, max_L=0, max_ell=2, correlation=2),
    "64 ch, L1": Mace(channels=64, max_L=1, max_ell=3, correlation=3),
    "128 ch, L1": Mace(channels=128, max_L=1, max_ell=3, correlation=3),
}
ATOMS = (256, 2048)
ROUNDS = 5
STEPS = 3
"""Steps of one turn."""
COMPILED = ("64 ch, L1",)
"""Models that are compiled here: a compilation takes a minute or so."""


class Way(NamedTuple):
    """One way to take our step."""

    backend: str
    graphs: bool = False
    tf32: bool = False


WAYS = {
    "eager": Way("plain"),
    "eager, TF32": Way("plain", tf32=True),
    "eager by mace's blocks": Way("eager"),
    "eager, CUDA graph": Way("eager", graphs=True),
    "cueq": Way("cueq"),
    "cueq, CUDA graph": Way("cueq", graphs=True),
    "oeq": Way("oeq"),
    "oeq, CUDA graph": Way("oeq", graphs=True),
    "compile": Way("compile"),
    "compile, CUDA graph": Way("compile", graphs=True),
}


class Case(NamedTuple):
    """One model and batch."""

    name: str
    spec: Mace
    atoms: int
    forces: bool
    device: torch.device

    @property
    def task(self) -> Task:
        return Task("bench", self.forces, LossWeights(energy=1, forces=1 if self.forces else 0))

    def model(self) -> Potential:
        arrays = self.arrays()
        shape = Shape(("bench",), ELEMENTS, arrays.edge_index.shape[1] / len(arrays.species))
        offsets = {"bench": dict.fromkeys(ELEMENTS, 0.0)}
        model = build(self.spec, shape, offsets, seed=0, dtype=torch.float32).to(self.device)
        model.train()
        return model

    def arrays(self) -> Batch:
        return molecules(self.atoms // 14, self.spec.r_max, forces=self.forces)

    def batch(self, *, fill: bool) -> Labelled:
        arrays = padded(self.arrays(), self.spec.r_max) if fill else self.arrays()
        return Sender(ELEMENTS, torch.float32, self.device).labelled(arrays)


class Contestant(NamedTuple):
    """A step, and what it found of its gradients at the first weights."""

    step: Callable[[], Any]
    gradients: list[Tensor] | None
    tf32: bool = False


@contextlib.contextmanager
def multiplying(*, tf32: bool) -> Iterator[None]:
    """Multiply matrices in TF32, or not."""
    torch.set_float32_matmul_precision("high" if tf32 else "highest")
    yield
    torch.set_float32_matmul_precision("highest")


def ours(case: Case, way: Way) -> Contestant:
    """Return our step by one way."""
    model = case.model()
    flat = Flat([group.parameters for group in trained(model, Recipe())])
    optimizer = torch.optim.Adam(flat.groups, fused=True)
    batch = case.batch(fill=way.graphs)
    views = [parameter.grad for parameter in moving(model).values()]
    task, count = case.task, case.atoms // 14
    parameters = list(moving(model).values())

    backend: Backend = lambda batch, task: find(model, parameters, batch, task)  # noqa: E731 (one of several)
    if way.backend != "plain":
        backend = BACKENDS[way.backend](model, Execution(backend=way.backend))
    if way.graphs:
        backend = Graphed(backend)

    def step() -> None:
        flat.gradients.zero_()
        if way.backend == "plain":  # as a training takes it
            prediction = model(batch.graph, "bench", forces=case.forces)
            (summed_loss(prediction, batch, task.weights) / count).backward()
        else:
            torch._foreach_add_(views, list(backend(batch, task).gradients), alpha=1 / count)
        optimizer.step()

    with multiplying(tf32=way.tf32):
        found: BatchResult = backend(batch, task)
        gradients = [own.clone() for own in found.gradients]
    return Contestant(step, gradients, way.tf32)


def theirs(case: Case) -> Contestant:
    """Return mace-torch's step, its model as mace_run_train builds it (its blocks compiled by TorchScript)."""
    with as_mace_builds():
        network = case.model().network
    arrays = case.arrays()
    forces = torch.zeros(len(arrays.species), 3).numpy() if arrays.forces is None else arrays.forces
    table = AtomicNumberTable(list(ELEMENTS))
    torch.set_default_dtype(torch.float32)
    graphs = []
    for number, (start, stop) in enumerate(zip(arrays.ptr[:-1], arrays.ptr[1:], strict=True)):
        own = Configuration(
            atomic_numbers=arrays.species[start:stop].astype(int),
            positions=arrays.positions[start:stop],
            properties={"energy": float(arrays.energy[number]), "forces": forces[start:stop]},
            property_weights={"energy": 1.0, "forces": 1.0},
            head="bench",
        )
        graphs.append(AtomicData.from_config(own, z_table=table, cutoff=case.spec.r_max, heads=["bench"]))
    batch = torch_geometric.Batch.from_data_list(graphs).to(case.device)
    loss: nn.Module = WeightedEnergyForcesLoss(1.0, 1.0) if case.forces else _EnergyLoss()
    loss = loss.to(case.device)
    optimizer = torch.optim.Adam(network.parameters())
    wanted = {"forces": case.forces, "virials": False, "stress": False}

    def step() -> None:
        take_step(network, loss, batch, optimizer, None, wanted, None, case.device)

    return Contestant(step, None)


class _EnergyLoss(nn.Module):
    """Energies alone, per atom."""

    def forward(self, pred: dict[str, Any], ref: Any) -> Tensor:
        atoms = ref.ptr[1:] - ref.ptr[:-1]
        return ((pred["energy"] - ref.energy) / atoms).square().mean()


def seconds(contestant: Contestant, device: torch.device) -> float:
    """Return the seconds of a step, over one turn."""
    with multiplying(tf32=contestant.tf32):
        if device.type != "cuda":
            began = time.perf_counter()
            for _ in range(STEPS):
                contestant.step()
            return (time.perf_counter() - began) / STEPS
        start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
        torch.cuda.synchronize()
        start.record()
        for _ in range(STEPS):
            contestant.step()
        stop.record()
        torch.cuda.synchronize()
        return start.elapsed_time(stop) / 1000 / STEPS


def error(reference: list[Tensor], own: list[Tensor] | None) -> str:
    """Return the largest relative error of a gradient."""
    if own is None:
        return ""
    whole = float(torch.stack([part.double().norm() for part in reference]).norm())
    errors = [
        float((mine.double() - part.double()).norm()) / max(float(part.double().norm()), 1e-3 * whole)
        for mine, part in zip(own, reference, strict=True)
    ]
    return f"{max(errors):.0e}"


def measure(case: Case, names: list[str], *, with_mace: bool) -> None:
    """Print a case's rows."""
    model = case.model()
    reference = in_full_precision(lambda: find(model, list(moving(model).values()), case.batch(fill=False), case.task))
    makers: dict[str, Callable[[], Contestant]] = {"mace-torch take_step": lambda: theirs(case)} if with_mace else {}
    makers |= {name: lambda name=name: ours(case, WAYS[name]) for name in names}
    contestants: dict[str, Contestant] = {}
    memory: dict[str, float] = {}
    ready: dict[str, float] = {}
    for name, make in makers.items():
        began = time.perf_counter()
        before = torch.cuda.memory_allocated() if case.device.type == "cuda" else 0
        if case.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            own = make()
            seconds(own, case.device)
        except Exception as fault:  # noqa: BLE001 (a contestant that cannot run is a row too)
            traceback.print_exc()
            row(case, name, f"failed: {type(fault).__name__}: {str(fault).strip().splitlines()[0][:90]}")
            continue
        contestants[name] = own
        ready[name] = time.perf_counter() - began
        memory[name] = (torch.cuda.max_memory_allocated() - before) / 2**30 if case.device.type == "cuda" else 0
    turns: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, own in contestants.items():
            turns[name].append(seconds(own, case.device))
    first = next(iter(turns), None)
    for name, values in turns.items():
        median = statistics.median(values)
        ratio = statistics.median(a / b for a, b in zip(turns[first], values, strict=True)) if first else 0
        row(
            case,
            name,
            f"{1000 * median:.1f}",
            f"{1000 * min(values):.1f} to {1000 * max(values):.1f}",
            f"{case.atoms // 14 * 14 / median:,.0f}",
            f"{ratio:.2f}",
            f"{memory[name]:.2f}",
            f"{ready[name]:.1f}",
            error(list(reference.gradients), contestants[name].gradients),
        )


def row(case: Case, name: str, *cells: str) -> None:
    """Print one row."""
    kind = "E+F" if case.forces else "E"
    filled = [*cells, *[""] * (7 - len(cells))]
    print(f"| {case.name} | {kind} | {case.atoms} | {name} | {' | '.join(filled)} |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("commit", nargs="?", default="unknown")
    parser.add_argument("--seconds", type=float, default=200, help="no case is begun after these")
    parser.add_argument("--only", choices=[*MODELS, "compiled"], help="one model's rows, or those of compiled steps")
    parser.add_argument("--cpu", action="store_true", help="try the script without a GPU")
    asked = parser.parse_args()
    if not asked.cpu and not torch.cuda.is_available():
        print("No GPU here, so nothing is measured; --cpu tries the script.")
        return
    began = time.monotonic()
    device = torch.device("cpu" if asked.cpu else "cuda")
    card = "CPU" if asked.cpu else torch.cuda.get_device_name()
    print(f"{card}, torch {torch.__version__}, commit {asked.commit}, {ROUNDS} turns of {STEPS} steps.\n")
    print("| model | loss | atoms | step | ms | range | atoms/s | times the first | peak GiB | ready in s | error |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    names = [name for name, way in WAYS.items() if not (asked.cpu and way.graphs)]
    slow = [name for name in names if WAYS[name].backend == "compile"]
    quick = [name for name in names if name not in slow]
    runs: list[tuple[Case, list[str], bool]] = []
    for forces in (True, False):
        cases = [Case(name, spec, atoms, forces, device) for name, spec in MODELS.items() for atoms in ATOMS]
        if asked.cpu:
            cases = [cases[0]._replace(atoms=28)]
        runs += [(case, quick, True) for case in cases]
        runs += [(case, ["eager", *slow], False) for case in cases if case.name in COMPILED]
    if asked.only == "compiled":
        runs = [run for run in runs if not run[2]]
    elif asked.only:
        runs = [run for run in runs if run[2] and run[0].name == asked.only]
    for case, names, with_mace in runs:
        if time.monotonic() - began > asked.seconds:
            row(case, "not begun: time is up")
            continue
        try:
            measure(case, names, with_mace=with_mace)
        except Exception as fault:  # noqa: BLE001 (the other cases go on)
            traceback.print_exc()
            row(case, f"failed: {type(fault).__name__}")
    print(f"\n{time.monotonic() - began:.0f} s in all.")


if __name__ == "__main__":
    main()
