"""What a stage's process uses of its device, asked of the device's own counters every few seconds by a thread.

    on a GPU    NVML: energy, utilisation; and the memory that torch has held. By nvidia-ml-py where it is installed,
                else by the copy of it that Ray brings
    on a CPU    RAPL (/sys/class/powercap): energy, where this process may read it; most systems let root alone

What no counter tells is left out. A GPU that several stages share has one counter for all of them: of such a stage only
the memory is known.
"""

from __future__ import annotations

import contextlib
import importlib
import platform
import secrets
import threading
import time
import warnings
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import torch

from mfsweep.files import write_json
from mfsweep.usage_record import EnergySource, UsagePart

SAMPLE_SECONDS = 2.0
"""Between two samples."""
WRITE_SECONDS = 30.0
"""Between two writes of what was seen: as much is lost of a process that is killed."""
POWERCAP = Path("/sys/class/powercap")
_NVML = ("pynvml", "ray._private.thirdparty.pynvml")
"""Modules that are NVML, the best first."""


class Sample(NamedTuple):
    """What a device says at one moment."""

    joules: float | None = None
    """What its energy counter shows, which only grows."""
    watts: float | None = None
    utilisation: float | None = None
    """0 to 1."""


class Device(Protocol):
    """A device with counters."""

    source: EnergySource | None
    """What its energy is known by; None: it does not tell any."""

    def sample(self) -> Sample:
        """Return what it says now.

        Raises:
            OSError: it says nothing any more.
        """
        ...


class Gpu:
    """One GPU, by NVML.

    Args:
        nvml: the module, initialised.
        handle: of the GPU.
    """

    def __init__(self, nvml: Any, handle: Any) -> None:
        self._nvml = nvml
        self._handle = handle
        first = self.sample()
        self.source: EnergySource | None = (
            "nvml" if first.joules is not None else "nvml power" if first.watts is not None else None
        )

    def sample(self) -> Sample:
        """Return what it says now; what it does not support is None."""
        millijoules = self._ask(self._nvml.nvmlDeviceGetTotalEnergyConsumption)
        milliwatts = self._ask(self._nvml.nvmlDeviceGetPowerUsage)
        rates = self._ask(self._nvml.nvmlDeviceGetUtilizationRates)
        return Sample(
            joules=None if millijoules is None else millijoules / 1000,
            watts=None if milliwatts is None else milliwatts / 1000,
            utilisation=None if rates is None else rates.gpu / 100,
        )

    def _ask(self, function: Any) -> Any:
        try:
            return function(self._handle)
        except self._nvml.NVMLError:
            return None


class Packages:
    """All CPU packages of the machine, by RAPL.

    Args:
        zones: their folders.
    """

    source: EnergySource | None = "rapl"

    def __init__(self, zones: list[Path]) -> None:
        self._zones = zones
        self._last = [_number(zone / "energy_uj") for zone in zones]
        self._most = [_number(zone / "max_energy_range_uj") for zone in zones]
        self._sum = 0

    def sample(self) -> Sample:
        """Return what they say now; a counter that has begun anew goes on from its greatest number.

        Raises:
            OSError: they cannot be read any more.
        """
        for number, zone in enumerate(self._zones):
            now = _number(zone / "energy_uj")
            more = now - self._last[number]
            self._sum += more if more >= 0 else more + self._most[number]
            self._last[number] = now
        return Sample(joules=self._sum / 1e6)


def find(device: torch.device) -> Device | None:
    """Return the counters of a device; None where there are none that this process may read."""
    if device.type == "cuda":
        return _gpu(str(torch.cuda.get_device_properties(device).uuid))
    try:
        zones = [
            zone for zone in sorted(POWERCAP.glob("*:*")) if (zone / "name").read_text("utf-8").startswith("package")
        ]
        return Packages(zones) if zones else None
    except (OSError, ValueError):
        return None


def _gpu(uuid: str) -> Gpu | None:
    for name in _NVML:
        with contextlib.suppress(Exception), warnings.catch_warnings():  # whatever a driver or a stand-in raises
            warnings.simplefilter("ignore")
            nvml = importlib.import_module(name)
            nvml.nvmlInit()
            named = uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}"
            for text in (named, named.encode()):  # the older module wants bytes
                with contextlib.suppress(Exception):
                    return Gpu(nvml, nvml.nvmlDeviceGetHandleByUUID(text))
    return None


def _number(path: Path) -> int:
    return int(path.read_text("utf-8"))


class Meter:
    """Watches the device of one rank while it works. Use as a context manager around the work.

    Args:
        folder: in which it writes what it sees, a file of its own.
        rank: this process'.
        device: on which it computes.
        shared: whether other stages compute on it too.
    """

    def __init__(self, folder: Path, rank: int, device: torch.device, *, shared: bool) -> None:
        self._path = folder / f"{rank}.{secrets.token_hex(4)}.json"
        self._rank = rank
        self._device = device
        self._counters = None if shared else find(device)
        self._lock = threading.Lock()
        """Held by whoever takes a sample, until it is written."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="mfsweep-meter", daemon=True)
        self._began = self._last = self._written = 0.0
        self._first: Sample | None = None
        self._seen = Sample()
        self._joules: float | None = None
        self._used: list[float] = []
        self._samples = 0

    def __enter__(self) -> Self:
        """Take the first sample, and begin to watch."""
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)
        self._began = self._last = self._written = time.monotonic()
        self._take()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Take a last sample and write what was seen."""
        self.write()
        self._ended.set()
        self._thread.join()

    def write(self) -> None:
        """Take a sample and write what was seen so far; where that cannot be written, nobody knows it."""
        with self._lock:
            self._take()
            with contextlib.suppress(OSError, ValueError):
                write_json(self._path, self.part().model_dump(mode="json"))

    def part(self) -> UsagePart:
        """Return what was seen so far."""
        on_gpu = self._device.type == "cuda"
        return UsagePart(
            rank=self._rank,
            host=platform.node(),
            time=time.time(),
            seconds=self._last - self._began,
            samples=self._samples,
            utilisation=sum(self._used) / len(self._used) if self._used else None,
            now=self._seen.utilisation,
            memory_gib=torch.cuda.max_memory_reserved(self._device) / 2**30 if on_gpu else None,
            joules=self._joules,
            source=self._counters.source if self._counters and self._joules is not None else None,
        )

    def _watch(self) -> None:
        while not self._ended.wait(SAMPLE_SECONDS):
            if time.monotonic() - self._written > WRITE_SECONDS:
                self.write()
                self._written = time.monotonic()
            else:
                with self._lock:
                    self._take()

    def _take(self) -> None:
        now = time.monotonic()
        try:
            seen = self._counters.sample() if self._counters else Sample()
        except (OSError, ValueError):
            seen = Sample()
        first = self._first is None
        self._first = self._first or seen
        self._joules = self._energy(seen, now - self._last, first=first)
        if seen.utilisation is not None:
            self._used.append(seen.utilisation)
        self._seen, self._last = seen, now
        self._samples += 1

    def _energy(self, seen: Sample, seconds: float, *, first: bool) -> float | None:
        """Return the energy since the first sample; None from a sample on that does not tell it."""
        source = self._counters.source if self._counters else None
        if source is None or (self._joules is None and not first):
            return None
        if source == "nvml power":
            before, after = (seen if first else self._seen).watts, seen.watts
            if before is None or after is None:
                return None
            return (self._joules or 0.0) + seconds * (before + after) / 2
        assert self._first is not None
        if seen.joules is None or self._first.joules is None or seen.joules < self._first.joules:
            return None
        return seen.joules - self._first.joules
