"""The store: every path that mfsweep writes, and the rule that makes it safe to share.

    store/
      stages/<key>/            one training, named by its content
        training.json          the stage's identity in full
        metrics.jsonl          one JSON object a line, appended by rank 0
        train.log              the worker's log
        interruptions.jsonl    lost workers and nodes, one JSON object a line; there when there were any
        checkpoints/last.pt    whole state, to resume from
        checkpoints/selected.pt, best.<head>.pt    weights; the record says which file is whose
        record.json            written last: a stage is trained when it exists
        evaluations/<id>.json  one evaluation of the trained stage, and <id>.npz its predictions
      sweeps/<name>/           spec.yaml, cells.json, figures, claims.json, report.html of the latest run of a spec
        asked.json, search.json  of a search: the points asked for so far, and what came out
      sweeps/index.html, claims.md    one page of all reports
      optuna.db                the studies of the searches
      mlflow.db, mlartifacts/  the default tracking store
      digests.json             content of the source files seen, so that a large one is hashed once
      edges/                   neighbours of the source files' atoms, by geometry and cutoff
      costs.json               seconds per batch, as `mfsweep bench` measured them
      ray/                     scratch of the runs that are going on

Invariant: files are written under a temporary name in their own folder and renamed; a record names only files that
exist already. So a reader never sees half a file, and killing any writer at any time loses at most unrecorded work.
"""

from __future__ import annotations

import contextlib
import json
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mfsweep.errors import StoreError
from mfsweep.files import locked, write_text
from mfsweep.files import write_file as write_file  # noqa: PLC0414 (for those who write into the store)
from mfsweep.fingerprint import fingerprint
from mfsweep.records import CellRecord, ClaimRecord, EvaluationRecord, FigureRecord, Interruption, Plain, Record
from mfsweep.spec.axes import Value

_PlainT = TypeVar("_PlainT", bound=Plain)

CLAIM = ".claim"
"""Name of the file in a stage's or a sweep's folder that stands for the lock on it."""


class StageFolder:
    """The paths and records of one stage key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = path.name
        self.training = path / "training.json"
        self.metrics = path / "metrics.jsonl"
        self.log = path / "train.log"
        self._interruptions = path / "interruptions.jsonl"
        self.checkpoints = path / "checkpoints"
        self.selected = self.checkpoints / "selected.pt"
        self.evaluations = path / "evaluations"

    @contextlib.contextmanager
    def claim(self) -> Iterator[bool]:
        """Hold the stage against other sweeps on this store; give False at once when another process holds it.

        The lock is the operating system's: it goes with the process that held it, however that ended. On a file
        system without locks it is always given, and two sweeps may then train one stage twice, to the same record.
        """
        with _claim(self.path) as mine:
            yield mine

    def is_claimed(self) -> bool:
        """Return whether another process holds the stage at this moment; nothing is written."""
        if not (self.path / CLAIM).exists():
            return False
        with locked(self.path / CLAIM, wait=False) as free:
            return not free

    def say(self, text: str) -> None:
        """Add a line to the stage's log.

        Raises:
            OSError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {text}\n")

    def add_interruption(self, interruption: Interruption) -> None:
        """Keep what cut the training short until its record is written.

        Raises:
            OSError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self._interruptions.open("a", encoding="utf-8") as file:
            file.write(interruption.model_dump_json() + "\n")

    def interruptions(self) -> list[Interruption]:
        """Return what cut the training short so far; a line that cannot be read is left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for line in self._interruptions.read_bytes().splitlines():
                with contextlib.suppress(ValidationError):
                    found.append(Interruption.model_validate_json(line))
        return found

    @property
    def record_path(self) -> Path:
        """Return where the record lies once the training is done."""
        return self.path / "record.json"

    def record(self) -> Record | None:
        """Return the record, or None while the stage is not trained.

        Raises:
            StoreError: the file is not a record of this schema.
        """
        return _read(self.record_path, Record)

    def write_record(self, record: Record) -> None:
        """Write the record: from then on the stage is done."""
        write_text(self.record_path, record.model_dump_json(indent=1))

    def evaluation_paths(self, evaluation: dict[str, Any]) -> tuple[Path, Path]:
        """Return the .json and .npz paths of one evaluation, given by its identity."""
        stem = self.evaluations / f"{evaluation['part']}.{evaluation['labels']}.{fingerprint(evaluation)[:8]}"
        return Path(f"{stem}.json"), Path(f"{stem}.npz")

    def evaluation(self, evaluation: dict[str, Any]) -> EvaluationRecord | None:
        """Return one evaluation's record by the evaluation's identity, or None where it was not made yet."""
        return _read(self.evaluation_paths(evaluation)[0], EvaluationRecord)

    def write_evaluation(self, record: EvaluationRecord) -> None:
        """Write one evaluation's record; its predictions are on disk already."""
        write_text(self.evaluation_paths(record.evaluation)[0], record.model_dump_json(indent=1))

    def is_done(self, evaluations: Iterable[dict[str, Any]]) -> bool:
        """Return whether the stage is trained and has all the evaluations, given by their identities."""
        return self.record_path.exists() and all(self.evaluation_paths(e)[0].exists() for e in evaluations)


