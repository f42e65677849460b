"""A model file from outside a store: a checkpoint that mfsweep wrote, or a MACE foundation model of mace-torch.

A foundation model is a pickled module, for which torch.load would have to run code from the file
(`weights_only=False`). It is never run: `archive` reads such a file as plain data, so a file need not be trusted.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter

from mfsweep.errors import TrainingError
from mfsweep.models import archive, pickled
from mfsweep.models.architecture import Architecture, Shape
from mfsweep.models.mace.foundation import Outside, convert
from mfsweep.models.registry import Model


def read(path: Path) -> Outside:
    """Return the model that a file holds.

    Raises:
        TrainingError: the file cannot be read, holds no model, or one that ours cannot express.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise TrainingError(f"the model file {path} cannot be read: {error}") from error
    content = _content(raw, path)
    if isinstance(content, pickled.StandIn) and type(content).__name__ in ("ScaleShiftMACE", "MACE"):
        return convert(content, path)
    if isinstance(content, Mapping) and set(_FIELDS) <= set(content):
        return _ours(content, path)
    raise TrainingError(
        f"{path} holds {_described(content)}: expected a whole model, either a selected.pt or best.<method>.pt that "
        "mfsweep wrote, or a .model file of mace-torch (a ScaleShiftMACE or MACE saved by torch.save)"
    )


def describe(model: Architecture) -> str:
    """Return the one line of a spec that asks for this model: `model: {architecture: mace, channels: 128}`."""
    fields = {"architecture": model.architecture, **model.model_dump(mode="json", exclude_defaults=True)}
    return "model: " + yaml.safe_dump(fields, default_flow_style=True, sort_keys=False, width=10_000).strip()


_FIELDS = ("model", "precision", "heads", "elements", "avg_num_neighbors", "offsets", "state")
"""What a checkpoint of ours holds at least."""


def _content(raw: bytes, path: Path) -> Any:
    try:
        return archive.load_plain(raw)
    except archive.ArchiveError:  # not plain data, or of an older torch
        try:
            return archive.load_inert(raw)
        except archive.ArchiveError as error:
            raise TrainingError(f"the model file {path} cannot be read: {error}") from error


def _ours(content: Mapping[str, Any], path: Path) -> Outside:
    try:
        hidden = {head: tuple(widths) for head, widths in content.get("hidden", {}).items()}
        shape = Shape(tuple(content["heads"]), tuple(content["elements"]), content["avg_num_neighbors"], hidden)
        model: Architecture = TypeAdapter(Model).validate_python(content["model"])
    except (ValueError, TypeError, AttributeError) as error:
        raise TrainingError(f"{path} holds a model that this version of mfsweep does not know ({error})") from error
    return Outside(model, shape, content["precision"], content["offsets"], content["state"], reference="ours")


def _described(content: Any) -> str:
    if isinstance(content, Mapping):
        return "a dictionary of " + (", ".join(sorted(map(str, content))[:6]) or "nothing")
    return f"a {type(content).__name__}"
