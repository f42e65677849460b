"""Model files that stages start from, as the plan knows them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mfsweep.data.source import digest
from mfsweep.plan.expand import Cell
from mfsweep.plan.graph import ModelFile
from mfsweep.spec.load import Spec


def model_files(spec: Spec, cells: Sequence[Cell], folder: Path) -> dict[str, tuple[ModelFile, Path]]:
    """Return what the plan must know of each model file, by its path in the spec, and where it lies.

    Args:
        spec: it names them.
        cells: its stages that start from one.
        folder: of the spec; relative paths begin there.

    Raises:
        SpecError: a path at which there is no file.
        TrainingError: a file that cannot be read.
    """
    names = {live.file: live.name for cell in cells for live in cell.stages.values() if live.file is not None}
    if not names:
        return {}
    # Only a spec that names such a file pays for importing torch.
    from mfsweep.models.outside import describe, read

    found = {}
    for name, stage in names.items():
        place = "stages", stage, "start_from"
        try:
            path = (folder / Path(name).expanduser()).resolve()
            is_file = path.is_file()
        except (OSError, ValueError, RuntimeError) as error:  # a name too long, a zero byte, the home of nobody
            raise spec.document.error(place, f"file:{name}", f"a model file: {error}") from error
        if not is_file:
            raise spec.document.error(place, f"file:{name}", f"the path of a model file; there is no file {path}")
        outside = read(path)
        heads = {head: outside.shape.hidden.get(head) for head in outside.shape.heads}
        found[name] = (ModelFile(digest(path), outside.model, heads, describe(outside.model)), path)
    return found
