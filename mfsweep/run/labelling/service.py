"""Labels for the structures of a data set, computed on a Ray cluster: resumed, kept as they come, added at the end.

What is to be computed are the structures that have neither a label nor a known failure, in the data set or in the
journal of an interrupted run. The journal takes each batch at once; when nothing is left to do the labels go into the
data set as a whole, and the journal goes.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import ray
from numpy.typing import NDArray

from mfsweep import __version__
from mfsweep.data import dataset, journal
from mfsweep.data.journal import Collected, Journal
from mfsweep.data.labellers import LabellingMethod
from mfsweep.data.structures import Structures, geometry_digest
from mfsweep.errors import DataError, ResourceError
from mfsweep.files import locked
from mfsweep.run import autoscaler, cluster
from mfsweep.run.labelling.batches import Batches
from mfsweep.run.labelling.model import StageMethod
from mfsweep.run.labelling.tasks import LabellingWork, compute
from mfsweep.run.room import Room, most_of_each
from mfsweep.spec.resources import Resources

COST = "core-seconds: processor time of the process, its threads and the programs that it ran"
"""What `Labelling.seconds` are."""
_SHUFFLE = 0
"""Seed of the order of the structures."""


class Request(NamedTuple):
    """Labels that somebody wants."""

    dataset: Path
    """The data set."""
    name: str
    """Name of the labels in it."""
    method: LabellingMethod
    model: StageMethod | None = None
    """What the method is, where it is a trained stage."""
    first: int | None = None
    """Only so many structures of the data set, from its beginning."""
    batch: int | None = None
    """Structures of a task; None: as many as take seconds."""
    cpus: int = 1
    """CPUs of a task."""
    retry_failed: bool = False
    replace: bool = False
    """Drop labels of that name that came of another calculation, in the data set or in the journal."""


class LabellingWatcher(Protocol):
    """Shows how far a labelling is."""

    def begin(self, where: str, slots: int, todo: int) -> None:
        """Say that `todo` structures are to be computed, `slots` batches at a time, on the cluster `where`."""
        ...

    def advance(self, structures: int, failed: int) -> None:
        """Say that so many more structures have been tried, and how many of them failed."""
        ...

    def beat(self) -> None:
        """Be called now and then."""
        ...


class LabelSummary(NamedTuple):
    """How a labelling ended."""

    structures: int
    """How many the data set has."""
    asked: int
    """How many of them were asked for, from its beginning."""
    tried: int
    """Computed in this run."""
    resumed: int
    """Taken from the journal of an interrupted run."""
    labelled: int
    """Labels that the data set has now."""
    failures: Mapping[int, str]
    """Structure -> why it has none."""
    cost: float | None
    """Mean core-seconds of a label."""
    seconds: float
    """Wall time of this run's calculations."""


def label(request: Request, watcher: LabellingWatcher) -> LabelSummary:
    """Compute the labels that a data set lacks, and add them to it.

    Raises:
        DataError: no data set, labels of that name that are not of this calculation, a journal of another one, a
            calculation that cannot begin, or a full disk.
        ResourceError: the cluster has no room for a task.
    """
    request = request._replace(dataset=request.dataset.resolve())  # the journal lies beside the file, not beside a link
    path = request.dataset
    structures = dataset.read(path, {})
    count = len(structures.formula)
    geometry = geometry_digest(structures)
    settings = {"geometry": geometry, "method": request.method.identity()}
    with journal.opened(path, request.name, settings, replace=request.replace) as notes:
        # Inside, since another process may have added these labels while this one waited to begin.
        collected, resumed = notes.collect(structures, _before(request, count))
        todo = _todo(collected, request, count)
        seconds = 0.0
        if len(todo):
            collected, seconds = _computed(request, structures, todo, notes, collected, watcher)
        if (len(todo) or resumed) and collected.labelled.any():
            _add(request, geometry, collected)
        notes.remove()
    costs = collected.seconds[collected.labelled]
    return LabelSummary(
        structures=count,
        asked=count if request.first is None else min(request.first, count),
        tried=len(todo),
        resumed=resumed,
        labelled=int(collected.labelled.sum()),
        failures=dict(sorted(collected.failures.items())),
        cost=float(costs.mean(dtype=np.float64)) if len(costs) else None,
        seconds=seconds,
    )


