"""One stage of a store: its paths, its records, and who holds it."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import ValidationError

from mfsweep.errors import StoreError
from mfsweep.files import before_of, set_aside, write_json
from mfsweep.fingerprint import fingerprint
from mfsweep.masking import masked
from mfsweep.metrics_file import pack, packed
from mfsweep.physics_record import PhysicsRecord
from mfsweep.records import BestCheckpoint, EvaluationRecord, Interruption, Pruning, Record
from mfsweep.store import damage
from mfsweep.store.damage import Damage
from mfsweep.store.lease import Holding, holding, is_held, read
from mfsweep.store.lease_place import FolderPlace, LeftFiles
from mfsweep.usage_record import UsagePart

SHARED = ".shared.json"
"""File of a working copy that names the files which the store at its URL has of a stage (remote/)."""
ELSEWHERE = ".elsewhere"
"""File of a working copy with the lease of another machine that trains the stage, since it was first seen so."""


class StageFolder:
    """The paths and records of one stage key."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.key = path.name
        self.training = path / "training.json"
        self.metrics = path / "metrics.jsonl"
        self.log = path / "train.log"
        self._interruptions = path / "interruptions.jsonl"
        self._failure = path / "failure.json"
        self._pruned = path / "pruned.json"
        self.checkpoints = path / "checkpoints"
        self.selected = self.checkpoints / "selected.pt"
        self.last = self.checkpoints / "last.pt"
        self.before = before_of(self.last)
        self.final = self.checkpoints / "final.pt"
        self.evaluations = path / "evaluations"
        self.physics = path / "physics"
        self.usage = path / "usage"

    @contextlib.contextmanager
    def claim(self, *, goes_on: bool = False) -> Iterator[Holding]:
        """Hold the stage against other sweeps on this store, on any host (lease.py).

        What is given is false at once when another process holds it, or may hold it. What lies in place of the folder
        and is none is set aside.

        Args:
            goes_on: with the training: what another host has left of it is waited for until it is seen.
        """
        if os.path.lexists(self.path) and not self.path.is_dir():
            with contextlib.suppress(FileNotFoundError):  # another process may have been quicker
                set_aside(self.path)
        with holding(self.path, self._left, waits=goes_on) as mine:
            yield mine

    def _left(self) -> LeftFiles:
        """Return the record, the curve and the states to go on from: who holds the stage writes them."""
        found = {}
        for path in (self.record_path, self.metrics, packed(self.metrics), self.last, self.before):
            with contextlib.suppress(OSError):
                seen = path.stat()
                found[str(path.relative_to(self.path))] = [seen.st_size, int(seen.st_mtime)]
        return found

    def is_claimed(self) -> bool:
        """Return whether another process holds the stage, or may hold it; nothing is written.

        Raises:
            OSError: the system does not let us look.
        """
        return is_held(self.path)

    def silence(self) -> float | None:
        """Return for how many seconds nothing was heard of whoever holds the stage, None where nothing tells.

        It is for a person: the file system's clock may be another one. At a URL it is as long as was seen from here.
        """
        times = []
        with contextlib.suppress(OSError):
            if (sign := read(self.path)) and not sign.is_free:
                times.append(FolderPlace(self.path).path(sign.number).stat().st_mtime)
        with contextlib.suppress(OSError):
            times.append((self.path / ELSEWHERE).stat().st_mtime)
        return time.time() - max(times) if times else None

    def say(self, text: str) -> None:
        """Add a line to the stage's log.

        Raises:
            OSError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {masked(text)}\n")

    def add_interruption(self, interruption: Interruption) -> None:
        """Keep what cut the training short until its record is written.

        Raises:
            OSError: it cannot be written.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        with self._interruptions.open("a", encoding="utf-8") as file:
            file.write(interruption.model_dump_json() + "\n")

    def fail(self, reason: str) -> None:
        """Keep why the stage has failed, until it begins again.

        Raises:
            OSError: it cannot be written.
        """
        write_json(self._failure, {"time": round(time.time(), 3), "reason": reason})

    def prune(self, pruning: Pruning) -> None:
        """Keep that a search has given up the stage, until it begins again: its training ends at this validation.

        Raises:
            OSError: it cannot be written.
        """
        write_json(self._pruned, pruning.model_dump(mode="json"))

    def pruning(self) -> Pruning | None:
        """Return which search gave the stage up, and why; None where none did, or it has begun again since."""
        found = damage.read(self._pruned, Pruning)
        return None if isinstance(found, Damage) else found

    def begin(self) -> None:
        """Forget how the stage failed before, and that it was given up."""
        self._failure.unlink(missing_ok=True)
        self._pruned.unlink(missing_ok=True)

    def failure(self) -> str | None:
        """Return why the stage has failed, in at least a word; None where it has not, or has begun again since."""
        found = damage.read_json(self._failure)
        if found is None:
            return None
        if isinstance(found, Damage):
            return str(found)
        reason = found.get("reason") if isinstance(found, dict) else None
        return reason if isinstance(reason, str) and reason.strip() else "no reason was kept"

    def interruptions(self) -> list[Interruption]:
        """Return what cut the training short so far; a line that cannot be read is left out."""
        found = []
        with contextlib.suppress(FileNotFoundError):
            for line in self._interruptions.read_bytes().splitlines():
                with contextlib.suppress(ValidationError):
                    found.append(Interruption.model_validate_json(line))
        return found

    def usage_parts(self) -> list[UsagePart]:
        """Return what the processes of the stage have used so far; a file that is damaged is left out."""
        read = (damage.read(path, UsagePart) for path in sorted(self.usage.glob("*.json")))
        return [found for found in read if isinstance(found, UsagePart)]

    @property
    def record_path(self) -> Path:
        """Return where the record lies once the training is done."""
        return self.path / "record.json"

    def record(self) -> Record | None:
        """Return the record, or None while the stage is not trained. One that is damaged hides itself (`damaged`)."""
        found = self._read_record()
        return None if isinstance(found, Damage) else found

    def _read_record(self) -> Record | Damage | None:
        found = damage.read(self.record_path, Record)
        if isinstance(found, Record) and found.key != self.key:
            return Damage(self.record_path, f"is damaged (it is the record of the stage {found.key})")
        return found

    def write_record(self, record: Record) -> None:
        """Write the record: from then on the stage is done."""
        write_json(self.record_path, record.model_dump(mode="json"))

    @property
    def is_tidy(self) -> bool:
        """Return whether nothing lies there that only a training that goes on needs."""
        left = (self.last, self.before, self.metrics, self.usage)
        return not any(path.exists() for path in (*left, *self._unfinished()))

    def _unfinished(self) -> Iterator[Path]:
        """Yield the checkpoints that a killed process was writing."""
        return self.checkpoints.glob(f".*{self.last.suffix}")

    def tidy(self, *, keep: Literal["selected", "all"] = "selected") -> None:
        """Remove what a trained stage no longer needs: last.pt, and the plain metrics file for its compressed one.

        With last.pt goes what killed processes were writing in its place.
        Without a sound record and sound weights nothing is touched: last.pt makes them again within seconds. Killed at
        any point, it does the rest when it is called again. The caller holds the stage.

        Args:
            keep: `all`: the whole state stays too, as final.pt.

        Raises:
            OSError: the disk is full, or the files are not ours.
        """
        record = None if self.is_tidy else self.record()
        if record is None or any(map(self.damaged_weights, record.kept)):
            return
        for path in (self.before, *self._unfinished()):  # first: it makes room for the other
            path.unlink(missing_ok=True)
        if keep == "all" and self.last.exists():
            self.last.replace(self.final)
        self.last.unlink(missing_ok=True)
        shutil.rmtree(self.usage, ignore_errors=True)  # the record has the sum
        pack(self.metrics)

    def evaluation_paths(self, evaluation: dict[str, Any]) -> tuple[Path, Path]:
        """Return the .json and .npz paths of one evaluation, given by its identity."""
        stem = self.evaluations / f"{evaluation['part']}.{evaluation['labels']}.{fingerprint(evaluation)[:8]}"
        return Path(f"{stem}.json"), Path(f"{stem}.npz")

    def evaluation(self, evaluation: dict[str, Any]) -> EvaluationRecord | None:
        """Return one evaluation's record by the evaluation's identity, or None where it was not made, or is damaged."""
        found = self._read_evaluation(evaluation)
        return None if isinstance(found, Damage) else found

    def _read_evaluation(self, evaluation: dict[str, Any]) -> EvaluationRecord | Damage | None:
        path, _ = self.evaluation_paths(evaluation)
        found = damage.read(path, EvaluationRecord)
        if isinstance(found, EvaluationRecord) and fingerprint(found.evaluation) != fingerprint(evaluation):
            return Damage(path, "is damaged (it is the record of another evaluation)")
        return found

    def every_evaluation(self) -> Iterator[tuple[str, EvaluationRecord]]:
        """Yield the file's stem and the record of every sound evaluation, whoever asked for it."""
        for path in sorted(self.evaluations.glob("*.json")):
            found = damage.read(path, EvaluationRecord)
            if isinstance(found, EvaluationRecord):
                yield path.stem, found

    def write_evaluation(self, record: EvaluationRecord) -> None:
        """Write one evaluation's record; its predictions are on disk already."""
        write_json(self.evaluation_paths(record.evaluation)[0], record.model_dump(mode="json"))

    def physics_path(self, head: str, checks: dict[str, Any]) -> Path:
        """Return where the physics checks of a head lie, given by the identity of their settings."""
        return self.physics / f"{head}.{fingerprint(checks)[:8]}.json"

    def physics_record(self, head: str, checks: dict[str, Any]) -> PhysicsRecord | None:
        """Return the physics checks of a head, or None where they were not made, or their file is damaged."""
        found = damage.read(self.physics_path(head, checks), PhysicsRecord)
        return found if isinstance(found, PhysicsRecord) and found.key == self.key else None

    def every_physics_record(self) -> list[PhysicsRecord]:
        """Return every sound record of physics checks that the stage has."""
        read = (damage.read(path, PhysicsRecord) for path in sorted(self.physics.glob("*.json")))
        return [found for found in read if isinstance(found, PhysicsRecord) and found.key == self.key]

    def write_physics(self, record: PhysicsRecord) -> Path:
        """Write the physics checks of a head, and return where."""
        path = self.physics_path(record.head, record.checks)
        write_json(path, record.model_dump(mode="json"))
        return path

    def has_files(self, evaluations: Iterable[dict[str, Any]]) -> bool:
        """Return whether there are files for the record and the evaluations, whatever is in them."""
        return self.record_path.exists() and all(self.evaluation_paths(one)[0].exists() for one in evaluations)

    def is_done(self, evaluations: Iterable[dict[str, Any]]) -> bool:
        """Return whether the stage is trained and has all the evaluations, given by their identities."""
        return self.record() is not None and all(self.evaluation(one) is not None for one in evaluations)

    def damaged(self, evaluations: Iterable[dict[str, Any]]) -> list[Damage]:
        """Return what is wrong with the record and with some evaluations, given by their identities."""
        found = [self._read_record(), *map(self._read_evaluation, evaluations)]
        return [one for one in found if isinstance(one, Damage)]

    def damaged_weights(self, best: BestCheckpoint, *, whole: bool = True, fetch: bool = True) -> Damage | None:
        """Return what is wrong with a checkpoint that the record names.

        In a working copy of a store at a URL it may not have been copied yet: then it is, before it is read whole.

        Args:
            best: the checkpoint.
            whole: as of `damage.of_weights`.
            fetch: whether to copy it; else one that was not copied is missing.

        Raises:
            StoreError: the storage cannot be used, or what it has is damaged.
        """
        path = self.path / best.file
        if path.parent != self.checkpoints or path.name in (
            "",
            "..",
        ):  # a store is shared: what is set aside is its own
            return Damage(self.record_path, f"is damaged (it names {best.file!r} as a checkpoint)")
        if fetch and not path.exists() and (self.path / SHARED).exists():
            from mfsweep.store.remote.fetching import fetch_weights, has_weights

            if not has_weights(self, best.file):
                return Damage(path, "is missing")
            if not whole:
                return None
            fetch_weights(self)
        return damage.of_weights(path, best.sha256, whole=whole)

    def set_aside(self, damaged: Iterable[Damage]) -> None:
        """Get damaged files out of the way, so that they are made again; the caller holds the stage.

        With the record or weights goes all that rests on them: the record first, since a stage without it is not done.

        Raises:
            StoreError: they are another user's.
        """
        paths = [one.path for one in damaged]
        if any(path != self.training and self.evaluations not in (path, path.parent) for path in paths):
            paths = [self.record_path, self.evaluations, *(path for path in paths if path != self.record_path)]
        # A file in place of one of our folders hides what would lie in it.
        paths += [own for own in (self.evaluations, self.checkpoints) if os.path.lexists(own) and not own.is_dir()]
        for path in paths:
            try:
                if os.path.lexists(path):
                    set_aside(path)
            except OSError as error:
                why = f"cannot be set aside ({error.strerror or error}): rename it, or ask its owner to"
                raise StoreError(f"{path} is damaged, or rests on what is, and {why}") from error
