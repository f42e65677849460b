"""Stages go from a store at a URL, and who holds which of them: by leases, as when they are trained (removal.py)."""

from __future__ import annotations

from collections import defaultdict

from mfsweep.store.lease import read, take
from mfsweep.store.remote.copied import is_key
from mfsweep.store.remote.refresh import at_once
from mfsweep.store.remote.remote_store import ASIDE, RemoteStore
from mfsweep.store.remote.units import TRAINED


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
    place = remote.lease_place(key)
    sign = read(place)
    lease = take(place, sign) if place.is_over(sign) else None
    if lease is None:
        return False
    try:
        for unit in sorted(remote.units(key), key=lambda name: name != TRAINED):
            remote.objects.remove(f"stages/{key}/{unit}.json")
        at_once(remote.objects.remove, [(name,) for name in remote.objects.names(f"files/{key}")])
    finally:
        lease.release()
    return True


def set_aside(remote: RemoteStore) -> dict[str, int]:
    """Return the names of the objects that were set aside as damaged, and the bytes of each.

    Raises:
        OSError: as of `held`.
    """
    return remote.objects.names(ASIDE)
