"""What travels with an exported model: which stage it is, what it learned, how well, from whom, under which licence.

A model file is a zip archive, as torch writes it; the passport is a member `extra/passport.json` of it, and the same
text lies beside the file. It is read out of the archive as text: nothing of the file is unpickled, and nothing run. A
passport is what its writer says, no proof: files of strangers are not to be believed because they have one.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mfsweep.errors import StoreError
from mfsweep.masking import masked

MEMBER = "extra/passport.json"
"""Where it lies in the archive, below the archive's own folder; torch.jit's `_extra_files` lie there too."""
NAME = "passport.json"
LARGEST = 4_000_000
"""Bytes of a passport at most: more is no passport."""
UNSTATED = "not stated"


class _Plain(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class HeadPassport(_Plain):
    """One readout head."""

    methods: list[str]
    """Label methods that it learned; the first is that of its energy offsets."""
    offsets: dict[str, float]
    """Element symbol -> E0, eV."""
    minus: str | None = None
    """Label method whose own energies and forces have to be added: the head learned a difference."""


class Score(_Plain):
    """An error of the model."""

    value: float
    unit: str
    structures: int | None = None
    """Scored; None of a validation metric."""
    offsets_only: float | None = None
    """The same of energy offsets without any model."""
    low: float | None = None
    high: float | None = None
    """95 % interval of the mean over the replicates (Student's t); None where there is only one."""
    mean: float | None = None
    """Over the replicates."""
    replicates: int = 1
    replicate: str | None = None
    """What they are: `3 partitions of one pool`."""


class Ancestor(_Plain):
    """One training that led to the model."""

    key: str
    sets: list[str]
    """`200 dft of b`: structures, labels, subset."""
    steps: int
    ended: Literal["converged", "max_steps"]
    seed: int
    file: str | None = None
    """sha256 of the model file from outside that it started from."""


class Passport(_Plain):
    """What is told of one exported model."""

    schema_number: Literal[1] = 1
    stage: str
    """Key."""
    checkpoint: str
    """`selected`, or `best` for the head; of which optimiser step is in `step`."""
    step: int
    format: str
    """As which it was exported."""
    precision: str
    """Precision of the weights in the file."""
    elements: list[str]
    heads: dict[str, HeadPassport]
    sweeps: list[str] = []
    """Names of the sweeps in the store that have the stage."""
    spec: str | None = None
    """The first of these, as it was run."""
    training: dict[str, Any]
    """The stage's identity in full."""
    lineage: list[Ancestor]
    """The trainings, the first one first, the stage last."""
    data: dict[str, Any]
    """Digest of the data, partition."""
    metrics: dict[str, Score]
    """`validation.<method>.<quantity>` and `<score>.<quantity>`."""
    chosen: str | None = None
    """How it was chosen, where mfsweep chose it."""
    notes: list[str] = []
    """What the file does not hold, or holds otherwise than the stage."""
    software: dict[str, str]
    """Package -> version, of the training."""
    exported_with: dict[str, str]
    licence: str = UNSTATED

    def text(self) -> str:
        """Return it as JSON, masked as all that leaves is."""
        return masked(self.model_dump_json(indent=1)) + "\n"


def beside(file: Path) -> Path:
    """Return where a model file's passport lies beside it."""
    return file.with_name(f"{file.name}.{NAME}")


def attach(file: Path, passport: Passport) -> None:
    """Put a passport into an archive of torch.save.

    Args:
        file: the archive, written already and without one.
        passport: its own.
    """
    with zipfile.ZipFile(file) as archive:
        root = archive.namelist()[0].partition("/")[0]
    with zipfile.ZipFile(file, "a", zipfile.ZIP_STORED) as archive:
        archive.writestr(zipfile.ZipInfo(f"{root}/{MEMBER}"), passport.text())


def read_passport(file: Path) -> Passport | None:
    """Return the passport in a model file, or beside it; None where there is none. Nothing of the file is run.

    Raises:
        StoreError: what is there is no passport.
    """
    raw = _inside(file)
    if raw is None:
        path = file if file.name.endswith(NAME) else beside(file)
        raw = path.read_bytes()[: LARGEST + 1] if path.is_file() else None
    if raw is None:
        return None
    if len(raw) > LARGEST:
        raise StoreError(f"{file}: its passport cannot be read: it has more than {LARGEST:,} bytes")
    try:
        return Passport.model_validate_json(raw)
    except (ValidationError, ValueError, RecursionError) as error:
        first = str(error).splitlines()[:3]
        raise StoreError(f"{file}: its passport cannot be read: {'; '.join(first)}") from error


def _inside(file: Path) -> bytes | None:
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                if member.filename.endswith(f"/{MEMBER}") and member.file_size <= LARGEST:
                    with archive.open(member) as stream:
                        return stream.read(LARGEST + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError):
        return None
    return None
