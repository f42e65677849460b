"""What a store holds and nobody needs: which stages and files that is, and how they go.

Trained stages go only where it is said which specs stay. What a run is at, and all that its spec needs, stays in any
case, and so does every stage from which one starts that stays.
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from mfsweep.errors import StoreError
from mfsweep.files import near
from mfsweep.prepare import prepare
from mfsweep.quantities import count
from mfsweep.store import StoreFolder, removal
from mfsweep.store import contents as holdings
from mfsweep.store.contents import Contents
from mfsweep.store.lease import DEAD_SECONDS, take
from mfsweep.store.lease_place import FolderPlace, LeasePlace, Sign
from mfsweep.store.remote import RemoteStore, copied_from, remote_removal
from mfsweep.store.remote.objects import in_sentences
from mfsweep.store.stage_folder import StageFolder
from mfsweep.sweep.named import chosen, is_file


class Unneeded(NamedTuple):
    """A stage or a file that nobody needs."""

    name: str
    """Key of the stage; or path in the store, name of the object."""
    why: str
    bytes: int


class PrunedStore(NamedTuple):
    """What nobody needs of a store, and what became of it."""

    stages: list[Unneeded]
    leftovers: list[Unneeded]
    left: list[str]
    """A sentence for what stays although nobody needs it."""
    removed: bool
    """Whether it has gone; else it would."""

    @property
    def bytes(self) -> int:
        """Return what it takes."""
        return sum(one.bytes for one in (*self.stages, *self.leftovers))

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        rows = {
            name: [one._asdict() for one in found]
            for name, found in (("stages", self.stages), ("leftovers", self.leftovers))
        }
        return {"removed": self.removed, "bytes": self.bytes, **rows, "left": self.left}


def contents(store: StoreFolder, names: Sequence[str] = ()) -> Contents:
    """Return what a store holds.

    Args:
        store: it is there; of the working copy of a store at a URL the sizes are those in the storage.
        names: specs (files or names) and first letters of keys; none: everything.

    Raises:
        StoreError: one names nothing, or the storage cannot be used.
    """
    remote = copied_from(store)
    if remote is None:
        found = holdings.contents(store)
    else:
        with in_sentences(remote.url):
            found = _AtUrl(store, remote).contents()
    return found.only(chosen(names, store, found.stages, store.sweep_names())[0]) if names else found


def prune(
    store: StoreFolder,
    keep: Sequence[str] = (),
    *,
    unfinished: bool = False,
    older_than: float = 0.0,
    remove: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> PrunedStore:
    """Find what nobody needs, and remove it if told to.

    Args:
        store: it is there; a working copy stands for the store at its URL, and for itself.
        keep: specs (files or names) and first letters of keys: every other stage may go. None given: trained stages
            stay.
        unfinished: whether stages may go that were begun and are not trained.
        older_than: seconds; what was written here since stays.
        remove: whether to remove it.
        say: told before it takes a while.

    Raises:
        StoreError: the store has no such spec or stage, or its storage cannot be used.
        SpecError: a spec that is kept is wrong.
        DataError: its data are not at hand, so that nobody can tell which stages it needs.
    """
    remote = copied_from(store)
    if remote is None:
        return _prune(_Folder(store), store, keep, unfinished, older_than, remove, say)
    with in_sentences(remote.url):
        return _prune(_AtUrl(store, remote), store, keep, unfinished, older_than, remove, say)


def unneeded(found: Contents, kept: Collection[str] | None, *, unfinished: bool, before: float) -> set[str]:
    """Return the keys of the stages that may go, none of which a stage starts from that stays.

    Args:
        found: what the store holds.
        kept: keys of the stages that stay; None: all that are trained.
        unfinished: as of `prune`.
        before: Unix time; what was written since stays.
    """
    may = {
        key
        for key, one in found.stages.items()
        if one.written < before and ((unfinished and one.state != "trained") or (kept is not None and key not in kept))
    }
    return may - found.above(found.stages.keys() - may)


def without_what_is_in_use(found: Contents, going: set[str], held: set[str], run: Collection[str]) -> set[str]:
    """Return those of some stages that no run is at, or may need.

    Args:
        found: what the store holds.
        going: keys of the stages.
        held: keys of the stages that somebody holds.
        run: names of the specs of which a run is known to go on.
    """
    in_use = held.union(*(one.keys for one in found.sweeps if one.name in run or one.keys & held))
    return going - found.above(in_use | (found.stages.keys() - going))


class _Place(Protocol):
    """Where the stages of a store lie."""

    def contents(self) -> Contents: ...

    def held(self, found: Contents) -> set[str]: ...

    def leases(self, key: str) -> list[LeasePlace]: ...

    def leftovers(self, before: float) -> Iterator[tuple[Unneeded, Callable[[], str | None]]]:
        """Yield what is left of no stage, and what removes it, or says why it stays."""
        ...

    def remove_stage(self, key: str) -> bool: ...


class _Folder:
    def __init__(self, store: StoreFolder) -> None:
        self._store = store

    def contents(self) -> Contents:
        return holdings.contents(self._store)

    def held(self, found: Contents) -> set[str]:
        return {key for key in found.stages if _is_claimed(self._store.stage(key))}

    def leases(self, key: str) -> list[LeasePlace]:
        return [FolderPlace(self._store.stage(key).path)]

    def leftovers(self, before: float) -> Iterator[tuple[Unneeded, Callable[[], str | None]]]:
        for one in removal.leftovers(self._store):
            if one.written < before:
                name = str(one.path.relative_to(self._store.root))
                yield Unneeded(name, one.why, one.bytes), lambda of=one: removal.remove_leftover(self._store, of)

    def remove_stage(self, key: str) -> bool:
        return removal.remove_stage(self._store.stage(key))


class _AtUrl:
    def __init__(self, store: StoreFolder, remote: RemoteStore) -> None:
        self._store = store
        self._remote = remote

    def contents(self) -> Contents:
        return holdings.contents(self._store, remote_removal.sizes(self._remote))

    def held(self, found: Contents) -> set[str]:
        return set(remote_removal.held(self._remote)) | _Folder(self._store).held(found)

    def leases(self, key: str) -> list[LeasePlace]:
        return [self._remote.lease_place(key), *_Folder(self._store).leases(key)]

    def leftovers(self, before: float) -> Iterator[tuple[Unneeded, Callable[[], str | None]]]:
        del before  # the storage tells no times
        for name, size in remote_removal.set_aside(self._remote).items():
            yield Unneeded(name, "set aside as damaged", size), lambda of=name: self._remote.objects.remove(of)
        for place, objects in remote_removal.unread(self._remote).items():
            why = f"{count(len(objects), 'object')} that nothing reads any more"
            yield Unneeded(place, why, sum(objects.values())), lambda of=place: self._remove_unread(of)

    def _remove_unread(self, place: str) -> str | None:
        return None if remote_removal.remove_unread(self._remote, place) else removal.HELD

    def remove_stage(self, key: str) -> bool:
        if not remote_removal.remove_stage(self._remote, key):
            return False
        return removal.remove_stage(self._store.stage(key))


def _prune(
    place: _Place,
    store: StoreFolder,
    keep: Sequence[str],
    unfinished: bool,
    older_than: float,
    remove: bool,
    say: Callable[[str], object],
    dead: Collection[str] | None = None,
) -> PrunedStore:
    """Do what `prune` does; `dead` are the stages whose holders are known to have died, None: nobody has looked."""
    found = place.contents()
    kept = _kept(keep, store, found) if keep else None
    before = time.time() - older_than if older_than else math.inf
    wanted = unneeded(found, kept, unfinished=unfinished, before=before)
    run = {one.name for one in found.sweeps if store.sweep(one.name).is_run()}
    gone = set[str]() if dead is None or remove else set(dead)  # what is removed has no lease any more
    held = place.held(found) - gone if wanted else set[str]()
    going = without_what_is_in_use(found, wanted, held, run)
    if dead is None and going != wanted and (leases := _dead(place, store, held, say)):
        for lease, sign in [one for own in leases.values() for one in own.items()] if remove else []:
            with contextlib.suppress(OSError):  # then it stays held, and so does its stage
                take(lease, sign, free=True)
        return _prune(place, store, keep, unfinished, older_than, remove, say, leases.keys())  # that took a while
    in_use = len(wanted - going)
    left = [f"{count(in_use, 'stage')} not removed: a run is at work there, or may need them"] if in_use else []
    stages = [
        Unneeded(key, _why(found, key, kept, dead or ()), found.stages[key].bytes)
        for key in sorted(going, key=lambda key: (-len(found.above([key])), key))  # children first
    ]
    if not remove:
        return PrunedStore(stages, [one for one, _ in place.leftovers(before)], left, removed=False)
    gone = [
        one
        for one in stages
        if _went(one.name, lambda of=one: None if place.remove_stage(of.name) else removal.HELD, left)
    ]
    rest = [one for one, go in place.leftovers(before) if _went(one.name, go, left)]
    return PrunedStore(gone, rest, left, removed=True)


def _dead(
    place: _Place, store: StoreFolder, held: Collection[str], say: Callable[[str], object]
) -> dict[str, dict[LeasePlace, Sign]]:
    """Return those of some held stages whose holders have died, with their leases.

    The times of files may be wrong: they only tell what need not be watched.
    """
    silences = {key: store.stage(key).silence() for key in held}
    silent = {key: place.leases(key) for key, one in silences.items() if one is None or one > DEAD_SECONDS}
    if not silent:
        return {}
    of = f"{count(len(silent), 'stage')} of which nothing was heard for long"
    say(f"{of}: watched for {DEAD_SECONDS:g} s, to see whether a run is at work there")
    return removal.dead(silent)


def _went(name: str, remove: Callable[[], str | None], left: list[str]) -> bool:
    """Remove something; return whether it went, else add a sentence why not."""
    try:
        why = remove()
    except OSError as error:
        why = error.strerror or str(error)
    left += [f"{name} not removed: {why}"] if why else []
    return not why


def _kept(keep: Sequence[str], store: StoreFolder, found: Contents) -> set[str]:
    """Return the keys of the stages that stay.

    Raises:
        StoreError: the store has nothing of what was named.
    """
    kept: set[str] = set()
    for given in keep:
        if is_file(given):
            keys = set(prepare(Path(given), store.root).graph.nodes)
            if not keys & found.stages.keys():
                raise StoreError(f"--keep {near(Path(given))}: {store.name} has no stage of this spec, as it is now")
        else:
            keys, _ = chosen([given], store, found.stages, store.sweep_names())
        kept |= keys
    return kept


def _why(found: Contents, key: str, kept: Collection[str] | None, dead: Collection[str]) -> str:
    one = found.stages[key]
    named = [*one.names[:1], "begun" if key in dead and one.state == "running" else one.state]
    return ", ".join([*named, "not trained" if kept is None or key in kept else "no kept spec needs it"])


def _is_claimed(folder: StageFolder) -> bool:
    try:
        return folder.is_claimed()
    except OSError:
        return True
