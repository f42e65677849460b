"""Every object of a store at a URL, read whole: what is damaged; and what the store takes there."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from mfsweep.errors import StoreError
from mfsweep.files import sha256
from mfsweep.store import usage
from mfsweep.store.remote import units
from mfsweep.store.remote.objects import in_sentences
from mfsweep.store.remote.refresh import at_once
from mfsweep.store.remote.remote_store import RemoteStore
from mfsweep.store.remote.transfer import manifest_at
from mfsweep.store.remote.units import EVALUATION, TRAINED, Manifest, files_beside
from mfsweep.store.usage import Held, Usage
from mfsweep.store.verify import AGAIN, Verified


class DamagedObject(NamedTuple):
    """A unit that cannot be copied from a store at a URL as it was put there."""

    manifest: str
    """Name of its manifest."""
    why: str
    found: Manifest | None
    """The manifest as it was read; None: it cannot be."""

    def __str__(self) -> str:
        return f"{self.why}: {AGAIN}"


def verify(remote: RemoteStore, told: Callable[[int, int], object] = lambda _done, _total: None) -> Verified:
    """Read every file that a manifest names, and compare it with its sha256.

    Args:
        remote: the store.
        told: the units looked at so far, and how many there are.

    Raises:
        StoreError: the storage cannot be used.
    """
    found: list[DamagedObject] = []
    looked: list[str] = []

    def look(name: str, files: str) -> None:
        if damaged := _damaged(remote, name, files):
            found.append(damaged)
        looked.append(name)
        told(len(looked), len(names))

    with in_sentences(remote.url):
        names = [*remote.objects.names("stages"), *remote.objects.names("sweeps")]
        at_once(look, [(name, files_beside(name)) for name in names])
    kinds = [PurePosixPath(name).name.partition(".")[0] for name in names if name.startswith("stages/")]
    return Verified(kinds.count(TRAINED), kinds.count(EVALUATION), sorted(found, key=lambda one: one.manifest))


def mend(remote: RemoteStore, damaged: list[DamagedObject]) -> None:
    """Put damaged units aside, below `damaged/`: what they stand for counts as not there from then on.

    Raises:
        StoreError: the storage cannot be used.
    """
    with in_sentences(remote.url):
        for one in damaged:
            remote.set_aside(one.manifest, one.found)


def held(remote: RemoteStore) -> Usage:
    """Return what a store takes in its storage, by kind of file.

    Raises:
        StoreError: the storage cannot be used.
    """
    found: dict[str, Held] = {}
    with in_sentences(remote.url):
        sizes = remote.objects.names("")
        stages = remote.stages()
    for name, size in sizes.items():
        top, last = name.partition("/")[0], PurePosixPath(name).name
        if top == "files":
            kind = usage.kind_in_stage(Path(last.partition("-")[2]))
        else:
            kind = "reports and figures" if top == "sweep-files" else usage.RECORDS
        files, before = found.get(kind, Held(0, 0))
        found[kind] = Held(files + 1, before + size)
    trained = sum(TRAINED in names for names in stages.values())
    kinds = dict(sorted(found.items(), key=lambda item: -item[1].bytes))
    return Usage(kinds, trained=trained, begun=len(stages) - trained)


def _damaged(remote: RemoteStore, name: str, files: str) -> DamagedObject | None:
    """Return what is wrong with a unit, None where nothing is."""
    try:
        manifest = units.read(remote.objects.get(name), f"{remote.url}/{name}")
    except FileNotFoundError:  # it has been replaced since
        return None
    except StoreError as error:
        return DamagedObject(name, str(error), None)
    why = _wrong(remote, manifest, files)
    stands = why and manifest_at(remote.objects, name) == manifest
    return DamagedObject(name, why, manifest) if stands else None


def _wrong(remote: RemoteStore, manifest: Manifest, files: str) -> str:
    """Return what is wrong with the files of a manifest, empty where nothing is."""
    with tempfile.TemporaryDirectory(prefix="mfsweep-verify-") as folder:
        copy = Path(folder) / "file"
        for path, place in manifest.places(files).items():
            try:
                remote.objects.get_file(place, copy)
            except FileNotFoundError:
                return f"{remote.url}/{place} is missing"
            if (got := sha256(copy)) != (expected := manifest.files[path].sha256):
                return f"{remote.url}/{place} is damaged (sha256 {got[:12]}..., expected {expected[:12]}...)"
    return ""