class SweepFolder:
    """The paths of the latest run of one spec, by its name."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.spec = path / "spec.yaml"
        self.report = path / "report.html"
        self.figures = path / "figures"
        self.search = path / "search.json"
        self._cells = path / "cells.json"
        self._asked = path / "asked.json"
        self._claims = path / "claims.json"
        self._drawn = path / "figures.json"

    @contextlib.contextmanager
    def claim(self) -> Iterator[bool]:
        """Hold the sweep against other processes on this store, as `StageFolder.claim` does."""
        with _claim(self.path) as mine:
            yield mine

    def write_asked(self, points: Iterable[Mapping[str, Value]]) -> None:
        """Write the points that a search has asked for so far, in that order."""
        write_text(self._asked, json.dumps([dict(point) for point in points], indent=1))

    def asked(self) -> list[dict[str, Value]]:
        """Return the points that a search has asked for: a value for each axis but the seeds."""
        return json.loads(self._asked.read_text(encoding="utf-8")) if self._asked.exists() else []

    def points(self, fit: str) -> Path:
        """Return the CSV of a fit's points."""
        return self.path / f"points.{fit}.csv"

    def write_cells(self, cells: list[CellRecord]) -> None:
        """Write the cells of the grid as it was planned."""
        write_text(self._cells, json.dumps([cell.model_dump(mode="json") for cell in cells], indent=1))

    def cells(self) -> list[CellRecord]:
        """Return the cells of the latest run.

        Raises:
            StoreError: no run of a spec of this name wrote them.
        """
        if not self._cells.exists():
            raise StoreError(f"{self._cells}: no such file: nothing was run under the name {self.path.name!r} here")
        return _read_list(self._cells, CellRecord)

    def write_outcome(self, figures: list[FigureRecord], claims: list[ClaimRecord]) -> None:
        """Write what the report shows as plain data, so that an index of reports need not analyse again."""
        write_text(self._drawn, json.dumps([figure.model_dump(mode="json") for figure in figures], indent=1))
        write_text(self._claims, json.dumps([claim.model_dump(mode="json") for claim in claims], indent=1))

    def drawn(self) -> list[FigureRecord]:
        """Return the figures of the report, none where there is no report yet."""
        return _read_list(self._drawn, FigureRecord) if self._drawn.exists() else []

    def claims(self) -> list[ClaimRecord]:
        """Return what came out for each statement of the spec, none where there is no report yet."""
        return _read_list(self._claims, ClaimRecord) if self._claims.exists() else []


class Store:
    """A store at a folder; making one writes nothing."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def stage(self, key: str) -> StageFolder:
        """Return the folder of a stage key; it need not exist."""
        return StageFolder(self.root / "stages" / key)

    def stages(self) -> Iterator[StageFolder]:
        """Yield every stage folder that exists, trained or not."""
        for path in sorted((self.root / "stages").glob("*")):
            if path.is_dir():
                yield StageFolder(path)

    def keys(self) -> set[str]:
        """Return the keys of the stages that have a folder, trained or not."""
        stages = self.root / "stages"
        return {path.name for path in stages.iterdir()} if stages.is_dir() else set()

    def sweep(self, name: str) -> SweepFolder:
        """Return the folder of a spec's latest run."""
        return SweepFolder(self.sweeps / name)

    @property
    def sweeps(self) -> Path:
        """Return the folder of all sweeps' folders, and of the index of their reports."""
        return self.root / "sweeps"

    @property
    def scratch(self) -> Path:
        """Return the folder that Ray writes in during a run; nothing in it outlives the run."""
        return self.root / "ray"

    @property
    def digests(self) -> Path:
        """Return the file that remembers which source file has which content."""
        return self.root / "digests.json"

    @property
    def edges(self) -> Path:
        """Return the folder of neighbours."""
        return self.root / "edges"

    @property
    def search_uri(self) -> str:
        """Return the default Optuna storage URL, an sqlite file in the store."""
        return f"sqlite:///{self.root / 'optuna.db'}"

    @property
    def costs(self) -> Path:
        """Return the file of measured seconds per batch (plan/cost.py)."""
        return self.root / "costs.json"

    @property
    def tracking_uri(self) -> str:
        """Return the default MLflow tracking URI, an sqlite file in the store."""
        return f"sqlite:///{self.root / 'mlflow.db'}"

    @property
    def artifacts(self) -> Path:
        """Return the default MLflow artifact folder."""
        return self.root / "mlartifacts"

    def prepare(self) -> None:
        """Create the store's folders and prove that they can be written.

        Raises:
            StoreError: the folder cannot be made or written.
        """
        try:
            (self.root / "stages").mkdir(parents=True, exist_ok=True)
            self.sweeps.mkdir(exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root):
                pass
        except OSError as error:
            raise StoreError(f"the store {self.root} cannot be written: {error.strerror or error}") from error


@contextlib.contextmanager
def _claim(folder: Path) -> Iterator[bool]:
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder / CLAIM, wait=False) as held:
        yield held


def _read_list(path: Path, kind: type[_PlainT]) -> list[_PlainT]:
    return [kind.model_validate(one) for one in json.loads(path.read_text(encoding="utf-8"))]


def _read(path: Path, kind: type[_PlainT]) -> _PlainT | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror or error}") from error
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise StoreError(f"{path} is not a {kind.__name__} of this version: {place}: {first['msg']}") from error
