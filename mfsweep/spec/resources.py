"""`resources:` of a spec and of a stage: what one stage is given. Never part of its identity.

A stage has what the spec says, but for the fields that it has of its own; a command's options go before both.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Self, cast

from pydantic import Field, model_validator

from mfsweep.spec.base import (
    Bool,
    Float,
    Frozen,
    MisplacedError,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
)


class Resources(Frozen):
    """The worker group of one stage. `workers` must divide `batches_per_step`."""

    workers: PositiveInt = 4
    """Processes that share the batches of a step."""
    gpus_per_worker: Annotated[Float, Field(ge=0, le=1)] = 1
    """GPUs of each worker; 0 trains on CPUs. With one worker, 0.25 lets four stages share a GPU."""
    cpus_per_worker: PositiveFloat = 1
    """CPUs that Ray reserves for each worker."""
    max_failures: NonNegativeInt = 2
    """Times a stage is started again (from its last checkpoint) after a worker died, without a validation in between.
    Workers that went with their node, as spot machines do, are not counted."""
    hung_after_s: PositiveFloat = 120
    """Seconds after which a worker of several counts as hung: the others wait for it in a sum over all of them, or
    nothing is heard of its process. It is ended then, and the stage started again, as after a worker's death. Raise it
    where the storage may hang for longer."""
    groups: PositiveInt | None = None
    """Stages at a time. Default: as many as the cluster has, or may grow to have, room for."""
    keep_workers: Bool = True
    """Whether a group of several workers, once it has started, performs one stage after another. Without, each stage
    starts its own."""
    memory_per_worker_gib: NonNegativeFloat = 0
    """Memory that Ray reserves for each worker; 0: none."""
    price_per_hour: NonNegativeFloat | None = None
    """What a device-hour (an hour of one worker) costs, in any currency: `status`, `fit` and the report tell what was
    spent. `--price` of a command goes before it."""
    co2_g_per_kwh: NonNegativeFloat | None = None
    """Grams of CO2 of a kWh where the sweep runs, for what is said of measured energy."""

    def unlike(self, other: Resources) -> dict[str, Any]:
        """Return the fields in which it differs from another."""
        return {name: own for name in type(self).model_fields if (own := getattr(self, name)) != getattr(other, name)}

    @property
    def device_share(self) -> float:
        """Return the part of a device that each worker holds."""
        return self.gpus_per_worker or 1.0

    @model_validator(mode="after")
    def _refuse_shared_gpus(self) -> Self:
        if self.workers > 1 and 0 < self.gpus_per_worker < 1:
            expected = "0 or 1 with several workers, which cannot share a GPU (NCCL)"
            raise MisplacedError(("gpus_per_worker",), self.gpus_per_worker, expected)
        return self


class OwnResources(Frozen):
    """What one stage has in place of the spec's `resources`; what it leaves out is as there."""

    workers: PositiveInt | None = None
    """In place of `resources.workers`."""
    gpus_per_worker: Annotated[Float, Field(ge=0, le=1)] | None = None
    """In place of `resources.gpus_per_worker`."""
    cpus_per_worker: PositiveFloat | None = None
    """In place of `resources.cpus_per_worker`."""
    memory_per_worker_gib: NonNegativeFloat | None = None
    """In place of `resources.memory_per_worker_gib`."""
    max_failures: NonNegativeInt | None = None
    """In place of `resources.max_failures`."""
    hung_after_s: PositiveFloat | None = None
    """In place of `resources.hung_after_s`."""
    keep_workers: Bool | None = None
    """In place of `resources.keep_workers`."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_fields_of_the_sweep(cls, tree: Any) -> Any:
        written = cast("dict[str, Any]", tree) if isinstance(tree, dict) else {}
        for name in written.keys() & Resources.model_fields.keys() - cls.model_fields.keys():
            expected = f"{name} in the spec's own `resources:`: it holds for the whole sweep"
            raise MisplacedError((name,), written[name], expected)
        return cast("Any", tree)

    def over(self, common: Resources, forced: Mapping[str, Any]) -> dict[str, Any]:
        """Return the fields of what the stage is given, to be validated.

        Args:
            common: the spec's.
            forced: fields that go before both.
        """
        own = {name: forced.get(name, value) for name, value in self.identity().items()}
        return common.model_dump() | own
