"""Whole steps compiled: forces, loss and the gradients of every parameter in one graph.

Why traced before it is compiled: torch.compile does not differentiate twice what it has compiled, and a loss on forces
needs that. make_fx writes down every operation of the step, both differentiations included; what is then compiled is
plain arithmetic from the batch to the gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch._dynamo
from torch import Tensor
from torch._dynamo.source import ConstantSource
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.fx.experimental.symbolic_shapes import DimDynamic, ShapeEnv, StatelessSymbolicContext

from mfsweep.models.base import Potential
from mfsweep.train.step import BatchResult, Task, find, fixed_shapes, moving
from mfsweep.train.tensors import Labelled


class Compiled:
    """A backend that compiles one graph for each head and kind of loss, or for each of them and each size."""

    def __init__(self, model: Potential, *, dynamic: bool) -> None:
        """Compile nothing yet.

        Args:
            model: in training mode, on its device.
            dynamic: one graph for batches of all sizes; else one for each size.
        """
        self._model = model
        self._moving = moving(model)
        others = {name: own for name, own in model.named_parameters() if not own.requires_grad}
        self._still = {**others, **dict(model.named_buffers())}
        # Of the parameters' own memory, but no part of autograd: the gradients are results like any other.
        self._state = tuple(tensor.detach() for tensor in (*self._moving.values(), *self._still.values()))
        self._dynamic = dynamic
        self._graphs: dict[Any, Callable[..., tuple[Tensor, ...]]] = {}

    def __call__(self, batch: Labelled, task: Task) -> BatchResult:
        """Compute a batch."""
        tensors = batch.tensors()
        # Sizes of 0 and 1 would be compiled apart from all others: such a batch is rare, and computed as it is.
        if min(batch.atoms.shape[0], batch.graph.edges.shape[1] // 2) < 2:
            return find(self._model, list(self._moving.values()), batch, task)
        sizes = () if self._dynamic else tuple(tensor.shape for tensor in tensors.values())
        key = (task.head, task.forces, task.weights, tuple(tensors), sizes)
        if key not in self._graphs:
            self._graphs[key] = torch.compile(self._traced(tensors, task), fullgraph=True)
        if self._dynamic:
            for name, tensor in tensors.items():
                torch._dynamo.mark_dynamic(tensor, _dimension(name))  # noqa: SLF001 (its documented name)
        with torch.no_grad():
            loss, energy, *rest = self._graphs[key](*self._state, *tensors.values())
        return BatchResult(loss, energy, rest.pop(0) if task.forces else None, rest)

    def _traced(self, tensors: dict[str, Tensor], task: Task) -> torch.fx.GraphModule:
        """Return the step as a graph of plain operations on (trained, frozen, batch) tensors."""
        names, trained = [*self._moving, *self._still], len(self._moving)

        def step(*inputs: Tensor) -> tuple[Tensor, ...]:
            state = dict(zip(names, inputs, strict=False))
            batch = Labelled.of(dict(zip(tensors, inputs[len(names) :], strict=True)))

            def forward(*args: Any, **kwargs: Any) -> Any:
                return torch.func.functional_call(self._model, state, args, kwargs)

            found = find(forward, inputs[:trained], batch, task)
            forces = () if found.forces is None else (found.forces,)
            return (found.loss, found.energy, *forces, *found.gradients)

        # No two sizes are taken for one because they happen to be equal in this batch.
        mode = FakeTensorMode(shape_env=ShapeEnv(duck_shape=False))
        # Parameters are traced as such: what is differentiated by must ask for it.
        state = [
            mode.from_tensor(tensor, static_shapes=True) for tensor in (*self._moving.values(), *self._still.values())
        ]
        inputs = [self._stand_in(mode, name, tensor) for name, tensor in tensors.items()]
        # Where opt_einsum is installed, torch.einsum asks it for an order of factors, which takes sizes
        with mode, fixed_shapes(self._model), torch.backends.opt_einsum.flags(enabled=False):
            graph = make_fx(step)(*state, *inputs)
        fixed = [own for own, tensor in zip(tensors, inputs, strict=True) if _is_fixed(tensor.shape[_dimension(own)])]
        if self._dynamic and fixed:
            raise RuntimeError(f"the model fixes the size of {', '.join(fixed)} while it is traced")
        return graph

    def _stand_in(self, mode: FakeTensorMode, name: str, tensor: Tensor) -> Tensor:
        if not self._dynamic:
            return mode.from_tensor(tensor, static_shapes=True)
        sizes = [DimDynamic.STATIC] * tensor.dim()
        sizes[_dimension(name)] = DimDynamic.DYNAMIC
        return mode.from_tensor(
            tensor, symbolic_context=StatelessSymbolicContext(dynamic_sizes=sizes), source=ConstantSource(name)
        )


def _dimension(name: str) -> int:
    """Return which dimension of a batch's tensor grows with the batch."""
    return 1 if name == "edges" else 0


def _is_fixed(size: Any) -> bool:
    """Return whether a size that was traced stands for one number."""
    return not isinstance(size, torch.SymInt) or size.node.maybe_as_int() is not None
