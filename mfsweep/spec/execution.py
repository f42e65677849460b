"""`execution:` of a spec: how a stage's steps are computed, when it is saved, what stays of it. Never its identity."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from mfsweep.spec.base import Bool, Frozen, NonNegativeFloat


class Execution(Frozen):
    """How the optimiser steps of a stage run on its device.

    Numbers differ between these by rounding only: a backend that does not give eager PyTorch's energies, forces and
    gradients on the stage's own data does not train it. The spec's `precision` is what changes a stage.
    """

    backend: Literal["auto", "eager", "compile", "cueq", "oeq"] = "auto"
    """`eager`: PyTorch as it is. `compile`: each kind of step traced whole, its double backward too, and compiled by
    torch.compile. `cueq`, `oeq`: the kernels of NVIDIA's cuEquivariance or of OpenEquivariance, for architectures that
    have some. `auto`: on a GPU cueq where it is installed, else oeq, else eager, in CUDA graphs; on a CPU eager."""
    tf32: Bool = False
    """Whether a GPU may multiply float32 matrices in TF32, with errors of about 1e-3."""
    cuda_graphs: Bool | None = None
    """Record the step of each padded size once and replay it: quicker where kernels are small. Default: with `auto`."""
    pad: Literal["dynamic", "bucketed"] | None = None
    """`bucketed`: batches are filled up with atoms that count nothing, to few sizes (data/padding.py).
    `dynamic`: each batch as large as it is. Default: bucketed for CUDA graphs."""

    keep: Literal["selected", "all"] = "selected"
    """Which checkpoints of a finished stage stay. `selected`: the selected weights, and those best for each readout
    head. `all`: also the whole state at its end, optimiser and all, as `checkpoints/final.pt`: three times as large."""

    checkpoint_every_minutes: NonNegativeFloat = 10
    """Minutes after which a stage that was not validated meanwhile saves its state, to go on from where its worker
    dies. It is written beside the steps. 0: at validations alone."""

    @property
    def graphs(self) -> bool:
        """Return whether steps are recorded as CUDA graphs, where there is a GPU."""
        return self.backend == "auto" and self.pad != "dynamic" if self.cuda_graphs is None else self.cuda_graphs

    @property
    def padding(self) -> Literal["dynamic", "bucketed"]:
        """Return how batches are filled up."""
        return self.pad or ("bucketed" if self.graphs else "dynamic")

    @model_validator(mode="after")
    def _graphs_need_sizes(self) -> Self:
        if self.cuda_graphs and self.pad == "dynamic":
            raise ValueError("cuda_graphs: false, or true with `pad: bucketed` (a graph is of one size)")
        return self
