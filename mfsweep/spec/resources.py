"""`resources:` of a spec: what one stage is given. Never part of a stage's identity."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

from mfsweep.spec.base import Frozen


class Resources(Frozen):
    """The worker group of one stage. `workers` must divide `batches_per_step`."""

    workers: PositiveInt = 4
    gpus_per_worker: Annotated[float, Field(ge=0, le=1)] = 1
    """GPUs of each worker; 0 trains on CPUs."""
    cpus_per_worker: PositiveFloat = 1
    max_failures: NonNegativeInt = 2
    """Times a stage is started again (from its last checkpoint) after a worker died."""
    memory_per_worker_gib: NonNegativeFloat = 0
    """Memory that Ray reserves for each worker; 0: none."""
