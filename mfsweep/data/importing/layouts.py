"""The layouts of files that structures come from, in the order in which a file is held against them.

Each says how it recognises a file (`recognises`), and reads it (`ImportSource` of parts.py). The last two take what
nothing else has recognised, so that what they say of a file that they cannot read is what the user is told.
"""

from __future__ import annotations

from pathlib import Path

from mfsweep.data.importing.ani import AniSource
from mfsweep.data.importing.ase_files import AseSource
from mfsweep.data.importing.mace_files import MaceSource
from mfsweep.data.importing.pyanitools import PyanitoolsSource
from mfsweep.data.importing.release import ReleaseSource
from mfsweep.data.importing.spice import SpiceSource
from mfsweep.data.importing.torchani import TorchAniSource

Layout = type[ReleaseSource | SpiceSource | MaceSource | TorchAniSource | PyanitoolsSource | AniSource | AseSource]

LAYOUTS: dict[str, Layout] = {
    "multi-fidelity-training-mlff": ReleaseSource,
    "spice": SpiceSource,
    "mace": MaceSource,
    "torchani": TorchAniSource,
    "pyanitools": PyanitoolsSource,
    "ani1x": AniSource,
    "ase": AseSource,
}


def layout_of(path: Path) -> Layout:
    """Return the first layout that recognises a file; every file has one."""
    return next(layout for layout in LAYOUTS.values() if layout.recognises(path))


def is_one(folder: Path) -> bool:
    """Return whether a folder is one source, and not many files."""
    return layout_of(folder) is ReleaseSource or (folder / "data.mdb").exists()


def files_of(path: Path) -> list[Path]:
    """Return the files whose bytes a source is made of."""
    return ReleaseSource.files(path) if layout_of(path) is ReleaseSource else [path]
