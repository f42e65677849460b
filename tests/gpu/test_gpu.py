"""What a GPU computes and keeps: these tests run where there is one (`pytest -m gpu tests/gpu`)."""

from __future__ import annotations

import json
import subprocess

import pytest
import torch
from architectures import SPECS

from mfsweep.models.mace import Mace
from mfsweep.models.mace.network import MacePotential
from mfsweep.models.registry import ARCHITECTURES
from mfsweep.run.machine import machine
from mfsweep.spec.execution import Execution
from mfsweep.train import World, load_weights, train
from mfsweep.train.checkpoint import load
from mfsweep.train.execution import Ran, choose, samples, task_of
from mfsweep.train.loop import EAGER
from mfsweep.train.parity import TOLERANCES, difference
from mfsweep.train.selection import selection
from mfsweep.train.state import TrainingState
from mfsweep.train.step import find, moving
from mfsweep.train.tensors import Sender

GPU = torch.device("cuda")
SPEC = Mace(channels=16, max_L=1, max_ell=3, correlation=3)
MODELS = {"large": SPEC} | {
    name: next(iter(SPECS[name].values())) for name, own in ARCHITECTURES.items() if not own.PINS
}
BEST = next((name for name in ("cueq", "oeq") if MacePotential.has_kernels(name)), "eager")
"""What `auto` tries first here."""
STAGE = {"model": SPEC, "precision": "float64"}
"""Of trainings that are compared: Adam makes a step out of any gradient, be it the rounding of float32."""


def started(training, view, device):
    """Return a training before its first step."""
    heads = {method: {method: 1.0} for method in training.methods}
    keep = selection(training.recipe.select_on, heads, {method: [] for method in training.methods})
    return TrainingState(training, view, keep, None, World.alone(device))


def trained(training, view, folder, *, execution=EAGER, world=None, report=lambda _: True):
    return train(
        training,
        view,
        checkpoints=folder / "checkpoints",
        metrics=folder / "metrics.jsonl",
        parent=None,
        world=world or World.alone(GPU),
        report=report,
        execution=execution,
    )


def parameters(folder):
    return load(folder / "checkpoints" / "last.pt")["parameters"].cpu()


