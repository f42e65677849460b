"""A store at a URL: units are put and copied, in an order that leaves nothing half done (the package's docstring)."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from mfsweep.errors import StoreError
from mfsweep.store.remote import replaced, units
from mfsweep.store.remote.copied import has_unit, is_key, promised, shared
from mfsweep.store.remote.leases import HolderHere, ObjectPlace
from mfsweep.store.remote.objects import Objects, in_sentences
from mfsweep.store.remote.transfer import manifest_at, pull_files, put_files, remove_unnamed, unit_names
from mfsweep.store.remote.units import (
    CHECKPOINTS,
    STATE,
    TRAINED,
    Manifest,
    Unit,
    files_beside,
    files_of,
    manifest_of,
    snapshot,
)
from mfsweep.store.remote.urls import StoreUrl, origin, parsed
from mfsweep.store.stage_folder import StageFolder
from mfsweep.store.store import StoreFolder
from mfsweep.store.sweep_folder import SweepFolder

MARK = "store.json"
"""Object that makes a store."""
ASIDE = "damaged"
"""Below this lies what was damaged."""
_MARKED = b'{"mfsweep store": 1}\n'


class DamagedUnitError(StoreError):
    """A unit that cannot be copied as it was put."""

    def __init__(self, name: str, manifest: Manifest | None, why: str) -> None:
        super().__init__(why)
        self.name = name
        """Name of its manifest."""
        self.manifest = manifest
        """The manifest as it was read; None: it cannot be."""


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
        return unit_names(self.objects, key)

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
                    pushed += self._push(folder.key, unit)
                except StoreError as error:
                    raise StoreError(f"{folder.path}: {error}: `mfsweep store verify --mend` sets it aside") from error
        if pushed or units.states(known):
            replaced.drop_states(self.objects, folder.key)
        return pushed

    def push_state(self, folder: StageFolder, lease: int) -> None:
        """Put how far a stage is that is being trained, or was, in place of what was put of it before.

        Nothing is put of a stage that is trained, or that somebody with a higher lease has put; and nothing without a
        checkpoint where one stands.

        Args:
            folder: the stage.
            lease: number of the lease on it. Of two puts under one lease the second begins when the first has ended.
        """
        replaced.push_state(self.objects, folder, lease)

    def push_sweep(self, folder: SweepFolder) -> None:
        """Put what the latest run of a spec has left, in place of what was put of it before."""
        replaced.push_sweep(self.objects, folder)

    def pull_stage(self, folder: StageFolder, known: Iterable[str], *, weights: bool = False) -> int:
        """Copy what a folder lacks of a trained stage; return how many units that were.

        Args:
            folder: where it goes; a stage that somebody trains there is left alone.
            known: names of the units that are in the storage.
            weights: whether to copy weights too; else that is done when they are read.

        Raises:
            DamagedUnitError: something in the storage is damaged; what was copied before it stays.
        """
        wanted = [name for name in sorted(known, key=lambda name: name != TRAINED) if not name.startswith(STATE)]
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
            pull_files(self.objects, folder.path, files_of(folder.key), Manifest(files=lacking))
        except StoreError as error:
            raise DamagedUnitError(manifest_of(folder.key, TRAINED), shared(folder), str(error)) from error

    def set_aside(self, name: str, manifest: Manifest | None) -> bool:
        """Move a damaged unit below `damaged/`, so that it counts as not there, and is made and put again.

        Args:
            name: of its manifest.
            manifest: as it was read; None: it cannot be.

        Returns:
            False where another one stands there by now, which stays.
        """
        if manifest_at(self.objects, name) != manifest:
            return False
        with contextlib.suppress(FileNotFoundError):
            self.objects.move(name, f"{ASIDE}/{name}")
        for place in manifest.places(files_beside(name)).values() if manifest else ():
            with contextlib.suppress(FileNotFoundError):
                self.objects.move(place, f"{ASIDE}/{place}")
        return True

    def pull_state(self, folder: StageFolder, *, weights: bool = True) -> int | None:
        """Copy what a stage that is not trained goes on from, where the storage is ahead; return its step then.

        Args:
            folder: the stage, which nobody trains here.
            weights: whether to copy the checkpoint too; without, it is for people to look at.

        Raises:
            StoreError: it is damaged in the storage.
        """
        return replaced.pull_state(self.objects, folder, weights=weights)

    def pull_sweep(self, folder: SweepFolder) -> None:
        """Copy what the latest run of a spec has left; a folder with something newer is left alone.

        Raises:
            StoreError: as of `pull_state`.
        """
        replaced.pull_sweep(self.objects, folder)

    def _push(self, key: str, unit: Unit) -> bool:
        """Put a unit that never changes: its files, and then its manifest."""
        name, files = manifest_of(key, unit.name), files_of(key)
        with snapshot(unit) as (folder, manifest):
            before = manifest_at(self.objects, name)
            if before is not None and before.files.keys() >= manifest.files.keys():
                return False
            put_files(self.objects, files, manifest, folder)
            if before is not None:
                self.objects.put(name, manifest.dump())
            elif not self.objects.create(name, manifest.dump()):  # somebody was quicker, with another one perhaps
                remove_unnamed(self.objects, key, manifest)
                return False
            put_files(self.objects, files, manifest, folder)  # what was taken meanwhile for left of somebody who died
            if before is not None:
                remove_unnamed(self.objects, key, before)
        return True

    def _pull_unit(self, folder: StageFolder, name: str, without: tuple[str, ...]) -> None:
        place, manifest = manifest_of(folder.key, name), None
        try:
            manifest = units.read(self.objects.get(place), f"{self.url}/{place}")
            gone, mark = ((*units.CUT_SHORT, *units.GOES_ON), manifest.dump()) if name == TRAINED else ((), None)
            pull_files(self.objects, folder.path, files_of(folder.key), manifest, without=without, gone=gone, mark=mark)
        except StoreError as error:
            raise DamagedUnitError(place, manifest, str(error)) from error


def copied_from(store: StoreFolder) -> RemoteStore | None:
    """Return the store at a URL of which a folder is the working copy, None where it is a store itself."""
    url = origin(store.root)
    return None if url is None else RemoteStore.at(url)
