from __future__ import annotations

import importlib.util
import json
import logging
import math
from types import SimpleNamespace

import pytest
import torch
from pydantic import ValidationError

from mfsweep.spec.execution import Execution
from mfsweep.train import World, train
from mfsweep.train import execution as choosing
from mfsweep.train.checkpoint import load
from mfsweep.train.parity import TOLERANCES, difference
from mfsweep.train.step import BatchResult, find, moving


def wrong(change):
    """Return what makes a backend whose findings are changed."""

    def make(model, _):
        parameters = list(moving(model).values())
        return lambda batch, task: change(find(model, parameters, batch, task))

    return make


def raises(_):
    raise RuntimeError("no kernel\nfor this device")


FAULTS = {
    "energy": lambda found: found._replace(energy=found.energy * 1.001),
    "force": lambda found: found._replace(forces=None if found.forces is None else -found.forces),
    "loss": lambda found: found._replace(loss=found.loss * 1.01),
    "gradient": lambda found: found._replace(gradients=[*found.gradients[:-1], 2 * found.gradients[-1]]),
    "nan": lambda found: found._replace(energy=found.energy * math.nan),
    "no kernel": raises,
}


@pytest.fixture
def with_backend(view, tiny, tmp_path, monkeypatch):
    """Train with a backend under the name `compile`; return the outcome and the kept parameters' file."""

    def go(make, name="stage", execution=None):
        if make is not None:
            monkeypatch.setitem(choosing.BACKENDS, "compile", make)
        return train(
            tiny(precision="float64"),
            view,
            checkpoints=tmp_path / name / "checkpoints",
            metrics=tmp_path / name / "metrics.jsonl",
            parent=None,
            world=World.alone(),
            report=lambda _: True,
            execution=execution or Execution(backend="compile"),
        )

    return go


def bits(folder):
    return load(folder / "checkpoints" / "last.pt")["parameters"]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_wrong_backend_trains_nothing(with_backend, run, tiny, tmp_path, caplog, fault):
    with caplog.at_level(logging.WARNING, "mfsweep"):
        outcome = with_backend(wrong(FAULTS[fault]))
    assert outcome.ran.backend == "eager"
    assert fault in outcome.ran.fallback or fault == "nan"
    assert outcome.ran.fallback in caplog.text
    run(tiny(precision="float64"), "eager")
    assert torch.equal(bits(tmp_path / "stage"), bits(tmp_path / "eager"))


def test_a_backend_that_passes_trains(with_backend, tmp_path):
    calls = []
    outcome = with_backend(wrong(lambda found: calls.append(1) or found))
    assert outcome.ran == choosing.Ran("compile")
    assert len(calls) > 6


def test_a_filled_up_training_is_the_same_but_for_rounding(with_backend, tmp_path):
    with_backend(wrong(lambda found: found), "plain")
    outcome = with_backend(wrong(lambda found: found), "filled", Execution(backend="compile", pad="bucketed"))
    assert outcome.ran.pad == "bucketed"
    torch.testing.assert_close(bits(tmp_path / "filled"), bits(tmp_path / "plain"), rtol=1e-6, atol=1e-8)


def test_cuequivariance_that_is_not_installed_is_said(with_backend, monkeypatch):
    known = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if "cuequivariance" in name else known(name))
    outcome = with_backend(None, execution=Execution(backend="cueq"))
    assert outcome.ran.backend == "eager"
    assert "cuequivariance_torch is not installed" in outcome.ran.fallback


@pytest.mark.parametrize(
    "execution", [Execution(), Execution(backend="eager", pad="bucketed", cuda_graphs=True, tf32=True)]
)
def test_on_a_cpu_eager_pytorch_trains(with_backend, execution):
    assert with_backend(None, execution=execution).ran == choosing.Ran()


@pytest.mark.slow
@pytest.mark.parametrize("code", ["traced", "aot_eager"])
@pytest.mark.parametrize("precision", ["float32", "float64"])
def test_a_whole_step_can_be_compiled(view, tiny, tmp_path, precision, code, monkeypatch):
    # `traced` runs the traced steps as they are; aot_eager does what a compilation does, but for writing kernels.
    compiled = torch.compile
    ways = {
        "traced": lambda graph, **_: graph,
        "aot_eager": lambda graph, **options: compiled(graph, backend="aot_eager", **options),
    }
    monkeypatch.setattr(torch, "compile", ways[code])
    outcome = train(
        tiny(precision=precision),
        view,
        checkpoints=tmp_path / "checkpoints",
        metrics=tmp_path / "metrics.jsonl",
        parent=None,
        world=World.alone(),
        report=lambda _: True,
        execution=Execution(backend="compile"),
    )
    assert outcome.ran == choosing.Ran("compile")


@pytest.mark.slow
@pytest.mark.parametrize("pad", ["dynamic", "bucketed"])
def test_compiled_steps_train_as_eager_ones(with_backend, run, tiny, tmp_path, pad):
    outcome = with_backend(None, execution=Execution(backend="compile", pad=pad))
    assert outcome.ran == choosing.Ran("compile", pad=pad)
    run(tiny(precision="float64"), "eager")
    torch.testing.assert_close(bits(tmp_path / "stage"), bits(tmp_path / "eager"), rtol=1e-6, atol=1e-8)


def found(energy, gradients) -> BatchResult:
    return BatchResult(torch.tensor(1.0), torch.tensor(energy), None, [torch.tensor(own) for own in gradients])


def test_a_gradient_that_is_next_to_nothing_is_measured_against_the_whole():
    reference = found([1.0], [[1.0], [1e-9]])
    names, tolerance = ["large", "small"], TOLERANCES["float32"]
    assert difference(reference, found([1.0], [[1.0], [3e-9]]), names, tolerance) is None
    assert "small" in (difference(reference, found([1.0], [[1.0], [1e-4]]), names, tolerance) or "")


def test_zeros_equal_zeros():
    assert difference(found([0.0], [[0.0]]), found([0.0], [[0.0]]), ["one"], 1e-4) is None


def test_graphs_need_padding():
    with pytest.raises(ValidationError, match="pad: bucketed"):
        Execution(cuda_graphs=True, pad="dynamic")
    assert Execution(backend="cueq", cuda_graphs=True).padding == "bucketed"


@pytest.mark.parametrize(
    ("execution", "installed", "tried"),
    [
        (Execution(), True, ["cueq in graphs, bucketed", "oeq in graphs, bucketed", "eager in graphs, bucketed"]),
        (Execution(), False, ["eager in graphs, bucketed"]),
        (Execution(pad="dynamic"), True, ["cueq, dynamic", "oeq, dynamic", "eager, dynamic"]),
        (Execution(cuda_graphs=False), True, ["cueq, dynamic", "oeq, dynamic", "eager, dynamic"]),
        (Execution(backend="cueq"), True, ["cueq, dynamic"]),
        (Execution(backend="eager", cuda_graphs=True), True, ["eager in graphs, bucketed"]),
        (Execution(backend="compile", pad="bucketed"), True, ["compile, bucketed"]),
    ],
)
def test_what_is_tried_on_a_gpu(execution, installed, tried):
    found = choosing._candidates(execution, SimpleNamespace(has_kernels=lambda _: installed), on_gpu=True)
    assert [f"{one.backend}{' in graphs' if one.cuda_graphs else ''}, {one.pad}" for one in found] == tried


def test_how_a_stage_is_computed_is_no_part_of_its_key(tiny):
    assert "execution" not in json.dumps(tiny().identity())
