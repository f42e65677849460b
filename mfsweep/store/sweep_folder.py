"""What the latest run of a spec has left in a store, by its name: all of it is made anew by the next run."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import TypeAdapter, ValidationError

from mfsweep.errors import StoreError
from mfsweep.files import locked, set_aside, write_text
from mfsweep.masking import masked
from mfsweep.records import CellRecord, UntilRecord
from mfsweep.report_records import ClaimRecord, FigureRecord
from mfsweep.spec.axes import Value
from mfsweep.store import damage
from mfsweep.store.damage import Damage
from mfsweep.store.lease import end_dead, holding

_LOG = logging.getLogger(__name__)
_FoundT = TypeVar("_FoundT")
CELLS = "cells.json"
_RUNS = ".run"
"""Name of the file that stands for the lock which every run of the spec shares."""
_PATIENCE_SECONDS = 5.0
"""For which a run waits for that lock: who looks whether there is one holds it for a moment."""
_POINTS = TypeAdapter(list[dict[str, Value]])


class SweepFolder:
    """The paths of the latest run of one spec, by its name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = path / "spec.yaml"
        """The spec as it was run last, without passwords; nothing reads it."""
        self.report = path / "report.html"
        self.figures = path / "figures"
        self.search = path / "search.json"
        self.cells_path = path / CELLS
        self.asked_path = path / "asked.json"
        self._until = path / "until.json"
        self._claims = path / "claims.json"
        self._drawn = path / "figures.json"

    @contextlib.contextmanager
    def claim(self, say: Callable[[str], object]) -> Iterator[bool]:
        """Hold the sweep against other processes on this store, as `StageFolder.claim` does.

        Where another host holds it that may be dead, that is waited for; what is given is false where it lives, also
        where it has ended meanwhile: what it has written last was not read.

        Args:
            say: is told why it takes long.
        """
        if not end_dead(self.path, say):
            yield False
            return
        with holding(self.path) as mine:
            yield bool(mine)

    @contextlib.contextmanager
    def run(self) -> Iterator[None]:
        """Mark that a run of the spec goes on meanwhile, beside others perhaps: its stages stay (`is_run`)."""
        self.path.mkdir(parents=True, exist_ok=True)
        with locked(self.path / _RUNS, wait=True, patience=_PATIENCE_SECONDS, shared=True):
            yield

    def is_run(self) -> bool:
        """Return whether a run of the spec goes on, of a process whose locks are seen here; nothing is written.

        Raises:
            OSError: the system does not let us look.
        """
        if not (self.path / _RUNS).exists():
            return False
        with locked(self.path / _RUNS, wait=False) as free:
            return not free

    def write_spec(self, text: str) -> None:
        """Write the copy of the spec."""
        write_text(self.spec, masked(text))

    def write_asked(self, points: Iterable[Mapping[str, Value]]) -> None:
        """Write the points that a search has asked for so far, in that order; a damaged file is set aside."""
        if self.damaged():
            set_aside(self.asked_path)
        write_text(self.asked_path, json.dumps([dict(point) for point in points], indent=1))

    def asked(self) -> list[dict[str, Value]]:
        """Return the points that a search has asked for: a value for each axis but the seeds. Damaged: none."""
        found = self._read_asked()
        return [] if isinstance(found, Damage) else found

    def damaged(self) -> list[Damage]:
        """Return what is wrong with the points that a search has asked for; everything else is written anew."""
        found = self._read_asked()
        return [found] if isinstance(found, Damage) else []

    def every_damage(self) -> list[Damage]:
        """Return what is wrong with any of the files that are read again."""
        lists = ((self.cells_path, CellRecord), (self._claims, ClaimRecord), (self._drawn, FigureRecord))
        found = [
            self._read_asked(),
            damage.read_json(self.search),
            damage.read(self._until, UntilRecord),
            *(damage.read_list(*one) for one in lists),
        ]
        return [one for one in found if isinstance(one, Damage)]

    def _read_asked(self) -> list[dict[str, Value]] | Damage:
        found = damage.read_json(self.asked_path)
        if found is None or isinstance(found, Damage):
            return found or []
        try:
            return _POINTS.validate_python(found, strict=True)
        except ValidationError:
            return Damage(self.asked_path, "is damaged (no list of points)")

    def write_until(self, record: UntilRecord | None) -> None:
        """Write how far a run until a condition is; None: the latest run has none."""
        if record is None:
            self._until.unlink(missing_ok=True)
        else:
            write_text(self._until, record.model_dump_json(indent=1))

    def until(self) -> UntilRecord | None:
        """Return how far the latest run until a condition is; None where it had none, or the file is damaged.

        It only remembers what was chosen: without it the run chooses again, by the records that there are.
        """
        return _or_none(damage.read(self._until, UntilRecord))

    def points(self, fit: str) -> Path:
        """Return the CSV of a fit's points."""
        return self.path / f"points.{fit}.csv"

    def write_cells(self, cells: list[CellRecord]) -> None:
        """Write the cells of the grid as it was planned."""
        write_text(self.cells_path, json.dumps([cell.model_dump(mode="json") for cell in cells], indent=1))

    def cells(self) -> list[CellRecord]:
        """Return the cells of the latest run.

        Raises:
            StoreError: no run of a spec of this name wrote them, or the file is damaged.
        """
        found = damage.read_list(self.cells_path, CellRecord)
        if found is None:
            raise StoreError(f"{self.cells_path}: no such file: nothing was run under the name {self.path.name!r} here")
        if isinstance(found, Damage):
            raise StoreError(f"{found}: `mfsweep run` of its spec writes it anew")
        return found

    def write_outcome(self, figures: list[FigureRecord], claims: list[ClaimRecord]) -> None:
        """Write what the report shows as plain data, so that an index of reports need not analyse again."""
        write_text(self._drawn, json.dumps([figure.model_dump(mode="json") for figure in figures], indent=1))
        write_text(self._claims, json.dumps([claim.model_dump(mode="json") for claim in claims], indent=1))

    def drawn(self) -> list[FigureRecord]:
        """Return the figures of the report, none where there is no report yet, or the file is damaged."""
        return _or_none(damage.read_list(self._drawn, FigureRecord)) or []

    def claims(self) -> list[ClaimRecord]:
        """Return what came out for each statement of the spec, none where there is no report yet, or as of `drawn`."""
        return _or_none(damage.read_list(self._claims, ClaimRecord)) or []


def _or_none(found: _FoundT | Damage | None) -> _FoundT | None:
    if isinstance(found, Damage):
        _LOG.warning(f"{found}: the next run writes it anew")
        return None
    return found
