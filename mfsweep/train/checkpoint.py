"""The two kinds of checkpoint file, both written under a temporary name, flushed and renamed, and both plain data.

    last.pt                       the whole state of a training, to resume from: the only truth while it runs
    selected.pt, best.<head>.pt   a whole model: spec, shape, offsets, weights; written when the training ends

A store is shared, so its files are untrusted: they are read through models/archive.py, as plain data, with the
checksums of all that is in them compared.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, NamedTuple

import torch
from pydantic import TypeAdapter
from torch import Tensor

from mfsweep.errors import CheckpointError, TrainingError
from mfsweep.files import before_of, write_file
from mfsweep.models.architecture import Architecture, Shape
from mfsweep.models.archive import ArchiveError, load_plain
from mfsweep.models.base import Potential
from mfsweep.models.registry import Model, build

DTYPES = {"float32": torch.float32, "float64": torch.float64}


class Weights(NamedTuple):
    """A trained model as plain data."""

    model: dict[str, Any]
    """`training.model`, dumped."""
    precision: str
    heads: list[str]
    elements: list[int]
    avg_num_neighbors: float
    offsets: dict[str, dict[int, float]]
    """Head -> atomic number -> E0, eV: those of the method of its name, else of the first that it learned."""
    step: int
    """Optimiser step at which the weights were kept."""
    state: dict[str, Tensor]
    """The model's `state_dict()`."""
    hidden: dict[str, tuple[int, ...]] = {}  # noqa: RUF012 (never written to)
    """Head -> hidden widths of its readout, where they are not the model's."""

    @property
    def spec(self) -> Architecture:
        """Return the architecture and size; fields that a later version added have their defaults."""
        return TypeAdapter[Architecture](Model).validate_python(self.model)

    @property
    def shape(self) -> Shape:
        """Return what the weights' shapes depend on beside the spec."""
        return Shape(tuple(self.heads), tuple(self.elements), self.avg_num_neighbors, self.hidden)


_REQUIRED = set(Weights._fields) - set(Weights._field_defaults)


def save(path: Path, content: dict[str, Any]) -> None:
    """Write plain data and tensors so that a reader sees the old file or the new, never a part."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:  # given a path, torch would put the temporary name into the file
            torch.save(content, file)

    write_file(path, write)


def save_state(last: Path, content: dict[str, Any]) -> None:
    """Write the whole state of a training as `save` does; the one before stays beside it."""
    if last.exists():
        last.replace(before_of(last))
    save(last, content)


def copied(content: Any) -> Any:
    """Return plain data of which nothing changes any more: every tensor, copied to the CPU's memory.

    Tensors that are one stay one.
    """
    known: dict[tuple[Any, ...], Tensor] = {}

    def copy(value: Any) -> Any:
        if isinstance(value, Tensor):
            same = value.data_ptr(), value.dtype, value.shape, value.stride()
            if same not in known or not value.numel():
                known[same] = value.detach().to("cpu", copy=True)
            return known[same]
        if isinstance(value, dict):
            return {key: copy(inner) for key, inner in value.items()}
        return [copy(inner) for inner in value] if isinstance(value, list) else value

    return copy(content)


def load(path: Path) -> dict[str, Any]:
    """Read a file written by `save`, its tensors on the CPU.

    Raises:
        TrainingError: the file is missing, or the system does not let us read it.
        CheckpointError: it is damaged, cut short, or holds anything but plain data and tensors.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"the checkpoint {path} cannot be read: {error}") from error
    return _content(raw, f"the checkpoint {path}")


def _content(raw: bytes, name: str) -> dict[str, Any]:
    try:
        content = load_plain(raw)
    except ArchiveError as error:
        raise CheckpointError(f"{name} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{name} cannot be read: expected named values, got a {type(content).__name__}")
    return content


def load_step(path: Path, step: int, patience: float) -> dict[str, Any]:
    """Read the `last.pt` of a step that another rank has read already.

    On a network file system a file is seen by one machine some seconds before another, and its old content as well;
    so it is looked at again for `patience` seconds.

    Raises:
        TrainingError: by then there is none of that step.
    """
    until = time.monotonic() + patience
    while True:
        try:
            content, seen = load(path), None
        except TrainingError as error:
            content, seen = {}, error
        if content.get("step") == step:
            return content
        if time.monotonic() >= until:
            raise TrainingError(
                f"rank 0 resumes from step {step} of {path}, and this rank sees "
                + (f"step {content.get('step')}" if seen is None else f"none for {patience:.0f} seconds ({seen})")
                + ": expected the same file on every machine. Put the store on a file system that all of them share"
            ) from seen
        time.sleep(min(0.5, patience / 4))


def save_weights(path: Path, weights: Weights) -> None:
    """Write a trained model."""
    state = {name: tensor.detach().cpu().clone() for name, tensor in weights.state.items()}
    save(path, weights._replace(state=state)._asdict())


def load_weights(path: Path) -> Weights:
    """Read a trained model's plain data.

    Raises:
        TrainingError: the file cannot be read; CheckpointError: it is damaged, or not a model of this version.
    """
    return _weights(load(path), str(path))


def weights_of(raw: bytes, name: str) -> Weights:
    """Return a trained model's plain data, given the content of its file.

    Args:
        raw: the content.
        name: of the file, for messages.

    Raises:
        CheckpointError: it is damaged, or not a model of this version.
    """
    return _weights(_content(raw, name), name)


def _weights(content: dict[str, Any], name: str) -> Weights:
    missing = sorted(_REQUIRED - set(content))
    if missing:
        raise CheckpointError(f"{name} is not a model checkpoint of this version: it lacks {', '.join(missing)}")
    return Weights(**{field: content[field] for field in Weights._fields if field in content})


def restore(weights: Weights, device: str | torch.device = "cpu") -> Potential:
    """Return the model that a checkpoint holds, in evaluation mode on the device."""
    model = build(weights.spec, weights.shape, weights.offsets, seed=0, dtype=DTYPES[weights.precision])
    model.load_state_dict(weights.state)
    return model.to(device).eval()
