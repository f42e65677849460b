from __future__ import annotations

from typing import NamedTuple

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
