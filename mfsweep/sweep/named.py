"""Stages of a store, as a person names them: by a spec, its file or its name, or by the first letters of their keys."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from mfsweep.errors import StoreError, nearest
from mfsweep.spec.load import load
from mfsweep.store import StoreFolder


def chosen(
    names: Sequence[str], store: StoreFolder, there: Iterable[str], sweeps: Sequence[str], where: str | None = None
) -> tuple[set[str], list[str]]:
    """Return the keys of the stages that are named, and the names of the specs among them.

    Args:
        names: specs (files or names), or first letters of keys; none: everything.
        store: in which specs were run.
        there: the keys that may be meant.
        sweeps: names of the specs that may be meant.
        where: what the place is called; default: the store's own name.

    Raises:
        StoreError: one names nothing.
    """
    keys = set(there)
    if not names:
        return keys, list(sweeps)
    found: set[str] = set()
    specs: list[str] = []
    for given, name in zip(names, map(name_of, names), strict=True):
        if name in sweeps:
            specs.append(name)
            found |= {key for cell in store.sweep(name).cells() for key in cell.stages.values()}
        elif begin := {key for key in keys if key.startswith(given)}:
            found |= begin
        else:
            raise StoreError(
                f"{given}: {where or store.name} has no run of a spec of this name, and no trained stage whose key "
                f"begins so.{nearest(name, sweeps)}"
            )
    return found, specs


def name_of(given: str) -> str:
    """Return the name of a spec by its file, or what was given."""
    return load(Path(given)).experiment.name if is_file(given) else given


def is_file(given: str) -> bool:
    """Return whether the file of a spec was given."""
    path = Path(given)
    return path.suffix in (".yaml", ".yml") and path.is_file()
