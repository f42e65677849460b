"""`stages:` and `evaluate:` of a spec: labelled sets, the training recipe, evaluations.

`Stage` is what a cell asks for after `${axis}` is filled in; `Training` is the identity of one stage as it is run:
content only, no names, no paths, no resources. Its fingerprint is the stage key.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Annotated, ClassVar, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from mfsweep.fingerprint import fingerprint
from mfsweep.models.architecture import Lora
from mfsweep.models.registry import Model
from mfsweep.quantities import score_name
from mfsweep.spec.base import (
    Float,
    Frozen,
    Int,
    Name,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Seed,
)
from mfsweep.spec.batching import AnyBatching, Batching
from mfsweep.spec.data import RESERVED, Difference, LabelKeys, ResolvedData, Shuffled, SubsetName
from mfsweep.spec.resources import OwnResources

SCHEMA = 1
"""Raised when the same training would give other numbers than before: every key changes."""
HEADS_SCHEMA = 2
"""The same for trainings of several heads. 2: all their errors are of the selected checkpoint
(docs/fairness.md#rule-8); before, each method's were of the checkpoint best for its own head."""
FILE = "file:"
"""Begins a `start_from` that names a model file."""


class _Slice(Frozen):
    """Structures of one subset, how often they are drawn, and the head that learns them."""

    subset: SubsetName
    """Part of the structures that they are taken from."""
    size: NonNegativeInt | Literal["all", "labelled"] = "all"
    """Training structures: the first `size` of the subset's one shuffle. 0: the set vanishes. `labelled`: those of the
    subset that carry the labels, as after `mfsweep select`; such a set adds nothing to what the subset needs."""
    range: tuple[NonNegativeInt, NonNegativeInt] | None = None
    """In place of `size`: the structures from i up to, not including, j of the same shuffle. i = j: it vanishes."""
    probability: Annotated[Float, Field(ge=0, le=1)] | None = None
    """Probability that a batch comes from this set (alpha); sets without one share evenly what is left."""
    head: Name | None = None
    """Readout head that learns the set. Default: that of its labels. Two methods of one head each keep their own energy
    offsets (linear referencing)."""

    @model_validator(mode="after")
    def _refuse_bad_range(self) -> Self:
        if self.range is not None and self.size != "all":
            raise ValueError("`size` or `range`, not both")
        if self.range is not None and self.range[0] > self.range[1]:
            raise ValueError(f"a range [i, j] with i <= j, not {list(self.range)}")
        if self.head in RESERVED:
            raise ValueError(f"another name of a head: {self.head!r} {RESERVED[self.head]}")
        return self

    @property
    def is_empty(self) -> bool:
        """Return whether it holds no structures."""
        return self.size == 0 or (self.range is not None and self.range[0] == self.range[1])

    @property
    def end(self) -> int | None:
        """Return where it ends in the subset's shuffle; None: at the shuffle's own end."""
        if self.range is not None:
            return self.range[1]
        return None if isinstance(self.size, str) else self.size

    @property
    def extent(self) -> str:
        """Return its place in the subset's shuffle as an error or a figure shows it."""
        return f"{self.range[0]} to {self.range[1]}" if self.range is not None else str(self.size)


class LabelledSet(_Slice):
    """(label method; subset; size): structures of one subset with one method's labels."""

    labels: Name
    """Label method, of the file or derived."""

    @property
    def trains(self) -> str:
        """Return the readout head that learns it."""
        return self.head or self.labels


class MixtureSet(_Slice):
    """A labelled set as a spec writes it."""

    labels: Name | Difference | Shuffled
    """Label method; `{target: cc, minus: xtb}` trains a difference, `{shuffled: dft}` is a negative control."""
    use: Annotated[tuple[Literal["energy", "forces"], ...], Field(min_length=1)] | None = None
    """Labels that are trained on. Default: all that the method has."""

    @property
    def method(self) -> str:
        """Return the label method's name."""
        return self.labels if isinstance(self.labels, str) else self.labels.name


PARENT, FRESH = "parent", "fresh"
"""Where a head may come from, beside a head of the parent that is named."""


class Head(Frozen):
    """Where a readout head of a stage with a parent comes from, and how wide it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, populate_by_name=True)

    source: Annotated[str | None, Field(alias="from")] = None
    """`parent`: that of the same label method, else the parent's only one (docs/fairness.md#rule-9), the default;
    `fresh`: from the seed; or the name of a head of the parent."""
    hidden: Annotated[tuple[PositiveInt, ...], Field(min_length=1)] | None = None
    """Hidden widths of the head's MLP. Default: those of the head it starts from, of a fresh one the model's."""


def inherited(head: str, parent: Sequence[str]) -> str | None:
    """Return the parent's head of the same name, else its only one, else None: docs/fairness.md#rule-9."""
    if head in parent:
        return head
    return parent[0] if len(parent) == 1 else None


class Rates(Frozen):
    """Learning rates of the two parts of a model."""

    backbone: NonNegativeFloat
    """Rate of all that the heads share; 0 leaves it as it is."""
    readouts: NonNegativeFloat
    """Rate of the readout heads; 0 leaves them as they are."""

    @model_validator(mode="after")
    def _refuse_nothing(self) -> Self:
        if not (self.backbone or self.readouts):
            raise ValueError("a learning rate above 0: nothing would be left to train")
        return self


class Schedule(Frozen):
    """Learning-rate drops and early stop, in optimiser steps without a better `select_on`."""

    factor: Annotated[Float, Field(gt=0, lt=1)] = 0.8
    """The learning rate is multiplied by this."""
    patience_steps: PositiveInt = 32_000
    """Steps without improvement before a drop."""
    stop_steps: PositiveInt = 100_000
    """Steps without improvement before the stage stops."""


class LossWeights(Frozen):
    """lambda_E and lambda_F of one label method."""

    energy: NonNegativeFloat = 1.0
    """Weight of (dE / N)^2, eV."""
    forces: NonNegativeFloat = 1.0
    """Weight of the mean over components of dF^2, eV/angstrom; 0: forces are never computed."""


class Recipe(Frozen):
    """How a stage is trained; part of its identity."""

    learning_rate: PositiveFloat | Rates = 1e-3
    """Adam's (the study's value is unknown: assumed). `{backbone: 1e-4, readouts: 1e-3}`: one for each part."""
    optimizer: Literal["adam"] = "adam"
    """Adam, the study's."""
    schedule: Schedule = Schedule()
    max_steps: PositiveInt | None = None
    """Optimiser steps at most; a stage that this stops is not converged, and is drawn hollow. None: no limit."""
    validate_every: PositiveInt = 1000
    """Optimiser steps between validations."""
    batch: AnyBatching = Batching()
    """How structures become batches: by Worst Fit, or by predicted time with `packer: cost_aware`."""
    loss: dict[Name, LossWeights] = {}
    """Label method -> weights. Default: 1 and 1 with forces, 100 and 0 for an energy-only method (assumed)."""
    select_on: str | Annotated[dict[str, PositiveFloat], Field(min_length=1)] | None = None
    """The one metric for schedule, stop and selected checkpoint, `validation.<method>.<quantity>` (lower is better), or
    several with weights, whose weighted mean counts. Default: `validation.loss`, the mean of all methods' losses
    weighted by their probabilities."""
    trainable: Literal["all", "readouts", "lora"] | None = None
    """`readouts`: the backbone stays as the parent left it; `lora`: it changes by low-rank adapters. Default: all."""
    lora: Lora | None = None
    """The adapters of `trainable: lora`."""

    @property
    def max_edges(self) -> int | None:
        """Return how many edges a batch may have, None where it may have any."""
        return None if isinstance(self.batch, Batching) else self.batch.max_edges


class Evaluation(Frozen):
    """One labelled set on which a finished stage is scored."""

    labels: Name
    """Label method whose values are the reference."""
    subset: SubsetName
    """Part of the structures that are scored."""
    part: Literal["train", "validation", "test"] = "test"
    """`test`: every structure of a subset that no stage trains on."""
    head: Name | None = None
    """Readout head that predicts. Default: that of `labels`."""
    offsets: Name | None = None
    """Label method whose energy offsets are added. Default: `labels`."""
    base: Name | None = None
    """Label method whose own values are added to the prediction (delta-learning). Default: what the head's difference
    is taken against, where the stage has learned `labels` as a difference only."""
    keys: tuple[LabelKeys, ...] | None = None
    """Filled in by the plan: the file's keys behind all these methods, since a name may come to mean others."""
    contents: tuple[tuple[Name, str], ...] | None = None
    """Filled in by the plan: method and digest of the labels behind these methods that the stage's own key leaves out.
    None where it holds all: labels that are corrected under their name then make another stage."""

    PLANNED: ClassVar[tuple[str, ...]] = ("keys", "contents", "own")
    """Fields that no spec has."""
    own: Literal[True] | None = None
    """Filled in by the plan: `head` is the one that has learned `labels`, under another name."""
    checkpoint: Literal["selected", "best"] | None = None
    """Weights that are scored: the `selected` ones of the stage, by default, or those `best` for the head
    (docs/fairness.md#rule-8)."""

    @property
    def name(self) -> str:
        """Return what the score is called (quantities.score_name): no two of a stage share a name."""
        asked = self.head if self.head != self.labels and not self.own else None
        return score_name(self.part, self.subset, self.labels, asked, best=self.checkpoint == "best")


class Stage(Recipe):
    """One stage of a cell, `${axis}` filled in: where it starts, what it trains on, how, and what it is scored on."""

    start_from: str | None = None
    """Name of the parent stage; null: fresh weights; `file:model.pt`: a model from outside (relative to the spec)."""
    train: Annotated[tuple[MixtureSet, ...], Field(min_length=1)]
    """The mixture of labelled sets. A stage whose sets are all empty vanishes, and its child starts fresh."""
    evaluate: tuple[Evaluation, ...] = ()
    """Scores of this stage, beside those of the spec's `evaluate:`, which are the result's."""
    heads: dict[Name, Head] = {}
    """Readout head -> where it comes from, and its width."""
    resources: OwnResources = OwnResources()
    """What this stage is given. Never part of its identity, so that axes in it make no further stages."""

    def recipe(self) -> Recipe:
        """Return the recipe alone."""
        return Recipe.model_construct(**{field: getattr(self, field) for field in Recipe.model_fields})


class Training(Frozen):
    """One training by content: equal trainings have equal keys, in any spec, for any user of a store."""

    schema_number: Int = SCHEMA
    data: ResolvedData
    model: Model
    precision: Literal["float32", "float64"]
    seed: Seed
    """Seed of initial weights and of the order of structures."""
    sets: Annotated[tuple[LabelledSet, ...], Field(min_length=1)]
    """None of them empty, each with its `probability`, in sorted order; the probabilities sum to 1."""
    recipe: Recipe
    """With `loss` and `select_on` filled in."""
    parent: str | None = None
    """Key of the stage whose selected checkpoint this one starts from."""
    file: str | None = None
    """sha256 of the model file that it starts from in place of a stage."""
    heads: dict[Name, Head] | None = None
    """Readout heads that do not start by docs/fairness.md#rule-9, or are not as wide as the model's; None: there are
    none."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Return the label methods trained on, sorted."""
        return tuple(sorted({labelled.labels for labelled in self.sets}))

    @property
    def head_names(self) -> tuple[str, ...]:
        """Return the model's readout heads, sorted."""
        return tuple(sorted({labelled.trains for labelled in self.sets}))

    @property
    def edge_cap(self) -> tuple[int, float] | None:
        """Return how many edges a batch may have and within which cutoff they count; None where it may have any."""
        cap = self.recipe.max_edges
        return None if cap is None else (cap, self.model.r_max)

    def head_of(self, method: str) -> str:
        """Return the readout head that learns a label method: the plan lets each have one."""
        return next(labelled.trains for labelled in self.sets if labelled.labels == method)

    @cached_property
    def key(self) -> str:
        """Return the stage key: a fingerprint over the parts' own, since a large grid shares the parts."""
        sets = "+".join(labelled.key for labelled in self.sets)
        own = (str(self.schema_number), self.data.key, self.model.key, self.precision, str(self.seed), self.recipe.key)
        heads = [f"{name}:{head.key}" for name, head in sorted((self.heads or {}).items())]
        outside = [f"file:{self.file}"] if self.file else []
        several = [f"heads:{HEADS_SCHEMA}"] if len(self.head_names) > 1 else []
        return fingerprint("/".join((*own, sets, self.parent or "", *outside, *heads, *several)))
