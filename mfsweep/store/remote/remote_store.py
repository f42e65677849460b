"""A store at a URL: units are put and copied, in an order that leaves nothing half done (the package's docstring)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mfsweep.errors import StoreError
from mfsweep.files import sha256, write_file
from mfsweep.store.remote import units
from mfsweep.store.remote.copied import has_unit, is_key, is_newer, promised, step_of
from mfsweep.store.remote.leases import HolderHere, ObjectPlace
from mfsweep.store.remote.objects import Objects, in_sentences
from mfsweep.store.remote.units import (
    CHECKPOINTS,
    STATE,
    TRAINED,
    Manifest,
    StoredFile,
    Unit,
    counts_last,
    files_beside,
    name_of,
    snapshot,
)
from mfsweep.store.remote.urls import StoreUrl, origin, parsed
from mfsweep.store.stage_folder import SHARED, StageFolder
from mfsweep.store.store import StoreFolder
from mfsweep.store.sweep_folder import SweepFolder

MARK = "store.json"
"""Object that makes a store."""
ASIDE = "damaged"
"""Below this lies what was damaged."""
_MARKED = b'{"mfsweep store": 1}\n'


class DamagedUnitError(StoreError):
    """A unit that cannot be copied as it was put."""

    def __init__(self, manifest: str, why: str) -> None:
        super().__init__(why)
        self.manifest = manifest


class RemoteStore(NamedTuple):
    """A store at a URL. Whatever the storage refuses is an OSError; `in_sentences` says it to a person."""

    objects: Objects

    @classmethod
    def at(cls, url: str | StoreUrl) -> RemoteStore:
        """Return the store at a URL; nothing is asked of the storage.

        Raises:
            StoreError: the URL is none that a store can have.
        """
        return cls(Objects(parsed(url) if isinstance(url, str) else url))

    @property
    def url(self) -> StoreUrl:
        """Return where it lies."""
        return self.objects.url

    def is_there(self) -> bool:
        """Return whether there is a store.

        Raises:
            StoreError: the storage cannot be used.
        """
        with in_sentences(self.url):
            try:
                self.objects.get(MARK)
            except FileNotFoundError as error:
                if getattr(error.__cause__, "response", {}).get("Error", {}).get("Code") == "NoSuchBucket":
                    raise
                return False
            return True

    def require_there(self) -> None:
        """Refuse a store that is not there.

        Raises:
            StoreError: there is none, or the storage cannot be used.
        """
        if not self.is_there():
            raise StoreError(f"--store {self.url}: no store there. `mfsweep run` and `mfsweep store push` make one")

    def prepare(self) -> None:
        """Make the store where it is missing, and prove that it can be written, and that conditional puts are kept.

        Raises:
            StoreError: the storage cannot be used, or does not keep them.
        """
        self.is_there()
        with in_sentences(self.url):
            probe = f"probe-{os.urandom(6).hex()}"
            made = [self.objects.create(probe, content) for content in (b"1", b"2")]
            self.objects.remove(probe)
            self.objects.create(MARK, _MARKED)
        if made != [True, False]:
            raise StoreError(
                f"--store {self.url}: the storage does not keep conditional puts (If-None-Match): two runs would train "
                "one stage twice. It takes an S3 that has them"
            )

    def lease_place(self, key: str, here: HolderHere | None = None) -> ObjectPlace:
        """Return where the leases on a stage lie."""
        return ObjectPlace(self.objects, key, here)

    def stages(self) -> dict[str, set[str]]:
        """Return the names of the units of each stage."""
        found: dict[str, set[str]] = {}
        for name in self.objects.names("stages"):
            _, key, unit = name.split("/", 2)
            if is_key(key):
                found.setdefault(key, set()).add(unit.removesuffix(".json"))
        return found

    def units(self, key: str) -> set[str]:
        """Return the names of the units of a stage."""
        return {PurePosixPath(name).name.removesuffix(".json") for name in self.objects.names(f"stages/{key}")}

    def sweep_names(self) -> set[str]:
        """Return the names of the specs that were run into the store."""
        return {stem for name in self.objects.names("sweeps") if is_key(stem := PurePosixPath(name).stem)}

    def push_stage(self, folder: StageFolder, known: Collection[str]) -> int:
        """Put what the storage lacks of a trained stage; return how many units that were.

        Args:
            folder: the stage, nothing of which is being written.
            known: names of its units that are there.

        Raises:
            StoreError: its weights are damaged.
        """
        pushed = 0
        for unit in units.finished_units(folder):
            if unit.name not in known:
                try:
                    pushed += self._push(_manifest_of(folder.key, unit.name), _files_of(folder.key), unit)
                except StoreError as error:
                    raise StoreError(f"{folder.path}: {error}: `mfsweep store verify --mend` sets it aside") from error
        if pushed and STATE in known:
            self.objects.remove(_manifest_of(folder.key, STATE))
        return pushed

    def push_state(self, folder: StageFolder) -> None:
        """Put how far a stage is that is being trained, or was, in place of what was put of it before."""
        name = _manifest_of(folder.key, STATE)
        self._push(name, _files_of(folder.key), units.state_unit(folder), step=step_of(folder), in_place=True)

    def push_sweep(self, folder: SweepFolder) -> None:
        """Put what the latest run of a spec has left, in place of what was put of it before."""
        unit = units.sweep_unit(folder)
        self._push(f"sweeps/{unit.name}.json", f"sweep-files/{unit.name}", unit, in_place=True)
        write_file(folder.path / SHARED, lambda path: path.write_bytes(b"{}"))

    def pull_stage(self, folder: StageFolder, known: Iterable[str], *, weights: bool = False) -> int:
        """Copy what a folder lacks of a trained stage; return how many units that were.

        Args:
            folder: where it goes; a stage that somebody trains there is left alone.
            known: names of the units that are in the storage.
            weights: whether to copy weights too; else that is done when they are read.

        Raises:
            DamagedUnitError: something in the storage is damaged; what was copied before it stays.
        """
        wanted = [name for name in sorted(known, key=lambda name: name != TRAINED) if name != STATE]
        wanted = [name for name in wanted if not has_unit(folder, name)]
        if not wanted and not (weights and promised(folder)):
            return 0
        with folder.claim() as mine:
            if not mine:
                return 0
            for name in wanted:
                self._pull_unit(folder, name, without=() if weights else (CHECKPOINTS,))
            if weights:
                self.pull_weights(folder)
        return len(wanted)

    def pull_weights(self, folder: StageFolder) -> None:
        """Copy the weights of a trained stage that a folder lacks.

        Raises:
            DamagedUnitError: they are damaged in the storage.
        """
        lacking = {path: file for path, file in promised(folder).items() if not (folder.path / path).exists()}
        try:
            self._pull(folder.path, _files_of(folder.key), Manifest(files=lacking))
        except StoreError as error:
            raise DamagedUnitError(_manifest_of(folder.key, TRAINED), str(error)) from error

    def set_aside(self, manifest: str) -> None:
        """Move a damaged unit below `damaged/`, so that it counts as not there, and is made and put again."""
        files = files_beside(manifest)
        found = self._read(manifest)
        self.objects.move(manifest, f"{ASIDE}/{manifest}")
        for path, file in (found.files if found else {}).items():
            with contextlib.suppress(FileNotFoundError):
                self.objects.move(name_of(files, path, file), f"{ASIDE}/{name_of(files, path, file)}")

    def pull_state(self, folder: StageFolder, *, weights: bool = True) -> int | None:
        """Copy what a stage that is not trained goes on from, where the storage is ahead; return its step then.

        Args:
            folder: the stage, which nobody trains here.
            weights: whether to copy the checkpoint too; without, it is for people to look at.

        Raises:
            StoreError: it is damaged in the storage, or the next one has come while its files were copied.
        """
        name = _manifest_of(folder.key, STATE)
        try:
            manifest = units.read(self.objects.get(name), f"{self.url}/{name}")
        except FileNotFoundError:
            return None
        ours = step_of(folder)
        if manifest.step <= ours and (weights or ours > 0):
            return None
        for path in units.CUT_SHORT:
            if path not in manifest.files:
                (folder.path / path).unlink(missing_ok=True)
        self._pull(folder.path, _files_of(folder.key), manifest, without=() if weights else (CHECKPOINTS,))
        return manifest.step

    def pull_sweep(self, folder: SweepFolder) -> None:
        """Copy what the latest run of a spec has left; a folder with something newer is left alone.

        Raises:
            StoreError: as of `pull_state`.
        """
        if is_newer(folder):
            return
        name = f"sweeps/{folder.path.name}.json"
        with contextlib.suppress(FileNotFoundError):
            manifest = units.read(self.objects.get(name), f"{self.url}/{name}")
            self._pull(folder.path, f"sweep-files/{folder.path.name}", manifest)
            write_file(folder.path / SHARED, lambda path: path.write_bytes(b"{}"))

    def _push(self, name: str, files: str, unit: Unit, *, step: int = 0, in_place: bool = False) -> bool:
        """Put a unit: its files, and then its manifest."""
        with snapshot(unit, step) as (folder, manifest):
            before = self._read(name)
            if before is not None and not in_place and before.files.keys() >= manifest.files.keys():
                return False
            there = self.objects.names(files)
            for path, file in manifest.files.items():
                if there.get(name_of(files, path, file)) != file.bytes:
                    self.objects.put_file(name_of(files, path, file), folder / path)
            if not in_place and before is None:
                return self.objects.create(name, manifest.dump())
            self.objects.put(name, manifest.dump())
            kept = {name_of(files, path, file) for path, file in manifest.files.items()}
            for path, file in (before.files if before and in_place else {}).items():
                if (old := name_of(files, path, file)) not in kept:
                    self.objects.remove(old)
        return True

    def _pull_unit(self, folder: StageFolder, name: str, without: tuple[str, ...]) -> None:
        place = _manifest_of(folder.key, name)
        try:
            manifest = units.read(self.objects.get(place), f"{self.url}/{place}")
            if name == TRAINED:
                for path in (*units.CUT_SHORT, *units.GOES_ON):  # what was copied while it was trained
                    if path not in manifest.files:
                        (folder.path / path).unlink(missing_ok=True)
                write_file(folder.path / SHARED, lambda path: path.write_bytes(manifest.dump()))
            self._pull(folder.path, _files_of(folder.key), manifest, without=without)
        except StoreError as error:
            raise DamagedUnitError(place, str(error)) from error

    def _read(self, name: str) -> Manifest | None:
        """Return a manifest; None where there is none that can be read."""
        with contextlib.suppress(FileNotFoundError, StoreError):
            return units.read(self.objects.get(name), name)
        return None

    def _pull(self, folder: Path, files: str, manifest: Manifest, *, without: tuple[str, ...] = ()) -> None:
        """Copy the files of a unit, those by which it counts as there at the end."""
        for path, file in sorted(manifest.files.items(), key=lambda one: counts_last(one[0])):
            if not (without and path.startswith(without)):
                write_file(folder / path, lambda place, of=(path, file): self._fetch(files, *of, place))

    def _fetch(self, files: str, path: str, file: StoredFile, place: Path) -> None:
        name = name_of(files, path, file)
        try:
            self.objects.get_file(name, place)
        except FileNotFoundError as error:
            raise StoreError(f"{self.url}/{name} is missing") from error
        if (found := sha256(place)) != file.sha256:
            raise StoreError(f"{self.url}/{name} is damaged (sha256 {found[:12]}..., expected {file.sha256[:12]}...)")


def copied_from(store: StoreFolder) -> RemoteStore | None:
    """Return the store at a URL of which a folder is the working copy, None where it is a store itself."""
    url = origin(store.root)
    return None if url is None else RemoteStore.at(url)


def _manifest_of(key: str, unit: str) -> str:
    return f"stages/{key}/{unit}.json"


def _files_of(key: str) -> str:
    return f"files/{key}"
