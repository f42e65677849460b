"""Stages go from a store at a URL, and who holds which of them: by leases, as when they are trained (removal.py)."""

from __future__ import annotations

import contextlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from mfsweep.store.lease import read, take
from mfsweep.store.remote.copied import is_key
from mfsweep.store.remote.refresh import at_once
from mfsweep.store.remote.remote_store import ASIDE, RemoteStore
from mfsweep.store.remote.transfer import named
from mfsweep.store.remote.units import TRAINED, files_beside, manifest_of, outdone


def held(remote: RemoteStore) -> dict[str, str]:
    """Return the key of each stage on which somebody has a lease, and who; also where its holder has died since.

    Raises:
        OSError: the storage cannot be used.
    """
    found: dict[str, str] = {}

    def look(key: str) -> None:
        place = remote.lease_place(key)
        sign = read(place)
        if sign is not None and not place.is_over(sign):
            found[key] = sign.holder

    names = (name.split("/")[1] for name in remote.objects.names("leases"))
    at_once(look, [(key,) for key in {name for name in names if is_key(name)}])
    return found


def sizes(remote: RemoteStore) -> dict[str, int]:
    """Return the bytes that each stage takes in the storage.

    Raises:
        OSError: as of `held`.
    """
    found: dict[str, int] = defaultdict(int)
    for top in ("stages", "files"):
        for name, size in remote.objects.names(top).items():
            found[name.split("/")[1]] += size
    return {key: size for key, size in found.items() if is_key(key)}


def remove_stage(remote: RemoteStore, key: str) -> bool:
    """Remove a stage, unless somebody holds it; return whether it went.

    Its manifests go first, that of its training before all: what is left after a kill is no trained stage.

    Raises:
        OSError: as of `held`.
    """
    with _holding(remote, key) as mine:
        if mine:
            for unit in sorted(remote.units(key), key=lambda name: name != TRAINED):
                remote.objects.remove(manifest_of(key, unit))
            at_once(remote.objects.remove, [(name,) for name in remote.objects.names(f"files/{key}")])
    return mine


def unread(remote: RemoteStore) -> dict[str, dict[str, int]]:
    """Return what nothing reads any more: states from which nobody goes on, and files that no manifest names.

    Returns:
        `files/<key>` of a stage or `sweep-files/<name>` of a sweep -> name of the object -> bytes.

    Raises:
        OSError: as of `held`.
    """
    files: dict[str, dict[str, int]] = defaultdict(dict)
    manifests: dict[str, dict[str, int]] = defaultdict(dict)
    for top in ("files", "sweep-files"):  # before the manifests: a file is there before the one that names it
        for name, size in remote.objects.names(top).items():
            if name.count("/") > 1:
                files["/".join(name.split("/")[:2])][name] = size
    for top in ("stages", "sweeps"):
        for name, size in remote.objects.names(top).items():
            manifests[files_beside(name)][name] = size
    found: dict[str, dict[str, int]] = {}

    def look(place: str) -> None:
        if left := _unread(remote, manifests[place], files[place]):
            found[place] = left

    at_once(look, [(place,) for place in files.keys() | manifests.keys() if is_key(place.partition("/")[2])])
    return dict(sorted(found.items()))


def remove_unread(remote: RemoteStore, place: str) -> bool:
    """Remove what nothing reads any more of a stage, unless somebody holds it, or of a sweep; return whether it went.

    Args:
        remote: the store.
        place: as of `unread`.

    Raises:
        OSError: as of `held`.
    """
    top, _, name = place.partition("/")
    of_stage = top == "files"
    with _holding(remote, name) if of_stage else contextlib.nullcontext(enter_result=True) as mine:
        if mine:
            files = remote.objects.names(place)
            manifests = remote.objects.names(f"stages/{name}") if of_stage else {f"sweeps/{name}.json": 0}
            left = _unread(remote, manifests, files)
            for gone in sorted(left, key=lambda one: one in files):  # manifests first
                remote.objects.remove(gone)
    return mine


def _unread(remote: RemoteStore, manifests: Mapping[str, int], files: Mapping[str, int]) -> dict[str, int]:
    """Return what nothing reads any more; nothing where a manifest cannot be read, as one of a later version."""
    units = {PurePosixPath(name).stem: name for name in manifests}
    states = {units[unit]: manifests[units[unit]] for unit in outdone(units.keys())}
    stay = named(remote.objects, manifests.keys() - states.keys())
    if stay is None:
        return {}
    return states | {name: size for name, size in files.items() if name not in stay}


@contextlib.contextmanager
def _holding(remote: RemoteStore, key: str) -> Iterator[bool]:
    """Hold a stage, if nobody does; what is given is whether it is held."""
    place = remote.lease_place(key)
    sign = read(place)
    lease = take(place, sign) if place.is_over(sign) else None
    try:
        yield lease is not None
    finally:
        if lease is not None:
            lease.release()


def set_aside(remote: RemoteStore) -> dict[str, int]:
    """Return the names of the objects that were set aside as damaged, and the bytes of each.

    Raises:
        OSError: as of `held`.
    """
    return remote.objects.names(ASIDE)
