"""Batches of structures as Ray tasks: a bounded number in flight, and none lost when a process dies.

Geometries travel with the task and labels come back with its result, so that no file system is shared.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, NamedTuple

import numpy as np
import ray
from numpy.typing import NDArray
from ray import ObjectRef
from ray.exceptions import (
    LocalRayletDiedError,
    NodeDiedError,
    ObjectLostError,
    OutOfMemoryError,
    RayError,
    RayTaskError,
    RuntimeEnvSetupError,
    TaskUnschedulableError,
    WorkerCrashedError,
)

from mfsweep.data.labellers import Computed, Geometries, Labeller, LabellingMethod, build
from mfsweep.data.labellers.geometries import reason
from mfsweep.data.structures import Structures
from mfsweep.errors import DataError, MfsweepError, ResourceError
from mfsweep.fingerprint import canonical
from mfsweep.run.labelling import model as label_model
from mfsweep.run.labelling.batches import TRIES, Batches, LabelBatch

IN_FLIGHT = 2
"""Tasks for each slot: one that runs, and one that waits so that the slot is not idle in between."""
LOOK_SECONDS = 0.2
"""Between two looks at the tasks; a batch takes seconds."""
_END_SECONDS = 2.0
"""Given to tasks to end by themselves when their labels are not wanted any more."""
_DIED = (WorkerCrashedError, OutOfMemoryError, NodeDiedError, LocalRayletDiedError, ObjectLostError)
_NOT_OURS = (RayError, RuntimeError, MemoryError, OSError, ImportError)
"""What a model's packages and the machine raise. Anything else is a defect of ours, and keeps its traceback."""
_GOES_ON = "What was computed before is kept: the same command goes on"


class LabellingWork(NamedTuple):
    """What a worker must know to compute labels."""

    method: LabellingMethod
    cpus: int
    weights: Sequence[ObjectRef] = ()
    """Content of a model's file."""
    overlay: str | None = None


class Done(NamedTuple):
    """A batch that came to its end."""

    members: NDArray[np.int64]
    """(n,) structures."""
    computed: Computed


class _Returned(NamedTuple):
    computed: Computed
    seconds: float
    """Wall time."""


def compute(
    work: LabellingWork, structures: Structures, batches: Batches, slots: int, waiting: Callable[[], None]
) -> Generator[list[Done]]:
    """Yield the labels of all structures of `batches`: those that came since the last look, at least one batch.

    Args:
        work: the calculation.
        structures: of the data set.
        batches: which of them.
        slots: tasks that run at a time.
        waiting: called several times a second.

    Raises:
        DataError: the workers cannot make the labeller, or a model fails.
        ResourceError: the cluster cannot run the tasks.
    """
    task: Any = _label.options(num_cpus=work.cpus, runtime_env={"env_vars": _environment(work.cpus)})
    flying: dict[ObjectRef, LabelBatch] = {}
    try:
        while True:
            while len(flying) < IN_FLIGHT * slots and (batch := batches.take()) is not None:
                flying[task.remote(work, Geometries.of(structures, batch.members))] = batch
            if not flying:
                return
            ready, _ = ray.wait(list(flying), num_returns=len(flying), timeout=LOOK_SECONDS)
            done = [own for ref in ready if (own := _landed(work, batches, flying.pop(ref), ref)) is not None]
            if done:
                yield done
            waiting()
    finally:
        _end(list(flying))


def _end(flying: list[ObjectRef]) -> None:
    """End tasks whose labels are not wanted any more.

    Ray 2.60 aborts this process ("Tried to complete task that was not pending") where a task ends by itself at the
    moment at which it is cancelled. So those about to end are waited for, and what is cancelled takes long.
    """
    if flying:
        _, flying = ray.wait(flying, num_returns=len(flying), timeout=_END_SECONDS)
    for ref in flying:
        ray.cancel(ref, force=True)


def _environment(cpus: int) -> dict[str, str]:
    """Return the workers' environment: numerical libraries read their numbers of threads when they are loaded."""
    return {f"{library}_NUM_THREADS": str(cpus) for library in ("OMP", "OPENBLAS", "MKL", "NUMEXPR")}


def _landed(work: LabellingWork, batches: Batches, batch: LabelBatch, ref: ObjectRef) -> Done | None:
    """Return a batch with its labels, None where its process died and its structures are tried again.

    Raises:
        DataError: the worker cannot make the labeller, or it failed on all structures together.
        ResourceError: the cluster cannot run the task.
    """
    try:
        returned = ray.get(ref)
    except RayTaskError as error:
        if isinstance(error.cause, _NOT_OURS):
            several = len(batch.members)
            which = f"the structure {batch.members[0]}" if several == 1 else f"{several} structures together"
            raise DataError(
                f"{work.method.text} failed on a worker, for {which}: {reason(error.cause)}. {_GOES_ON}"
            ) from error
        raise error.as_instanceof_cause() from None
    except _DIED as error:
        lost = batches.died(batch)
        return None if lost is None else Done(np.array([lost]), _gave_up(error))
    except TaskUnschedulableError as error:
        raise ResourceError(
            f"--cpus-per-task {work.cpus}: no machine of the cluster can run such a task any more: {reason(error)}. "
            f"{_GOES_ON}"
        ) from error
    except RuntimeEnvSetupError as error:
        raise ResourceError(
            f"a machine of the cluster cannot set up the environment of the tasks: {reason(error)}. {_GOES_ON}"
        ) from error
    except RayError as error:
        raise ResourceError(f"the cluster failed to run a task: {reason(error)}. {_GOES_ON}") from error
    if isinstance(returned, str):
        raise DataError(returned)
    batches.measured(len(batch.members), returned.seconds)
    return Done(batch.members, returned.computed)


def _gave_up(error: BaseException) -> Computed:
    """Return no label for one structure, whose process died every time."""
    cause = (
        "for lack of memory"
        if isinstance(error, OutOfMemoryError)
        else "without an error message (did the program crash?)"
    )
    why = f"the process that computed it alone died {TRIES} times {cause}"
    return Computed(np.array([np.nan]), None, np.array([np.nan], np.float32), {0: why})


@ray.remote(max_retries=0)
def _label(work: LabellingWork, geometries: Geometries) -> _Returned | str:
    """Compute the labels of some structures; a user's mistake is returned as its text."""
    try:
        labeller = _labeller(canonical(work.method.identity()), work.overlay, work.cpus, _Weights(work.weights))
    except MfsweepError as error:
        return str(error)
    began = time.monotonic()
    computed = labeller(geometries)
    return _Returned(computed, time.monotonic() - began)


class _Weights:
    """References to a model's weights that count as equal: the method says which they are."""

    def __init__(self, refs: Sequence[ObjectRef]) -> None:
        self.refs = refs

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Weights)

    def __hash__(self) -> int:
        return 0


@functools.lru_cache(maxsize=1)
def _labeller(method_json: str, overlay: str | None, cpus: int, weights: _Weights) -> Labeller:
    """Return the labeller of a method; a process makes it once."""
    method = LabellingMethod(**json.loads(method_json))
    if method.kind == "model":
        return label_model.build(ray.get(weights.refs[0]), method.options["head"], overlay, cpus)
    return build(method)
