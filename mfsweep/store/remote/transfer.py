"""The files of units on their way to a storage and back. What is copied gets its place when all is here, whole."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import TypeVar

from mfsweep.errors import StoreError
from mfsweep.files import sha256, write_file
from mfsweep.store.remote.objects import Objects
from mfsweep.store.remote.units import Manifest, counts_last, files_beside, files_of, read
from mfsweep.store.stage_folder import SHARED

_FoundT = TypeVar("_FoundT")


def unit_names(objects: Objects, key: str) -> set[str]:
    """Return the names of the units of a stage."""
    return {PurePosixPath(name).name.removesuffix(".json") for name in objects.names(f"stages/{key}")}


def manifest_at(objects: Objects, name: str) -> Manifest | None:
    """Return a manifest; None where there is none that can be read."""
    with contextlib.suppress(FileNotFoundError, StoreError):
        return read(objects.get(name), name)
    return None


def named(objects: Objects, manifests: Iterable[str]) -> set[str] | None:
    """Return the objects that some manifests name; None where one cannot be read, and may name any.

    Args:
        objects: of the storage.
        manifests: their names; one that has gone names nothing.
    """
    found: set[str] = set()
    for name in manifests:
        try:
            found.update(read(objects.get(name), name).places(files_beside(name)).values())
        except FileNotFoundError:
            continue
        except StoreError:
            return None
    return found


def put_files(objects: Objects, files: str, manifest: Manifest, folder: Path) -> None:
    """Put those of a unit's files that are not there."""
    there = objects.names(files)
    for path, place in manifest.places(files).items():
        if there.get(place) != manifest.files[path].bytes:
            objects.put_file(place, folder / path)


def remove_unnamed(objects: Objects, key: str, manifest: Manifest) -> None:
    """Remove those files of a manifest that none of a stage's names."""
    stay = named(objects, objects.names(f"stages/{key}"))
    if stay is None:
        return
    for place in manifest.places(files_of(key)).values():
        if place not in stay:
            objects.remove(place)


def pull_standing(
    objects: Objects, find: Callable[[], str | None], pull: Callable[[Manifest], _FoundT]
) -> _FoundT | None:
    """Copy a unit that may be replaced meanwhile: its files go then, and the one in its place is copied.

    Args:
        objects: of the storage.
        find: returns the name of its manifest, None where there is none.
        pull: copies it.

    Returns:
        What `pull` does; None where there is no manifest.

    Raises:
        StoreError: it is damaged.
    """
    tried, why = None, None
    while name := find():
        try:
            raw = objects.get(name)
        except FileNotFoundError:
            raw = None
        if tried == (name, raw):  # nobody has replaced it
            if why is not None:
                raise why
            return None
        tried, why = (name, raw), None
        try:
            if raw is not None:
                return pull(read(raw, f"{objects.url}/{name}"))
        except StoreError as error:
            why = error
    return None


def pull_files(
    objects: Objects,
    folder: Path,
    files: str,
    manifest: Manifest,
    *,
    without: tuple[str, ...] = (),
    gone: Iterable[str] = (),
    mark: bytes | None = None,
) -> None:
    """Copy the files of a unit, those by which it counts as there at the end.

    Args:
        objects: of the storage.
        folder: where to.
        files: below what they lie.
        manifest: of the unit.
        without: how the paths of those begin that are not wanted.
        gone: paths of what goes, where the unit has no such file itself.
        mark: what says that it was copied. It is written before the files have their places: none is newer.

    Raises:
        StoreError: a file is damaged, or missing; nothing has changed in the folder.
    """
    places = manifest.places(files)
    wanted = [path for path in sorted(places, key=counts_last) if not path.startswith(without)]
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=folder) as name:
        for path in wanted:
            of = places[path], manifest.files[path].sha256
            write_file(Path(name, path), lambda copy, of=of: _fetch(objects, *of, copy))
        if mark is not None:
            write_file(folder / SHARED, lambda copy: copy.write_bytes(mark))
        for path in gone:
            if path not in places:
                (folder / path).unlink(missing_ok=True)
        for path in wanted:
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            Path(name, path).replace(folder / path)


def _fetch(objects: Objects, name: str, expected: str, copy: Path) -> None:
    try:
        objects.get_file(name, copy)
    except FileNotFoundError as error:
        raise StoreError(f"{objects.url}/{name} is missing") from error
    if (found := sha256(copy)) != expected:
        raise StoreError(f"{objects.url}/{name} is damaged (sha256 {found[:12]}..., expected {expected[:12]}...)")
