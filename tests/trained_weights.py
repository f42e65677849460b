"""The weights of a store's stages, and whether those of two are equal bit for bit."""

from __future__ import annotations

from pathlib import Path

import torch

from mfsweep.store import StoreFolder

Weights = dict[str, dict[str, torch.Tensor]]
"""Key of a stage -> name of a parameter -> its value, of the selected checkpoint."""


def weights(store: Path) -> Weights:
    """Return the weights of every stage."""
    return {
        folder.key: torch.load(folder.selected, weights_only=True)["state"] for folder in StoreFolder(store).stages()
    }


def same(one: Weights, other: Weights) -> bool:
    """Return whether the same stages have the same weights."""
    return one.keys() == other.keys() and all(
        torch.equal(one[key][name], other[key][name]) for key in one for name in one[key]
    )
