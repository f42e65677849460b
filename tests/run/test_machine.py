from __future__ import annotations

from types import SimpleNamespace
from typing import NamedTuple

import pytest
import torch

from mfsweep.records import Machine
from mfsweep.run.machine import machine, machines
from mfsweep.train import World

CPU = torch.device("cpu")


def test_a_machine_says_what_its_last_bits_depend_on():
    found = machine(CPU)
    assert (found.device, found.driver, found.threads) == ("cpu", None, torch.get_num_threads())
    assert found.name
    assert machines(World.alone()) == [found]


class Group(NamedTuple):
    """Rank 0 among ranks whose descriptions are known."""

    others: tuple[Machine, ...]
    rank: int = 0
    device: torch.device = CPU

    @property
    def size(self) -> int:
        return 1 + len(self.others)

    def sum_(self, tensor) -> None:
        for rank, other in enumerate(self.others, 1):
            text = other.model_dump_json().encode()
            tensor[rank, : len(text)] += torch.tensor(list(text), dtype=tensor.dtype)


def test_a_group_has_each_kind_of_machine_once():
    own = machine(CPU)
    other = Machine(device="cuda", name="Ω GPU", driver="550.54", cuda="12.8", threads=2)
    assert machines(Group((own, own))) == [own]
    assert sorted(machines(Group((other, own, other))), key=lambda one: one.name) == sorted(
        [own, other], key=lambda one: one.name
    )


@pytest.fixture
def gpu(monkeypatch):
    """Stand in for torch's view of one H100."""
    own = SimpleNamespace(name="NVIDIA H100 80GB HBM3", total_memory=85_520_809_984, major=9, minor=0)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: own)
    monkeypatch.setattr(torch.version, "cuda", "13.0")


def test_a_gpu_is_told_by_model_memory_driver_and_cuda(gpu, monkeypatch, tmp_path):
    version = tmp_path / "version"
    version.write_text("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.159.04  Release Build\n")
    monkeypatch.setattr("mfsweep.run.machine._NVIDIA", version)
    found = machine(torch.device("cuda"))
    assert (found.device, found.name, found.driver, found.cuda) == (
        "cuda",
        "NVIDIA H100 80GB HBM3",
        "580.159.04",
        "13.0",
    )
    assert (found.memory_gib, found.capability) == (79.6, "9.0")


@pytest.mark.parametrize(
    ("said", "driver"), [("echo 580.159.04", "580.159.04"), ("exit 9", None), ("echo No devices", None)]
)
def test_where_the_kernel_is_silent_nvidia_smi_tells_the_driver(gpu, monkeypatch, tmp_path, said, driver):
    tool = tmp_path / "nvidia-smi"
    tool.write_text(f"#!/bin/sh\n{said}\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setattr("mfsweep.run.machine._NVIDIA", tmp_path / "absent")
    assert machine(torch.device("cuda")).driver == driver


def test_without_either_no_driver_is_told(gpu, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("mfsweep.run.machine._NVIDIA", tmp_path / "absent")
    assert machine(torch.device("cuda")).driver is None
