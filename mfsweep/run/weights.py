"""The weights of a trained stage, as another one reads them: compared with its record first."""

from __future__ import annotations

from pathlib import Path

from mfsweep.errors import StoreError
from mfsweep.records import BestCheckpoint
from mfsweep.store import StageFolder


def sound_weights(folder: StageFolder, kept: BestCheckpoint) -> Path:
    """Return where a checkpoint of a trained stage lies.

    Args:
        folder: the stage; not held by this process.
        kept: which of those that its record names.

    Raises:
        StoreError: it is not the file that was recorded; it was set aside then, with the record, unless another process
            holds the stage.
    """
    damaged = folder.damaged_weights(kept)
    if damaged is None:
        return folder.path / kept.file
    mended = ""
    if not damaged.whole:
        with folder.claim() as mine:
            # Another process may have been here: then there is no record, or a new one.
            if mine and (again := folder.damaged_weights(kept)):
                folder.set_aside([again])
        mended = ". They are set aside with the stage's record: `mfsweep run` of its spec trains the stage again"
    raise StoreError(f"the weights of stage {folder.key} cannot be used: {damaged}{mended}")
