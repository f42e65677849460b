"""Stages of a folder are put to a store at a URL, and copied from one: what is missing there, and no more."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from mfsweep.errors import StoreError
from mfsweep.store import StoreFolder
from mfsweep.store.remote import RemoteStore, copied_from
from mfsweep.store.remote.objects import in_sentences
from mfsweep.store.remote.refresh import at_once
from mfsweep.store.remote.units import TRAINED
from mfsweep.sweep.named import chosen, name_of

Told = Callable[[int, int], object]
"""Is told how many stages were looked at, and how many there are."""


class SharedStages(NamedTuple):
    """What was copied."""

    stages: int
    """Trained stages that were looked at."""
    copied: int
    """Those of which something was missing."""
    damaged: list[str]
    """A sentence for each that was left out."""


def push(
    store: StoreFolder, url: str, names: Sequence[str] = (), told: Told = lambda _done, _total: None
) -> SharedStages:
    """Put what the store at a URL lacks of trained stages, and of the latest runs of their specs.

    Args:
        store: where they are.
        url: the other store; it is made where it is missing.
        names: specs (files or names), or first letters of keys; none: everything.
        told: the progress.

    Raises:
        StoreError: the storage cannot be used, or the store has no such spec or stage.
    """
    remote, source = RemoteStore.at(url), copied_from(store)
    remote.prepare()
    keys, sweeps = chosen(names, store, store.keys(), store.sweep_names())

    def put(key: str, known: Collection[str]) -> bool:
        if source is not None:
            source.pull_weights(store.stage(key))
        return remote.push_stage(store.stage(key), known) > 0

    trained = [key for key in sorted(keys) if store.stage(key).record() is not None]
    with in_sentences(remote.url):
        there = remote.stages()
        shared = _each(put, [(key, there.get(key, set())) for key in trained], told)
        for name in sweeps:
            remote.push_sweep(store.sweep(name))
    return shared


def pull(
    url: str, store: StoreFolder, names: Sequence[str] = (), told: Told = lambda _done, _total: None
) -> SharedStages:
    """Copy what a store lacks of the trained stages of one at a URL, with their weights; arguments as of `push`.

    Raises:
        StoreError: the storage cannot be used, has no such store, spec or stage, or the folder cannot be written.
    """
    remote = RemoteStore.at(url)
    remote.require_there()
    store.prepare()
    with in_sentences(remote.url):
        there = {key: units for key, units in remote.stages().items() if TRAINED in units}
        sweeps = remote.sweep_names()
        wanted = [name for name in map(name_of, names) if name in sweeps] if names else sorted(sweeps)
        at_once(remote.pull_sweep, [(store.sweep(name),) for name in wanted])
        keys, _ = chosen(names, store, there.keys(), wanted, str(remote.url))

        def get(key: str, known: Collection[str]) -> bool:
            return remote.pull_stage(store.stage(key), known, weights=True) > 0

        return _each(get, [(key, there[key]) for key in sorted(keys & there.keys())], told)


def _each(work: Callable[[str, Collection[str]], bool], stages: list[tuple[str, set[str]]], told: Told) -> SharedStages:
    """Copy each stage, several at a time; one that is damaged does not keep the others."""
    copied: list[bool] = []
    damaged: list[str] = []

    def do(key: str, known: set[str]) -> None:
        try:
            copied.append(work(key, known))
        except StoreError as error:
            damaged.append(str(error))
        told(len(copied) + len(damaged), len(stages))

    at_once(do, stages)
    return SharedStages(len(stages), sum(copied), sorted(damaged))