def _before(request: Request, count: int) -> Collected:
    """Return the labels of that name that the data set has.

    Raises:
        DataError: they came with the import, or of another calculation.
    """
    path, name = request.dataset, request.name
    keys = dataset.methods(path).get(name)
    if keys is None:
        return Collected.empty(count)
    made = dataset.labellings(path).get(name)
    if made is None:
        raise DataError(
            f"{path} has labels {name!r} already, which came with the import: give these another name with --as"
        )
    different = journal.differences(made.provenance.get("method", {}), request.method.identity())
    if different and request.replace:
        return Collected.empty(count)
    if different:
        raise DataError(
            f"{path} has labels {name!r} of another calculation: {'; '.join(different)}. Give these another name "
            "with --as, or replace those with --replace"
        )
    labels = dataset.read(path, {name: keys}).labels[name]
    forces = None if labels.forces is None else np.array(labels.forces)
    return Collected(np.array(labels.energy), forces, np.array(made.seconds), dict(made.failures))


def _todo(collected: Collected, request: Request, count: int) -> NDArray[np.int64]:
    """Return the structures to compute, (n,), shuffled: so the rate so far tells the time left."""
    wanted = ~collected.labelled
    if not request.retry_failed:
        wanted[list(collected.failures)] = False
    todo = np.flatnonzero(wanted[: count if request.first is None else request.first])
    return np.random.default_rng(_SHUFFLE).permutation(todo)


def _computed(
    request: Request,
    structures: Structures,
    todo: NDArray[np.int64],
    notes: Journal,
    collected: Collected,
    watcher: LabellingWatcher,
) -> tuple[Collected, float]:
    """Compute labels on the cluster, and write them into the journal and into those collected so far.

    Returns:
        All labels, and the wall time, seconds: without the start of the cluster, with that of its workers.
    """
    with _room(request.cpus) as (where, slots):
        watcher.begin(where, slots, len(todo))
        began = time.monotonic()
        model = request.model
        weights = [ray.put(model.file.read_bytes())] if model else []
        work = LabellingWork(request.method, request.cpus, weights, model.overlay if model else None)
        batches = Batches(todo, slots=slots, size=request.batch)
        with contextlib.closing(compute(work, structures, batches, slots, watcher.beat)) as coming:
            for landed in coming:
                notes.write(landed)
                for done in landed:
                    collected = collected.taken(structures, done.members, done.computed)
                    watcher.advance(len(done.members), len(done.computed.failures))
        return collected, time.monotonic() - began


@contextlib.contextmanager
def _room(cpus: int) -> Iterator[tuple[str, int]]:
    """Give the cluster's name and how many tasks run on it at a time.

    Raises:
        ResourceError: not one.
    """
    with cluster.connected(dashboard=False) as where:
        if (has := most_of_each(autoscaler.find()).get("CPU", 0)) < cpus:
            raise ResourceError(f"--cpus-per-task {cpus}: {where} has {has:g} CPUs at most")
        yield where, Room({"calls": Resources(workers=1, gpus_per_worker=0, cpus_per_worker=cpus)}).at_a_time(0)


def _add(request: Request, geometry: str, collected: Collected) -> None:
    """Put the labels into the data set.

    Raises:
        DataError: the data set was replaced meanwhile, or cannot be written.
    """
    provenance: dict[str, Any] = {
        "method": request.method.identity(),
        "mfsweep": __version__,
        "date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "cpus_per_task": request.cpus,
        "seconds": COST,
    }
    labelling = dataset.Labelling(collected.seconds, collected.failures, provenance)
    # Another method may be ready at this moment: each writes the file anew, and must begin from what the other wrote.
    with locked(request.dataset.parent, wait=True):
        if geometry_digest(dataset.read(request.dataset, {})) != geometry:
            raise DataError(
                f"{request.dataset} has other structures now than when the labelling began: the labels are kept in "
                f"{journal.place(request.dataset, request.name)}; put the former data set back and run it again"
            )
        labels = dataset.NewLabels(collected.energy, collected.forces, labelling)
        try:
            dataset.add_labels(request.dataset, request.name, labels, replace=True)
        except DataError as error:
            kept = journal.place(request.dataset, request.name)
            raise DataError(f"{error}. The labels are kept in {kept}: the same command adds them") from error