def require_near(folder, other):
    torch.testing.assert_close(parameters(folder), parameters(other), rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
@pytest.mark.parametrize("precision", ["float64", "float32"])
@pytest.mark.parametrize("method", ["cc", "dft"])
def test_a_gpu_computes_what_a_cpu_does(view, tiny, precision, method, model):
    training = tiny(precision=precision, model=model)
    found = []
    for device in (torch.device("cpu"), GPU):
        state = started(training, view, device)
        arrays = dict(samples(state, view))[method]
        batch = Sender(state.model.shape.elements, state.flat.values.dtype, device).labelled(arrays)
        own = find(state.model, list(moving(state.model).values()), batch, task_of(training, method))
        found.append(
            own._replace(
                loss=own.loss.cpu(),
                energy=own.energy.cpu(),
                forces=None if own.forces is None else own.forces.cpu(),
                gradients=[gradient.cpu() for gradient in own.gradients],
            )
        )
    names = list(moving(started(training, view, GPU).model))
    assert difference(*found, names, TOLERANCES[precision]) is None


ASKED = {
    "graphs": Execution(backend="eager", pad="bucketed", cuda_graphs=True),
    "cueq": Execution(backend="cueq"),
    "cueq filled up": Execution(backend="cueq", pad="bucketed"),
    "cueq in graphs": Execution(backend="cueq", pad="bucketed", cuda_graphs=True),
    "oeq": Execution(backend="oeq"),
    "oeq filled up": Execution(backend="oeq", pad="bucketed"),
    "oeq in graphs": Execution(backend="oeq", pad="bucketed", cuda_graphs=True),
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_every_architecture_trains_in_cuda_graphs(view, tiny, model):
    state = started(tiny(precision="float64", model=model), view, GPU)
    assert choose(ASKED["graphs"], state, view, World.alone(GPU)).ran == Ran(cuda_graphs=True, pad="bucketed")


@pytest.mark.parametrize("precision", ["float32", "float64"])
@pytest.mark.parametrize("asked", ASKED)
def test_a_backend_passes_the_gate(view, tiny, precision, asked):
    execution = ASKED[asked]
    if execution.backend != "eager" and not MacePotential.has_kernels(execution.backend):
        pytest.skip(f"the library of {execution.backend} is not installed")
    state = started(tiny(precision=precision, model=SPEC), view, GPU)
    ran = choose(execution, state, view, World.alone(GPU)).ran
    if execution.backend == "cueq" and precision == "float64" and ran.backend == "eager":  # an early cuEquivariance
        assert "from eager PyTorch's, more than" in ran.fallback
        return
    assert ran == Ran(execution.backend, cuda_graphs=execution.graphs, pad=execution.padding)


def test_tf32_passes_the_gate_and_is_kept(view, tiny):
    state = started(tiny(model=SPEC), view, GPU)
    graphs = {"cuda_graphs": True} if BEST == "eager" else {}
    chosen = choose(Execution(backend=BEST, tf32=True, **graphs), state, view, World.alone(GPU))
    assert chosen.ran.fallback is None
    assert chosen.ran.tf32


def test_graphs_train_as_eager_pytorch_does(view, tiny, tmp_path):
    outcome = trained(tiny(**STAGE), view, tmp_path / "own", execution=ASKED["graphs"])
    assert outcome.ran.fallback is None
    trained(tiny(**STAGE), view, tmp_path / "eager")
    require_near(tmp_path / "own", tmp_path / "eager")


def test_auto_trains_by_what_it_says(view, tiny, tmp_path):
    outcome = trained(tiny(model=SPEC), view, tmp_path, execution=Execution())
    assert outcome.ran == Ran(BEST, cuda_graphs=True, pad="bucketed")


@pytest.mark.parametrize("asked", [None, "graphs"])
def test_a_training_resumes_from_its_checkpoint(view, tiny, tmp_path, asked):
    execution = ASKED[asked] if asked else EAGER
    trained(tiny(**STAGE), view, tmp_path / "whole", execution=execution)
    folder = tmp_path / "parts"
    assert trained(tiny(**STAGE), view, folder, execution=execution, report=lambda _: False) is None
    outcome = trained(tiny(**STAGE), view, folder, execution=execution)
    assert outcome.steps == 6
    require_near(tmp_path / "whole", folder)


def test_a_stage_of_a_cpu_and_of_a_gpu_hold_the_same_names(view, tiny, tmp_path):
    trained(tiny(**STAGE), view, tmp_path / "gpu", execution=Execution(backend=BEST))
    trained(tiny(**STAGE), view, tmp_path / "cpu", world=World.alone())
    kept = [load_weights(tmp_path / name / "checkpoints" / "selected.pt") for name in ("gpu", "cpu")]
    assert list(kept[0].state) == list(kept[1].state)
    require_near(tmp_path / "gpu", tmp_path / "cpu")


def test_a_record_names_the_gpu():
    found = machine(GPU)
    ask = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    name, driver = subprocess.run(ask, capture_output=True, text=True, check=True).stdout.splitlines()[0].split(", ")
    assert (found.device, found.name, found.driver, found.cuda) == ("cuda", name, driver, torch.version.cuda)
    assert found.memory_gib == pytest.approx(torch.cuda.mem_get_info()[1] / 2**30, rel=0.02)
    assert found.capability == ".".join(map(str, torch.cuda.get_device_capability()))
    assert json.loads(found.model_dump_json())["memory_gib"]


class Together(World):
    """A world whose collectives run even alone."""

    def sum_(self, tensor):
        torch.distributed.all_reduce(tensor)

    def share_(self, tensor):
        torch.distributed.broadcast(tensor, src=0)

    def follow(self, number):
        tensor = torch.tensor([number], device=self.device)
        self.share_(tensor)
        return int(tensor.item())


@pytest.mark.parametrize("asked", [None, "graphs"])
def test_nccl_carries_the_collectives(view, tiny, tmp_path, asked):
    execution = ASKED[asked] if asked else EAGER
    torch.distributed.init_process_group(
        "nccl", f"file://{tmp_path}/meeting", rank=0, world_size=1, device_id=torch.device("cuda:0")
    )
    try:
        world = Together(0, 1, torch.device("cuda:0"))
        outcome = trained(tiny(**STAGE), view, tmp_path / "nccl", world=world, execution=execution)
    finally:
        torch.distributed.destroy_process_group()
    assert outcome.ran.fallback is None
    trained(tiny(**STAGE), view, tmp_path / "alone", execution=execution)
    require_near(tmp_path / "nccl", tmp_path / "alone")


def test_two_processes_share_a_gpu_over_gloo(ranks, view, tiny, tmp_path):
    # NCCL refuses two ranks on one GPU.
    assert ranks(tiny(**STAGE), tmp_path / "two", size=2, device="cuda:0") == [0, 0]
    trained(tiny(**STAGE), view, tmp_path / "one")
    require_near(tmp_path / "two", tmp_path / "one")


@pytest.mark.filterwarnings("ignore:TensorFloat32")  # that it could be used; the spec says whether
@pytest.mark.parametrize("pad", ["dynamic", "bucketed"])
def test_compiled_steps_pass_the_gate(view, tiny, pad):
    state = started(tiny(model=SPEC), view, GPU)
    chosen = choose(Execution(backend="compile", pad=pad), state, view, World.alone(GPU))
    assert chosen.ran == Ran("compile", pad=pad)
