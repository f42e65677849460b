"""How many CPUs this process may use: the fewest that the machine, its affinity, a control group or Slurm leave it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

_SLURM = "SLURM_CPUS_PER_TASK", "SLURM_CPUS_ON_NODE"
_MEMBERSHIP = Path("/proc/self/cgroup")
_CGROUPS = Path("/sys/fs/cgroup")


class Cpus(NamedTuple):
    """The CPUs that a process may use."""

    number: int
    """At least 1."""
    limit: str
    """What leaves it no more, in words; empty: it may use all that the machine has."""


def usable(environ: Mapping[str, str] = os.environ, membership: Path = _MEMBERSHIP, cgroups: Path = _CGROUPS) -> Cpus:
    """Return how many CPUs this process may use.

    Args:
        environ: with Slurm's variables, where it runs this process.
        membership: file that names the control groups of this process (cgroups(7), /proc/[pid]/cgroup).
        cgroups: where the control groups are mounted.
    """
    machine = os.cpu_count() or 1
    limits = [Cpus(machine, "")]
    if hasattr(os, "sched_getaffinity"):  # macOS has no affinity of processes
        limits.append(Cpus(len(os.sched_getaffinity(0)), "CPU affinity"))
    # A part of a CPU is no place for a worker, but a quota below one still runs one.
    limits += [Cpus(max(1, int(quota)), f"cgroup quota of {quota:g}") for quota in _quotas(membership, cgroups)]
    limits += [Cpus(int(environ[name]), name) for name in _SLURM if environ.get(name, "").isdecimal()]
    return min((own for own in limits if own.number > 0), key=lambda own: own.number)


def _quotas(membership: Path, cgroups: Path) -> Iterator[float]:
    """Yield the CPU quotas of this process' control group and of those around it, in CPUs; of both versions."""
    try:
        lines = membership.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        number, controllers, path = line.split(":", 2)
        if number == "0" and not controllers:
            root, read = cgroups, _quota
        elif "cpu" in controllers.split(","):
            root, read = cgroups / "cpu", _quota_of_version_1
        else:
            continue
        folder = root / path.lstrip("/")
        # In a container the path may be the host's: what lies at the root is then the container's own.
        for group in (folder, *folder.parents):
            if (quota := read(group)) is not None:
                yield quota
            if group == root:
                break


def _quota(group: Path) -> float | None:
    """Return the quota in a group of version 2: `cpu.max` holds microseconds of a period's, or `max`."""
    try:
        most, period = (group / "cpu.max").read_text(encoding="utf-8").split()
        return None if most == "max" else float(most) / float(period)
    except (OSError, ValueError):
        return None


def _quota_of_version_1(group: Path) -> float | None:
    """Return the quota in a group of version 1, in which -1 is none."""
    try:
        most, period = (
            float((group / f"cpu.cfs_{name}_us").read_text(encoding="utf-8")) for name in ("quota", "period")
        )
        return most / period if most > 0 else None
    except (OSError, ValueError):
        return None
