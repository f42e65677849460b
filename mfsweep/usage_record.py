"""What a stage used of its devices while it was trained, as their own counters tell; nothing here is an estimate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict

from mfsweep.record_shapes import Whole

EnergySource = Literal["nvml", "nvml power", "rapl"]
"""`nvml`: the GPU's energy counter. `nvml power`: its power, summed over the samples, where it has no such counter.
`rapl`: the counters of all CPU packages of the machine, whatever else ran there."""


class _Finite(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True, allow_inf_nan=False)


class UsagePart(_Finite):
    """What one process of a stage has used so far."""

    rank: Whole
    host: str
    time: float
    """Unix time of the last sample, seconds."""
    seconds: float
    """From the first sample to the last."""
    samples: Whole
    utilisation: float | None = None
    """Mean share of the time in which its GPU computed, 0 to 1; None on a CPU, and of a GPU that it shares."""
    now: float | None = None
    """The same of the last sample."""
    memory_gib: float | None = None
    """Most GPU memory that the process has held."""
    joules: float | None = None
    source: EnergySource | None = None


class UsageRecord(_Finite):
    """What a stage has used, all ranks and resumed parts together."""

    seconds: float
    """Device-seconds that were watched."""
    utilisation: float | None = None
    """Mean share of the time in which its GPUs computed, 0 to 1."""
    memory_gib: float | None = None
    """Most GPU memory that one of its processes has held."""
    joules: float | None = None
    """Energy of its devices while they were watched; None where a part of that is not known."""
    source: EnergySource | None = None


def together(parts: Sequence[UsagePart]) -> UsageRecord | None:
    """Return what the processes of a stage have used together; None where none was watched."""
    if not parts:
        return None
    seconds = sum(part.seconds for part in parts)
    used = [(part.utilisation, part.seconds) for part in parts if part.utilisation is not None]
    watched = sum(duration for _, duration in used)
    memory = [part.memory_gib for part in parts if part.memory_gib is not None]
    joules, source = _energy(parts)
    return UsageRecord(
        seconds=seconds,
        utilisation=sum(share * duration for share, duration in used) / watched if watched else None,
        memory_gib=max(memory, default=None),
        joules=joules,
        source=source,
    )


def _energy(parts: Sequence[UsagePart]) -> tuple[float | None, EnergySource | None]:
    sources = {part.source for part in parts}
    if None in sources or any(part.joules is None for part in parts):
        return None, None
    if "rapl" in sources:
        # It counts a machine, not a process: the ranks beside each other are counted once, by rank 0.
        if len({part.host for part in parts}) > 1:
            return None, None
        parts = [part for part in parts if part.rank == 0]
    source: EnergySource = "nvml power" if "nvml power" in sources else "rapl" if "rapl" in sources else "nvml"
    return sum(part.joules or 0.0 for part in parts), source
