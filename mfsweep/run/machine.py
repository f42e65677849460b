"""What a stage runs on, as far as its last bits may depend on it."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch

from mfsweep.records import Machine
from mfsweep.train.world import World

_LONGEST = 1024
"""Bytes of a machine's description that ranks tell each other."""
_NVIDIA = Path("/proc/driver/nvidia/version")
_CPUS = Path("/proc/cpuinfo")


def machine(device: torch.device) -> Machine:
    """Return what this process computes on."""
    threads = torch.get_num_threads()
    if device.type == "cuda":
        name = torch.cuda.get_device_name(device)
        return Machine(device="cuda", name=name, driver=_driver(), cuda=torch.version.cuda, threads=threads)
    return Machine(device="cpu", name=_cpu(), threads=threads)


def machines(world: World) -> list[Machine]:
    """Return the different machines of a group; every rank calls this."""
    own = machine(world.device).model_dump_json().encode()[:_LONGEST]
    # By the sum that training uses, which knows the ranks' devices.
    rows = torch.zeros((world.size, _LONGEST), dtype=torch.int32, device=world.device)
    rows[world.rank, : len(own)] = torch.tensor(list(own), dtype=torch.int32, device=world.device)
    world.sum_(rows)
    texts = {bytes(row).rstrip(b"\0") for row in rows.tolist()}
    return [Machine.model_validate_json(text) for text in sorted(texts)]


def _cpu() -> str:
    try:
        found = re.search(r"^model name\s*:\s*(.+)$", _CPUS.read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _driver() -> str | None:
    try:
        found = re.search(r"\d+\.\d+(\.\d+)?", _NVIDIA.read_text(encoding="utf-8"))
    except OSError:
        return None
    return found[0] if found else None
