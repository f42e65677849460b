"""All parameters of a model as one flat tensor, and all gradients as another.

Why: the gradients then need one all-reduce without copying, Adam is one kernel, and a snapshot is one clone. Adam
works component by component, so the numbers are those of the separate tensors.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_ALIGNMENT = 16
"""Parameters start at multiples of this many components, so that matrix kernels find them aligned."""


class Flat:
    """The trainable parameters of a module, moved into one tensor of which each becomes a view."""

    def __init__(self, module: nn.Module) -> None:
        parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        sizes = [-(-parameter.numel() // _ALIGNMENT) * _ALIGNMENT for parameter in parameters]
        first = parameters[0]
        self.values = nn.Parameter(torch.zeros(sum(sizes), dtype=first.dtype, device=first.device))
        self.gradients = torch.zeros_like(self.values.data)
        self.values.grad = self.gradients
        self.count = sum(parameter.numel() for parameter in parameters)
        """Parameters, without the padding."""
        start = 0
        for parameter, size in zip(parameters, sizes, strict=True):
            view = self.values.data[start : start + parameter.numel()].view_as(parameter)
            view.copy_(parameter.data)
            parameter.data = view
            parameter.grad = self.gradients[start : start + parameter.numel()].view_as(parameter)
            start += size

    def snapshot(self) -> Tensor:
        """Return a copy of the values."""
        return self.values.data.clone()

    def load(self, values: Tensor) -> None:
        """Overwrite the values by a snapshot."""
        self.values.data.copy_(values)
