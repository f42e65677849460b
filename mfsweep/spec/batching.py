"""`batch:` of a stage: how structures become batches, by one packer or the other."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Discriminator, Tag, model_validator

from mfsweep.spec.base import Bool, Frozen, NonNegativeFloat, PositiveInt
from mfsweep.spec.tree import Tree


class Batching(Frozen):
    """How structures become batches, and batches an optimiser step."""

    packer: Literal["worst_fit"] = "worst_fit"
    """Online Worst Fit bin packing."""
    max_atoms: PositiveInt = 256
    """Atoms in a batch at most."""
    bins: PositiveInt = 8
    """Bins open at a time."""
    batches_per_step: PositiveInt = 4
    """Batches whose gradients make one optimiser step; the workers share them."""
    adapt_bins: Bool = True
    """Open only ceil(atoms / max_atoms) bins for a set that fills fewer than `bins` batches
    (docs/fairness.md#rule-11)."""


class StepTime(Frozen):
    """Predicted time of a batch: constant + atom x atoms + edge x edges. Only the ratios of the three matter.

    The defaults are about what equivariant message passing with 32 and 64 channels took on a CPU, energies and forces.
    """

    constant: NonNegativeFloat = 10.0
    """Cost of any batch."""
    atom: NonNegativeFloat = 1.0
    """Cost of each atom."""
    edge: NonNegativeFloat = 0.05
    """Cost of each edge, a pair of neighbours counted twice."""

    @model_validator(mode="after")
    def _refuse_indifference(self) -> Self:
        if not (self.atom or self.edge):
            raise ValueError("`atom` or `edge` above 0: all batches would be predicted to take the same time")
        return self


class CostAwareBatching(Frozen):
    """How structures become full batches, and batches of about the same predicted time an optimiser step.

    A pass is packed as a whole, so a set needs a hundred batches or so before what is left over at its end stops to
    matter. The structures of a step are a little more alike than chance would have them.
    """

    packer: Literal["cost_aware"]
    """Best Fit bin packing of a whole pass; the batches of a step are alike in predicted time."""
    max_atoms: PositiveInt = 256
    """Atoms in a batch at most."""
    max_edges: PositiveInt | None = None
    """Edges in a batch at most, a pair of neighbours counted twice. None: no limit."""
    batches_per_step: PositiveInt = 4
    """Batches whose gradients make one optimiser step; the workers share them."""
    step_time: StepTime = StepTime()
    """What the time of a batch is predicted from."""


def _packer(batch: Tree | Batching | CostAwareBatching) -> str:
    """Return which packer a `batch:` asks for; Worst Fit, whose model says what is wrong, where it does not say."""
    name = batch.get("packer") if isinstance(batch, dict) else getattr(batch, "packer", None)
    return name if isinstance(name, str) else "worst_fit"


AnyBatching = Annotated[
    Annotated[Batching, Tag("worst_fit")] | Annotated[CostAwareBatching, Tag("cost_aware")], Discriminator(_packer)
]
