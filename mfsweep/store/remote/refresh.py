"""A working copy is brought up to date before it is read: records, curves, predictions and logs, and no weights."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor

from mfsweep.errors import StoreError
from mfsweep.store.lease import read as read_lease
from mfsweep.store.remote.copied import is_key
from mfsweep.store.remote.objects import in_sentences
from mfsweep.store.remote.remote_store import RemoteStore, copied_from
from mfsweep.store.remote.units import TRAINED, states
from mfsweep.store.stage_folder import ELSEWHERE, StageFolder
from mfsweep.store.store import STAGES, StoreFolder
from mfsweep.store.sweep_folder import SweepFolder

_LOG = logging.getLogger(__name__)
_AT_ONCE = 16
"""Stages that are copied at once: a storage answers slowly, and many at a time."""


def refresh(store: StoreFolder, keys: Collection[str] | None = None) -> None:
    """Copy what a store at a URL has, and its working copy lacks; a store that is a folder is as it is.

    Args:
        store: the working copy.
        keys: of the stages; None: all.

    Raises:
        StoreError: the storage cannot be used.
    """
    remote = copied_from(store)
    if remote is None or not remote.is_there():
        return
    (store.root / STAGES).mkdir(parents=True, exist_ok=True)
    with in_sentences(remote.url):
        there = {key: units for key, units in remote.stages().items() if keys is None or key in keys}
        at_once(_refresh_stage, [(remote, store.stage(key), units) for key, units in there.items()])
        _see_who_trains(remote, store, keys, done={key for key, units in there.items() if TRAINED in units})


def refresh_sweeps(store: StoreFolder) -> None:
    """Copy what the latest runs of specs have left in a store at a URL, likewise.

    Raises:
        StoreError: as of `refresh`.
    """
    remote = copied_from(store)
    if remote is not None and remote.is_there():
        with in_sentences(remote.url):
            at_once(_refresh_sweep, [(remote, store.sweep(name)) for name in remote.sweep_names()])


def at_once(work: Callable[..., object], arguments: Iterable[tuple[object, ...]]) -> None:
    """Do something for each of many, several at a time; the first error ends it."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        try:
            for _ in pool.map(lambda given: work(*given), arguments):
                pass
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _refresh_stage(remote: RemoteStore, folder: StageFolder, units: set[str]) -> None:
    with _what_is_damaged_left_out():
        if TRAINED in units:
            remote.pull_stage(folder, units)
        elif states(units):
            with folder.claim() as mine:
                if mine:
                    remote.pull_state(folder, weights=False)


def _refresh_sweep(remote: RemoteStore, folder: SweepFolder) -> None:
    with _what_is_damaged_left_out():
        remote.pull_sweep(folder)


@contextlib.contextmanager
def _what_is_damaged_left_out() -> Iterator[None]:
    """Let what is damaged in the storage hide itself, as in a folder, and nothing else."""
    try:
        yield
    except StoreError as error:
        _LOG.warning(f"{error}: left out")


def _see_who_trains(remote: RemoteStore, store: StoreFolder, keys: Collection[str] | None, done: set[str]) -> None:
    """Mark the stages that another machine trains, for whoever reads; a mark is as old as the lease is unchanged."""
    leased = {name.split("/")[1] for name in remote.objects.names("leases")}
    trained = {key for key in leased - done if is_key(key) and (keys is None or key in keys)}

    def mark(key: str) -> None:
        sign, path = read_lease(remote.lease_place(key)), store.stage(key).path / ELSEWHERE
        before = None
        with contextlib.suppress(FileNotFoundError):
            before = path.read_bytes()
        if sign is None or sign.is_free:
            path.unlink(missing_ok=True)
        elif sign.content != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(sign.content)

    at_once(mark, [(key,) for key in trained])
    for key in done:
        with contextlib.suppress(OSError):
            (store.stage(key).path / ELSEWHERE).unlink(missing_ok=True)
