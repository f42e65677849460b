"""The trainable parameters of a model as one flat tensor, and their gradients as another; the rest frozen.

Why: the gradients then need one all-reduce without copying, Adam is one kernel per learning rate, and a snapshot is
one clone. Adam works component by component, so the numbers are those of the separate tensors.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from mfsweep.models.base import Potential
from mfsweep.spec.stage import Rates, Recipe

_ALIGNMENT = 16
"""Parameters start at multiples of this many components, so that matrix kernels find them aligned."""


class ParameterGroup(NamedTuple):
    """Parameters that are trained at one learning rate."""

    rate: float
    parameters: list[nn.Parameter]


class Flat:
    """Groups of parameters, moved into one tensor of which each parameter, and each group, becomes a view."""

    def __init__(self, groups: Sequence[Sequence[nn.Parameter]]) -> None:
        sizes = [[-(-parameter.numel() // _ALIGNMENT) * _ALIGNMENT for parameter in group] for group in groups]
        first = groups[0][0]
        self.values = torch.zeros(sum(map(sum, sizes)), dtype=first.dtype, device=first.device)
        self.gradients = torch.zeros_like(self.values)
        self.groups: list[nn.Parameter] = []
        """What an optimiser is given, one each: slices of `values`, with their slices of `gradients`."""
        self.count = sum(parameter.numel() for group in groups for parameter in group)
        """Parameters, without the padding."""
        start = 0
        for group, own in zip(groups, sizes, strict=True):
            whole = nn.Parameter(self.values[start : start + sum(own)])
            whole.grad = self.gradients[start : start + sum(own)]
            self.groups.append(whole)
            for parameter, size in zip(group, own, strict=True):
                view = self.values[start : start + parameter.numel()].view_as(parameter)
                view.copy_(parameter.data)
                parameter.data = view
                parameter.grad = self.gradients[start : start + parameter.numel()].view_as(parameter)
                start += size

    def snapshot(self) -> Tensor:
        """Return a copy of the values."""
        return self.values.clone()

    def load(self, values: Tensor) -> None:
        """Overwrite the values by a snapshot."""
        self.values.copy_(values)


def trained(model: Potential, recipe: Recipe) -> list[ParameterGroup]:
    """Freeze what a recipe leaves as it is, and return the rest in groups of one learning rate each.

    With `trainable: lora` the model gets its adapters here; its own backbone is then frozen, and what the recipe says
    of the backbone's learning rate is theirs. A learning rate of 0 freezes too.
    """
    if recipe.trainable == "lora":
        assert recipe.lora is not None, "filled in by the plan"
        model.adapt(recipe.lora)
        body = model.adapter_parameters()
    else:
        body = [] if recipe.trainable == "readouts" else model.backbone_parameters()
    readouts = model.readout_parameters()
    rates = recipe.learning_rate
    if not isinstance(rates, Rates):
        chosen = {id(parameter) for parameter in (*body, *readouts)}
        groups = [ParameterGroup(rates, [parameter for parameter in model.parameters() if id(parameter) in chosen])]
    else:
        groups = [ParameterGroup(rates.backbone, body), ParameterGroup(rates.readouts, readouts)]
    groups = [group for group in groups if group.rate and group.parameters]
    assert groups, "the plan refuses a training of nothing"
    moving = {id(parameter) for group in groups for parameter in group.parameters}
    for parameter in model.parameters():
        # Without this their gradients would be computed, a good part of a step.
        parameter.requires_grad_(id(parameter) in moving)
    return groups
