"""Everything of one training that changes, and how it starts: what `last.pt` holds is exactly this.

There is no random state to save: the initial weights come from the seed, and the sampler's draws are functions of
(seed, step), so its counters restore them. Frozen parameters are not saved either: they come from the parent again.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mfsweep.data.sampler import Sampler, counts_edges
from mfsweep.data.view import DataView
from mfsweep.errors import CheckpointError, TrainingError
from mfsweep.models.architecture import Shape
from mfsweep.models.base import Potential
from mfsweep.models.registry import build
from mfsweep.spec.data import TEST_SUBSET
from mfsweep.spec.stage import Training
from mfsweep.train.adam import Adam
from mfsweep.train.between import Unvalidated
from mfsweep.train.checkpoint import DTYPES, Weights
from mfsweep.train.inheritance import Inheritance, compare
from mfsweep.train.parameters import Flat, trained
from mfsweep.train.parent import Parent, child_shape, match_heads, read_parent
from mfsweep.train.referencing import refer
from mfsweep.train.schedule import Plateau, Reason, advance
from mfsweep.train.selection import Selection
from mfsweep.train.tally import Tally
from mfsweep.train.world import World

_DUMPED = {"key", "step", "seconds", "parameters", "optimizer", "plateau", "sampler", "tally", "selection"}
"""What is there at least of a training to resume."""


class TrainingState:
    """A training between two optimiser steps."""

    def __init__(
        self, training: Training, view: DataView, selection: Selection, parent: Path | None, world: World
    ) -> None:
        """Start before the first step: weights from the seed or a parent, the optimiser always fresh.

        Args:
            training: what to train.
            view: its data.
            selection: what to keep; nothing yet.
            parent: the parent's selected.pt, or the model file to start from.
            world: this rank among its group; every rank calls this, and starts from rank 0's weights.

        Raises:
            TrainingError: the parent's model is another one than this training's, lacks a head, or has other energies.
            DataError: a labelled set or the energy offsets cannot be had.
        """
        self.training = training
        self.offsets = {method: view.offsets(method, training.sets) for method in training.methods}
        self.head_offsets = {head: self.offsets[_namesake(training, head)] for head in training.head_names}
        self.model = self._model(view, parent, world)
        groups = trained(self.model, training.recipe)
        self.flat = Flat([group.parameters for group in groups])
        for tensor in (self.flat.values, *(own.data for own in self.model.parameters() if not own.requires_grad)):
            world.share_(tensor)
        self.inherited = self._inherited(view, world)
        self.model.train()
        self.optimizer = Adam(self.flat.groups, [group.rate for group in groups])
        members = [view.training(labelled) for labelled in training.sets]
        batch = training.recipe.batch
        edges = np.diff(view.edges(training.model.r_max).offsets) if counts_edges(batch) else None
        self.sampler = Sampler(training.sets, members, view.structures.sizes, batch, training.seed, edges)
        self.tally = Tally(training.sets, members)
        self.plateau = Plateau(max(group.rate for group in groups))
        self.selection = selection
        self.step = 0
        self.seconds = 0.0
        """Wall time so far, of all processes that worked on it."""
        self.unvalidated: Unvalidated | None = None
        """What the steps since the last validation gave; None at a validation."""

    def _model(self, view: DataView, path: Path | None, world: World) -> Potential:
        """Return the model before the first step, on the device."""
        training = self.training
        parent = read_parent(training, path)
        hidden = {name: head.hidden for name, head in (training.heads or {}).items() if head.hidden}
        neighbours = average_neighbours(view, training.model.r_max)
        shape = Shape(training.head_names, view.elements, neighbours, hidden)
        if parent:
            shape = child_shape(parent, training, shape)
        dtype = DTYPES[training.precision]
        model = build(training.model, shape, self.head_offsets, seed=training.seed, dtype=dtype)
        self._parent: tuple[Parent, dict[str, str]] | None = None
        if not parent:
            return model.to(world.device)
        sources = match_heads(shape.heads, parent.shape.heads, training.heads or {})
        model.adopt(parent.state, parent.shape, sources)
        self._parent = parent, sources
        model.to(world.device)
        if parent.reference == "its own":
            refer(model, sources, view, training, self.offsets, world)
        return model

    def _inherited(self, view: DataView, world: World) -> Inheritance | None:
        """Return how far the model, as it would take its first step, is from its parent; that one's weights go."""
        if self._parent is None:
            return None
        (parent, sources), self._parent = self._parent, None
        return compare(self.model, parent, sources, view, self.training, world.device)

    @property
    def stop_reason(self) -> Reason | None:
        """Return why the training is over, or None."""
        if self.plateau.converged:
            return "converged"
        limit = self.training.recipe.max_steps
        return "max_steps" if limit is not None and self.step >= limit else None

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Take in a validation: keep weights that are better, drop the learning rates, or stop."""
        self.unvalidated = None
        self.selection = self.selection.updated(self.step, metrics, self.flat.snapshot())
        schedule, before = self.training.recipe.schedule, self.plateau.learning_rate
        self.plateau = advance(self.plateau, schedule, self.step, self.selection.select_on.value(metrics))
        if self.plateau.learning_rate != before:
            self.optimizer.rates = [rate * schedule.factor for rate in self.optimizer.rates]

    def weights(self, step: int) -> Weights:
        """Return the model as it is now, as plain data, its adapters merged."""
        shape = self.model.shape
        return Weights(
            model=self.training.model.model_dump(mode="json"),
            precision=self.training.precision,
            heads=list(shape.heads),
            elements=list(shape.elements),
            avg_num_neighbors=shape.avg_num_neighbors,
            hidden=dict(shape.hidden),
            offsets=self.head_offsets,
            step=step,
            state=self.model.merged_state(),
        )

    def dump(self) -> dict[str, Any]:
        """Return the whole state as plain data and tensors."""
        return {
            "key": self.training.key,
            "step": self.step,
            "seconds": self.seconds,
            "parameters": self.flat.values,
            "shifts": self.model.shifts,
            "optimizer": self.optimizer.state_dict(),
            "plateau": self.plateau._asdict(),
            "sampler": self.sampler.state(),
            "tally": self.tally.state(),
            "selection": self.selection.state(),
            "unvalidated": self.unvalidated.state() if self.unvalidated else None,
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Stand where `dump` was taken.

        Raises:
            TrainingError: it is of another training.
            CheckpointError: it is not what this version dumps.
        """
        if lacking := sorted(_DUMPED - content.keys()):
            raise CheckpointError(f"the checkpoint to resume from is of another version: it lacks {', '.join(lacking)}")
        key = self.training.key
        if content.get("key") != key:
            raise TrainingError(
                f"the checkpoint to resume from is of the stage {content.get('key')}, expected {key}: "
                "its folder was copied or renamed; remove the folder and run again"
            )
        self.step = content["step"]
        self.seconds = content["seconds"]
        self.flat.load(content["parameters"])
        # Fitted again they might differ in the last bit, on another machine or with another number of ranks.
        self.model.shifts.copy_(content.get("shifts", self.model.shifts))
        self.optimizer.load_state_dict(content["optimizer"])
        self.plateau = Plateau(**content["plateau"])
        self.sampler.restore(content["sampler"])
        self.tally.restore(content["tally"])
        self.selection = self.selection.restored(content["selection"])
        period = content.get("unvalidated")
        self.unvalidated = Unvalidated.restored(period) if period else None


def average_neighbours(view: DataView, cutoff: float) -> float:
    """Return the mean number of neighbours of an atom within `cutoff` angstrom, over all training parts.

    Geometry only, and the same for every size and stage of a data set: a size axis must not change the model's scale.
    """
    parts = view.partition.train
    members = np.concatenate([part for name, part in parts.items() if name != TEST_SUBSET or len(parts) == 1])
    edges = np.diff(view.edges(cutoff).offsets)[members].sum()
    return float(edges / view.structures.sizes[members].sum())


def _namesake(training: Training, head: str) -> str:
    """Return the label method whose energy offsets go with a head's weights: of its name, else its first."""
    methods = [method for method in training.methods if training.head_of(method) == head]
    return head if head in methods else methods[0]
