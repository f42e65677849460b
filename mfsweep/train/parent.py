"""What a training starts from in place of fresh weights: the checkpoint of a stage, or a model file from outside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from torch import Tensor

from mfsweep.errors import TrainingError, nearest
from mfsweep.models import outside
from mfsweep.models.architecture import Architecture, Shape
from mfsweep.spec.stage import FRESH, PARENT, Head, Training, inherited
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


def match_heads(heads: Sequence[str], parent: Sequence[str], given: Mapping[str, Head] = {}) -> dict[str, str]:
    """Return for each head the parent's head that it starts from; heads that start fresh are absent.

    Args:
        heads: the child's heads.
        parent: the parent's heads.
        given: what the spec says of some of the heads. For the others docs/fairness.md#rule-9 holds: the head of the
            same name, else the parent's only one.

    Raises:
        TrainingError: a head is not among the parent's several, or the head that the spec names is not the parent's.
    """
    sources = {}
    for head in heads:
        wanted = given[head].source if head in given else None
        if wanted == FRESH:
            continue
        by_rule = wanted in (None, PARENT)
        source = (inherited(head, parent) or head) if by_rule else str(wanted)
        if source not in parent:
            place = "the parent stage" if by_rule else f"{source!r} of the parent stage"
            raise TrainingError(
                f"the readout head {head!r} cannot start from {place}: it has the heads {', '.join(parent)}. "
                f"Name one of them, or `fresh`: `heads: {{{head}: {{from: {parent[0]}}}}}`." + nearest(source, parent)
            )
        sources[head] = source
    return sources
