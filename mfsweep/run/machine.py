"""What a stage runs on, as far as its last bits may depend on it."""

from __future__ import annotations

import platform
import re
import subprocess
from pathlib import Path

import torch

from mfsweep.records import Machine
from mfsweep.train.world import World

_LONGEST = 1024
"""Bytes of a machine's description that ranks tell each other."""
_NVIDIA = Path("/proc/driver/nvidia/version")
_PATIENCE = 10.0
"""Seconds for which nvidia-smi may take."""
_CPUS = Path("/proc/cpuinfo")


def machine(device: torch.device) -> Machine:
    """Return what this process computes on."""
    threads = torch.get_num_threads()
    if device.type == "cuda":
        own = torch.cuda.get_device_properties(device)
        return Machine(
            device="cuda",
            name=own.name,
            driver=_driver(),
            cuda=torch.version.cuda,
            threads=threads,
            memory_gib=round(own.total_memory / 2**30, 1),
            capability=f"{own.major}.{own.minor}",
        )
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
    """Return the version of the NVIDIA driver, by the kernel, or where that is silent by nvidia-smi."""
    try:
        text = _NVIDIA.read_text(encoding="utf-8")
    except OSError:
        ask = ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"]  # of the PATH: no fixed place
        try:
            text = subprocess.run(ask, capture_output=True, text=True, check=True, timeout=_PATIENCE).stdout
        except (OSError, subprocess.SubprocessError):
            return None
    found = re.search(r"\d+\.\d+(\.\d+)?", text)
    return found[0] if found else None
