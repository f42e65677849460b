"""What is put again and again, in place of what was put before: how far a stage is, and what a sweep has left.

The files of each put, or of all puts under one lease, lie in a folder that no other writer uses (`Manifest.at`). So
nobody removes, with what was replaced, what another one is about to name.

A state has the number of the lease under which it is put, and the one of the highest number stands. So whoever has lost
a stage can replace nothing of its new holder, however late its put arrives. And the holder may begin anew where what
stands is of no use.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from pathlib import Path

from mfsweep.files import write_file
from mfsweep.store.remote import units
from mfsweep.store.remote.copied import is_newer, step_of
from mfsweep.store.remote.objects import Objects
from mfsweep.store.remote.transfer import (
    manifest_at,
    pull_files,
    pull_standing,
    put_files,
    remove_unnamed,
    unit_names,
)
from mfsweep.store.remote.units import CHECKPOINTS, LAST, files_of, manifest_of, snapshot
from mfsweep.store.stage_folder import SHARED, StageFolder
from mfsweep.store.sweep_folder import SweepFolder


def push_state(objects: Objects, folder: StageFolder, lease: int) -> None:
    """Put how far a stage is, as of `RemoteStore`."""
    key, name, files = folder.key, units.state_of(lease), files_of(folder.key)
    with snapshot(units.state_unit(folder), step_of(folder), at=f"{lease:06d}") as (place, manifest):
        known = unit_names(objects, key)
        standing = [manifest_at(objects, manifest_of(key, state)) for state in units.states(known)[-1:]]
        would_lose = LAST not in manifest.files and any(one and LAST in one.files for one in standing)
        if would_lose or name in units.outdone({*known, name}):
            return
        put_files(objects, files, manifest, place)
        objects.put(manifest_of(key, name), manifest.dump())
        _clear(objects, f"{files}/{manifest.at}", but=manifest.places(files).values())
    if name not in drop_states(objects, key):  # the stage was trained, or lost, meanwhile
        _clear(objects, f"{files}/{manifest.at}")


def drop_states(objects: Objects, key: str) -> set[str]:
    """Remove the states of a stage from which nobody goes on any more; return the names of the units that stay."""
    known = unit_names(objects, key)
    for unit in units.outdone(known):
        state = manifest_at(objects, manifest_of(key, unit))
        if state and state.at:  # before its manifest, so that whoever comes after a kill does the rest
            _clear(objects, f"{files_of(key)}/{state.at}")
        objects.remove(manifest_of(key, unit))
        if state and not state.at:  # of the first versions, beside the files of all units
            remove_unnamed(objects, key, state)
    return known.difference(units.outdone(known))


def pull_state(objects: Objects, folder: StageFolder, *, weights: bool) -> int | None:
    """Copy what a stage goes on from, as of `RemoteStore`."""
    ours, without = step_of(folder), () if weights else (CHECKPOINTS,)

    def find() -> str | None:
        found = units.states(unit_names(objects, folder.key))
        return manifest_of(folder.key, found[-1]) if found else None

    def pull(manifest: units.Manifest) -> int | None:
        if manifest.step <= ours and (weights or ours > 0):
            return None
        files = files_of(folder.key)
        pull_files(objects, folder.path, files, manifest, without=without, gone=units.CUT_SHORT)
        return manifest.step

    return pull_standing(objects, find, pull)


def push_sweep(objects: Objects, folder: SweepFolder) -> None:
    """Put what the latest run of a spec has left, as of `RemoteStore`."""
    name, files = _of_sweep(folder)

    def put(mark: Path) -> None:
        mark.write_bytes(b"{}")  # first: what a run writes meanwhile is newer
        with snapshot(units.sweep_unit(folder), at=secrets.token_hex(4)) as (place, manifest):
            before = manifest_at(objects, name)
            if before is not None and before.files == manifest.files:
                put_files(objects, files, before, place)
                return
            put_files(objects, files, manifest, place)
            before = manifest_at(objects, name)
            objects.put(name, manifest.dump())
            put_files(objects, files, manifest, place)  # what was taken meanwhile for left of somebody who died
            for old in before.places(files).values() if before else ():
                objects.remove(old)

    write_file(folder.path / SHARED, put)


def pull_sweep(objects: Objects, folder: SweepFolder) -> None:
    """Copy what the latest run of a spec has left, as of `RemoteStore`."""
    if is_newer(folder):
        return
    name, files = _of_sweep(folder)
    pull_standing(objects, lambda: name, lambda manifest: pull_files(objects, folder.path, files, manifest, mark=b"{}"))


def _of_sweep(folder: SweepFolder) -> tuple[str, str]:
    """Return the name of a sweep's manifest, and below what its files lie."""
    name = f"sweeps/{folder.path.name}.json"
    return name, units.files_beside(name)


def _clear(objects: Objects, folder: str, but: Collection[str] = ()) -> None:
    """Remove what is below a folder that no other writer uses."""
    for place in objects.names(folder):
        if place not in but:
            objects.remove(place)
