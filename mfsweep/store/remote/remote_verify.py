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
from mfsweep.store.remote.units import EVALUATION, TRAINED, files_beside, name_of
from mfsweep.store.usage import Held, Usage
from mfsweep.store.verify import AGAIN, Verified


class DamagedObject(NamedTuple):
    """A unit that cannot be copied from a store at a URL as it was put there."""

    manifest: str
    """Name of its manifest."""
    why: str

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
        if why := _wrong(remote, name, files):
            found.append(DamagedObject(name, why))
        looked.append(name)
        told(len(looked), len(names))

    with in_sentences(remote.url):
        names = [*remote.objects.names("stages"), *remote.objects.names("sweeps")]
        at_once(look, [(name, files_beside(name)) for name in names])
    kinds = [PurePosixPath(name).name.partition(".")[0] for name in names if name.startswith("stages/")]
    return Verified(kinds.count(TRAINED), kinds.count(EVALUATION), sorted(found))


def mend(remote: RemoteStore, damaged: list[DamagedObject]) -> None:
    """Put damaged units aside, below `damaged/`: what they stand for counts as not there from then on.

    Raises:
        StoreError: the storage cannot be used.
    """
    with in_sentences(remote.url):
        for one in damaged:
            remote.set_aside(one.manifest)


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


def _wrong(remote: RemoteStore, name: str, files: str) -> str:
    """Return what is wrong with a unit, empty where nothing is."""
    try:
        manifest = units.read(remote.objects.get(name), f"{remote.url}/{name}")
    except FileNotFoundError:  # it has been replaced since
        return ""
    except StoreError as error:
        return str(error)
    with tempfile.TemporaryDirectory(prefix="mfsweep-verify-") as folder:
        copy = Path(folder) / "file"
        for path, file in manifest.files.items():
            place = name_of(files, path, file)
            try:
                remote.objects.get_file(place, copy)
            except FileNotFoundError:
                return f"{remote.url}/{place} is missing"
            if (got := sha256(copy)) != file.sha256:
                return f"{remote.url}/{place} is damaged (sha256 {got[:12]}..., expected {file.sha256[:12]}...)"
    return ""
