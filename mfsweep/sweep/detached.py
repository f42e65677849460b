"""A run that goes on without us: its specs are checked here, shipped, and run as a job of a Ray cluster."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfsweep.errors import StoreError
from mfsweep.spec.gathered import Gathered
from mfsweep.spec.load import FieldPath, Spec, load
from mfsweep.store.remote import name_of_store
from mfsweep.sweep.sweep import Sweep

if TYPE_CHECKING:
    from mfsweep.run.jobs import Jobs

MODEL_FILE = "file:"
BUNDLED = "bundled:"


def submit(
    jobs: Jobs, specs: Sequence[Path], store: Path, options: Sequence[str], environment: Mapping[str, str]
) -> str:
    """Submit the run of some specs; return the job's id.

    Args:
        jobs: of the cluster.
        specs: their files.
        store: by its path on the cluster's shared storage.
        options: further ones of the run.
        environment: variables that its options would show to everyone.

    Raises:
        SpecError: a spec is wrong, or names a file by a path that only this machine has.
        StoreError: the store is no absolute path.
    """
    if not store.is_absolute():
        raise StoreError(f"--store {store}: with --detach an absolute path on the cluster's shared storage is expected")
    read = [checked(path, store) for path in specs]
    with tempfile.TemporaryDirectory(prefix="mfsweep-") as shipped:
        files: dict[str, str] = {}
        for number, spec in enumerate(read):
            name = spec.document.path.name
            name = f"{number}-{name}" if name in files else name
            (Path(shipped) / name).write_text(spec.document.text, encoding="utf-8")
            files[name] = spec.experiment.name
        return jobs.submit(files, ["--store", name_of_store(store), *options], Path(shipped), environment)


def checked(path: Path, store: Path) -> Spec:
    """Return a spec that a cluster can run as it stands; its data are checked there, where they are.

    Raises:
        SpecError: all that is wrong with it.
    """
    spec = load(path)
    found = Gathered()
    for place, value in _paths(spec.document.tree):
        if not value.startswith(("/", "~", "$")):
            expected = "an absolute path on the cluster's shared storage: --detach ships the spec alone"
            found.add(spec.document.error(place, value, expected))
    found.tell()
    if not any(isinstance(value, str) and value.startswith(MODEL_FILE) for _, value in _leaves(spec.document.tree)):
        Sweep(spec, store).plan(without_data=True)
    return spec


def _paths(tree: Any) -> Iterator[tuple[FieldPath, str]]:
    """Yield each path of a file that a spec names, with its place."""
    for place, value in _leaves(tree):
        if not isinstance(value, str):
            continue
        is_source = place[:2] in (("data", "source"), ("data", "sources"))
        is_split = place == ("data", "splits", "given") and value.lower().endswith(".json")
        if (is_source and not value.startswith(BUNDLED)) or is_split:
            yield place, value
        elif value.startswith(MODEL_FILE):
            yield place, value.removeprefix(MODEL_FILE)


def _leaves(tree: Any, place: FieldPath = ()) -> Iterator[tuple[FieldPath, Any]]:
    children = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else None
    if children is None:
        yield place, tree
        return
    for name, child in children:
        yield from _leaves(child, (*place, name))
