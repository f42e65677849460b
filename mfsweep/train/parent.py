"""What a training starts from in place of fresh weights: the checkpoint of a stage, or a model file from outside."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from mfsweep.errors import TrainingError
from mfsweep.models import outside
from mfsweep.models.base import Shape
from mfsweep.spec.model import Architecture
from mfsweep.spec.stage import Training
from mfsweep.train.checkpoint import load_weights


class Parent(NamedTuple):
    """A trained model as a child sees it."""

    path: Path
    model: Architecture
    shape: Shape
    state: Mapping[str, Tensor]
    """Its `state_dict()`."""
    reference: Literal["ours", "its own"]
    """What its energies stand against: offsets fitted as in every training, or those of the file's makers."""


def read_parent(training: Training, path: Path | None) -> Parent | None:
    """Read what a training starts from; None: fresh weights.

    Args:
        training: the child.
        path: selected.pt of `training.parent`, or the file whose digest is `training.file`.

    Raises:
        TrainingError: the file cannot be read.
    """
    if path is None:
        return None
    if training.file is not None:
        found = outside.read(path)
        return Parent(path, found.model, found.shape, found.state, found.reference)
    weights = load_weights(path)
    return Parent(path, weights.spec, weights.shape, weights.state, "ours")


def child_shape(parent: Parent, training: Training, own: Shape) -> Shape:
    """Return the shape of a child: its own heads, the parent's elements and mean number of neighbours.

    Raises:
        TrainingError: the parent is a model of another size, or does not know an element of the data.
    """
    wanted, found = (model.model_dump(mode="json") for model in (training.model, parent.model))
    different = [field for field in sorted(wanted | found) if wanted.get(field) != found.get(field)]
    if different:
        raise TrainingError(
            f"the parent's model {parent.path} differs from this stage's in "
            + ", ".join(f"{field} ({found.get(field)}, expected {wanted.get(field)})" for field in different)
            + ": a stage continues a model of its own size"
            + (f". Write {outside.describe(parent.model)}" if training.file else "")
        )
    unknown = sorted(set(own.elements) - set(parent.shape.elements))
    if unknown:
        raise TrainingError(
            f"the parent's model {parent.path} knows the elements {list(parent.shape.elements)} (atomic numbers), "
            f"and this stage's data has {unknown} too: pre-train on data with these elements"
        )
    return own._replace(elements=parent.shape.elements, avg_num_neighbors=parent.shape.avg_num_neighbors)
