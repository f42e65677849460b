"""Weights of a working copy, which are copied from the storage when they are read."""

from __future__ import annotations

from mfsweep.store.remote.copied import promised
from mfsweep.store.remote.objects import in_sentences
from mfsweep.store.remote.remote_store import copied_from
from mfsweep.store.stage_folder import StageFolder
from mfsweep.store.store import StoreFolder


def has_weights(folder: StageFolder, file: str) -> bool:
    """Return whether the storage has a checkpoint of a stage that was copied from it."""
    return file in promised(folder)


def fetch_weights(folder: StageFolder) -> None:
    """Copy the weights of a stage.

    Raises:
        StoreError: the storage cannot be used, or what it has is damaged.
    """
    remote = copied_from(StoreFolder(folder.path.parent.parent))
    if remote is not None:
        with in_sentences(remote.url):
            remote.pull_weights(folder)
