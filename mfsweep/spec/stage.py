"""`stages:` and `evaluate:` of a spec: labelled sets, the training recipe, evaluations.

`Stage` is what a cell asks for after `${axis}` is filled in; `Training` is the identity of one stage as it is run:
content only, no names, no paths, no resources. Its fingerprint is the stage key.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)

from mfsweep.fingerprint import fingerprint
from mfsweep.spec.base import Frozen, Later, Name, Seed, later
from mfsweep.spec.data import LabelKeys, ResolvedData, SubsetName
from mfsweep.spec.model import Mace

SCHEMA = 1
"""Raised when the same training would give other numbers than before: every key changes."""


def _no_difference(value: Any) -> Any:
    if isinstance(value, dict):
        msg = "one label method: a difference of two comes with a later version"
        raise ValueError(msg)  # noqa: TRY004 (what Pydantic turns into a validation error)
    return value


def _no_file(value: str | None) -> str | None:
    if value is not None and value.startswith("file:"):
        raise ValueError("the name of a stage, or null: a model file as parent comes with a later version")
    return value


class LabelledSet(Frozen):
    """(label method; subset; size): structures of one subset with one method's labels."""

    labels: Annotated[Name, BeforeValidator(_no_difference)]
    """Label method."""
    subset: SubsetName
    size: NonNegativeInt | Literal["all"] = "all"
    """Training structures: the first `size` of the subset's one shuffle. 0: the set vanishes."""
    probability: Annotated[float, Field(ge=0, le=1)] | None = None
    """Probability that a batch comes from this set (alpha); sets without one share evenly what is left."""
    range: Later = None
    """Kept for a later version: the structures from `i` to `j` of the shuffle in place of `size`."""
    use: Later = None
    """Kept for a later version: train on `energy`, `forces` or both."""


class Schedule(Frozen):
    """Learning-rate drops and early stop, in optimiser steps without a better `select_on`."""

    factor: Annotated[float, Field(gt=0, lt=1)] = 0.8
    """The learning rate is multiplied by this."""
    patience_steps: PositiveInt = 32_000
    """Steps without improvement before a drop."""
    stop_steps: PositiveInt = 100_000
    """Steps without improvement before the stage stops."""


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
    adapt_bins: bool = True
    """Open only ceil(atoms / max_atoms) bins for a set that fills fewer than `bins` batches (README rule 11)."""


class LossWeights(Frozen):
    """lambda_E and lambda_F of one label method."""

    energy: NonNegativeFloat = 1.0
    """Weight of (dE / N)^2, eV."""
    forces: NonNegativeFloat = 1.0
    """Weight of the mean over components of dF^2, eV/angstrom; 0: forces are never computed."""


class Recipe(Frozen):
    """How a stage is trained; part of its identity."""

    learning_rate: PositiveFloat = 1e-3
    """Adam's (the study's value is unknown: assumed)."""
    optimizer: Literal["adam"] = "adam"
    schedule: Schedule = Schedule()
    max_steps: PositiveInt | None = None
    """Optimiser steps at most; a stage that this stops is not converged, and is drawn hollow. None: no limit."""
    validate_every: PositiveInt = 1000
    """Optimiser steps between validations."""
    batch: Batching = Batching()
    loss: dict[Name, LossWeights] = {}
    """Label method -> weights. Default: 1 and 1 with forces, 100 and 0 for an energy-only method (assumed)."""
    select_on: str | None = None
    """The one metric for schedule, stop and best checkpoint, `validation.<method>.<quantity>` (lower is better).
    Default: `validation.loss`, the mean of the methods' losses weighted by their probabilities."""


class Evaluation(Frozen):
    """One labelled set on which a finished stage is scored."""

    labels: Name
    """Label method whose values are the reference."""
    subset: SubsetName
    part: Literal["train", "validation", "test"] = "test"
    """`test`: every structure of a subset that no stage trains on."""
    head: Name | None = None
    """Readout head that predicts. Default: that of `labels`."""
    offsets: Name | None = None
    """Label method whose energy offsets are added. Default: `labels`."""
    keys: tuple[LabelKeys, ...] | None = None
    """Filled in by the plan: the file's keys behind `labels` and `offsets`, since a name may come to mean others."""

    @property
    def name(self) -> str:
        """Return `<part>.<method>`, with `@<head>` where another method's head predicts."""
        return f"{self.part}.{self.labels}" + (f"@{self.head}" if self.head and self.head != self.labels else "")


class Stage(Recipe):
    """One stage of a cell, `${axis}` filled in: where it starts, what it trains on, how, and what it is scored on."""

    start_from: Annotated[str | None, AfterValidator(_no_file)] = None
    """Name of the parent stage; null: fresh weights."""
    train: Annotated[tuple[LabelledSet, ...], Field(min_length=1)]
    """The mixture of labelled sets. A stage whose sets are all empty vanishes, and its child starts fresh."""
    evaluate: tuple[Evaluation, ...] = ()
    """Scores of this stage, beside those of the spec's `evaluate:`, which are the result's."""
    trainable: Annotated[Literal["all"] | None, later("all")] = None
    """Kept for a later version: `readouts` or `lora`."""
    heads: Annotated[dict[str, Any] | None, later({})] = None
    """Kept for a later version: where each readout head comes from, and its width."""

    def recipe(self) -> Recipe:
        """Return the recipe alone."""
        return Recipe.model_construct(**{field: getattr(self, field) for field in Recipe.model_fields})


class Training(Frozen):
    """One training by content: equal trainings have equal keys, in any spec, for any user of a store."""

    schema_number: int = SCHEMA
    data: ResolvedData
    model: Mace
    precision: Literal["float32", "float64"]
    seed: Seed
    """Seed of initial weights and of the order of structures."""
    sets: Annotated[tuple[LabelledSet, ...], Field(min_length=1)]
    """None of them empty, each with its `probability`, in sorted order; the probabilities sum to 1."""
    recipe: Recipe
    """With `loss` and `select_on` filled in."""
    parent: str | None = None
    """Key of the stage whose selected checkpoint this one starts from."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the label methods trained on, sorted: the model's readout heads."""
        return tuple(sorted({labelled.labels for labelled in self.sets}))

    @cached_property
    def key(self) -> str:
        """Return the stage key: a fingerprint over the parts' own, since a large grid shares the parts."""
        sets = "+".join(labelled.key for labelled in self.sets)
        own = (str(self.schema_number), self.data.key, self.model.key, self.precision, str(self.seed), self.recipe.key)
        return fingerprint("/".join((*own, sets, self.parent or "")))
