"""Every error that a user can cause or must act on.

    MfsweepError
    ├── SpecError        the spec is not one that can be run as it stands
    ├── DataError        the data file, a split of it or its energy offsets cannot be used
    │   └── MissingDataError    the data file is not there (a plan alone can do without)
    ├── StoreError       the store cannot be read, written, or is of another schema
    ├── ResourceError    the cluster can never serve what the spec asks for
    ├── TrackingError    the MLflow tracking server cannot be reached or refuses us
    ├── TrainingError    a stage's training cannot go on (a loss that is not finite, a checkpoint that does not fit)
    │   └── CheckpointError     a checkpoint file is damaged, or of another version
    └── FitError         a law is asked of points that cannot carry one

The command line prints these without a traceback and exits with 2 (a failed stage: 1). Whatever else
escapes is a defect of ours, and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from mfsweep.masking import masked


class MfsweepError(Exception):
    """Base of the errors that a user can act on; its text is written for them, and masked (masking.py)."""

    def __init__(self, *said: object) -> None:
        super().__init__(*(masked(part) if isinstance(part, str) else part for part in said))

    line: int = 0
    """Line of the spec, from 1, where it is known: several errors are told in this order."""
    several: tuple[MfsweepError, ...] = ()
    """The errors that this one stands for, if any; its text has a line for each."""


class SpecError(MfsweepError):
    """A spec that cannot be run: the text names file, line, place in the YAML, what was got and what was expected.

    Of several things that are wrong the text has a line each.
    """

    def __init__(self, text: str, line: int = 0, note: str = "") -> None:
        super().__init__(text + note)
        self.line = line
        self.place: tuple[str | int, ...] | None = None
        """In the YAML, with what was got and expected there, where it is known."""
        self.got: object = None
        self.expected = ""
        self.stem = text
        """Without `note`, by which one error in two cells of a grid is one."""


class DataError(MfsweepError):
    """Data that cannot be used: the text names the file or subset, the structure, and what to change."""


class MissingDataError(DataError):
    """A data file that is not where the spec says."""


class StoreError(MfsweepError):
    """A store that cannot be read or written."""


class ResourceError(MfsweepError):
    """Resources that the cluster cannot ever give."""


class TrackingError(MfsweepError):
    """A tracking server that cannot be reached at the start of a sweep."""


class TrainingError(MfsweepError):
    """A training that cannot go on."""


class CheckpointError(TrainingError):
    """A checkpoint file whose content cannot be used, though it can be read."""


class FitError(MfsweepError):
    """A fit that the points at hand do not allow."""


def nearest_of(word: str, known: Iterable[str]) -> str | None:
    """Return the known word nearest to `word`, if any is near."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), None)


def nearest(word: str, known: Iterable[str]) -> str:
    """Return " Did you mean 'x'?" for the known word nearest to `word`, or an empty string."""
    near = nearest_of(word, known)
    return f" Did you mean {near!r}?" if near else ""
