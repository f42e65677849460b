"""Everything of one training that changes, and how it starts: what `last.pt` holds is exactly this.

There is no random state to save: the initial weights come from the seed, and the sampler's draws are functions of
(seed, step), so its counters restore them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from mfsweep.data.dataset import Dataset
from mfsweep.data.sampler import Sampler
from mfsweep.errors import TrainingError
from mfsweep.models import Potential, Shape, build, match_heads
from mfsweep.spec.data import TEST_SUBSET
from mfsweep.spec.stage import Training
from mfsweep.train.checkpoint import DTYPES, Weights, load_weights
from mfsweep.train.parameters import Flat
from mfsweep.train.schedule import Plateau, advance
from mfsweep.train.selection import Selection
from mfsweep.train.tally import Tally
from mfsweep.train.world import World


class State:
    """A training between two optimiser steps."""

    def __init__(
        self, training: Training, dataset: Dataset, selection: Selection, parent: Path | None, world: World
    ) -> None:
        """Start before the first step: weights from the seed or a parent, the optimiser always fresh.

        Args:
            training: what to train.
            dataset: its data.
            selection: what to keep; nothing yet.
            parent: the parent's selected.pt.
            world: this rank among its group; every rank calls this, and starts from rank 0's weights.

        Raises:
            TrainingError: the parent's model is another one than this training's, or lacks a head.
            DataError: a labelled set or the energy offsets cannot be had.
        """
        self.training = training
        self.offsets = {method: dataset.offsets(method, training.sets) for method in training.methods}
        weights = load_weights(parent) if parent else None
        shape = Shape(training.methods, dataset.elements, average_neighbours(dataset, training.model.r_max))
        if weights:
            shape = _inherited(weights, training, shape, parent)
        dtype = DTYPES[training.precision]
        self.model: Potential = build(training.model, shape, self.offsets, seed=training.seed, dtype=dtype)
        if weights:
            self.model.adopt(weights.state, weights.heads, match_heads(shape.heads, weights.heads))
        self.model.to(world.device).train()
        self.flat = Flat(self.model)
        world.share_(self.flat.values.data)
        rate = training.recipe.learning_rate
        self.optimizer = torch.optim.Adam([self.flat.values], lr=rate, fused=True)
        members = [dataset.training(labelled) for labelled in training.sets]
        batch = training.recipe.batch
        self.sampler = Sampler(training.sets, members, dataset.structures.sizes, batch, training.seed)
        self.tally = Tally(training.sets, members)
        self.plateau = Plateau(rate)
        self.selection = selection
        self.step = 0
        self.seconds = 0.0
        """Wall time so far, of all processes that worked on it."""

    @property
    def stop_reason(self) -> Literal["converged", "max_steps"] | None:
        """Return why the training is over, or None."""
        if self.plateau.converged:
            return "converged"
        limit = self.training.recipe.max_steps
        return "max_steps" if limit is not None and self.step >= limit else None

    def observe(self, metrics: Mapping[str, float]) -> None:
        """Take in a validation: keep weights that are better, drop the learning rate, or stop."""
        self.selection = self.selection.updated(self.step, metrics, self.flat.snapshot())
        value = metrics[self.selection.select_on]
        self.plateau = advance(self.plateau, self.training.recipe.schedule, self.step, value)
        for group in self.optimizer.param_groups:
            group["lr"] = self.plateau.learning_rate

    def weights(self, step: int) -> Weights:
        """Return the model as it is now, as plain data."""
        return Weights(
            model=self.training.model.model_dump(mode="json"),
            precision=self.training.precision,
            heads=list(self.model.shape.heads),
            elements=list(self.model.shape.elements),
            avg_num_neighbors=self.model.shape.avg_num_neighbors,
            offsets=self.offsets,
            step=step,
            state=self.model.state_dict(),
        )

    def dump(self) -> dict[str, Any]:
        """Return the whole state as plain data and tensors."""
        return {
            "key": self.training.key,
            "step": self.step,
            "seconds": self.seconds,
            "parameters": self.flat.values.data,
            "optimizer": self.optimizer.state_dict(),
            "plateau": self.plateau._asdict(),
            "sampler": self.sampler.state(),
            "tally": self.tally.state(),
            "selection": self.selection.state(),
        }

    def restore(self, content: Mapping[str, Any]) -> None:
        """Stand where `dump` was taken.

        Raises:
            TrainingError: it is of another training.
        """
        key = self.training.key
        if content.get("key") != key:
            raise TrainingError(
                f"the checkpoint to resume from is of the stage {content.get('key')}, expected {key}: "
                "its folder was copied or renamed; remove the folder and run again"
            )
        self.step = content["step"]
        self.seconds = content["seconds"]
        self.flat.load(content["parameters"])
        self.optimizer.load_state_dict(content["optimizer"])
        self.plateau = Plateau(**content["plateau"])
        self.sampler.restore(content["sampler"])
        self.tally.restore(content["tally"])
        self.selection = self.selection.restored(content["selection"])


def average_neighbours(dataset: Dataset, cutoff: float) -> float:
    """Return the mean number of neighbours of an atom within `cutoff` angstrom, over all training parts.

    Geometry only, and the same for every size and stage of a data set: a size axis must not change the model's scale.
    """
    parts = dataset.partition.train
    members = np.concatenate([part for name, part in parts.items() if name != TEST_SUBSET or len(parts) == 1])
    edges = np.diff(dataset.edges(cutoff).offsets)[members].sum()
    return float(edges / dataset.structures.sizes[members].sum())


def _inherited(weights: Weights, training: Training, own: Shape, parent: Path | None) -> Shape:
    """Return the shape of a child: its own heads, the parent's elements and mean number of neighbours."""
    model = training.model.model_dump(mode="json")
    different = sorted(field for field in model if model[field] != weights.model.get(field))
    if different:
        raise TrainingError(
            f"the parent's model {parent} differs from this stage's in "
            + ", ".join(f"{field} ({weights.model.get(field)}, expected {model[field]})" for field in different)
            + ": a stage continues a model of its own size"
        )
    unknown = sorted(set(own.elements) - set(weights.elements))
    if unknown:
        raise TrainingError(
            f"the parent's model {parent} knows the elements {weights.elements} (atomic numbers), "
            f"and this stage's data has {unknown} too: pre-train on data with these elements"
        )
    return Shape(own.heads, weights.shape.elements, weights.avg_num_neighbors)
