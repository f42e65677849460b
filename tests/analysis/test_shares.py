from __future__ import annotations

import pytest

from mfsweep.analysis.records import Records
from mfsweep.analysis.shares import realised


def test_a_mixture_shows_requested_beside_realised_shares(world):
    world.mixtures(alphas=(0.01, 0.99), methods=("dft",), seeds=(0, 1))
    rows = realised(Records(world.store, world.cells), world.cells)
    assert [(one.labels, one.requested, one.trainings) for one in rows] == [
        ("cc", 0.99, 2), ("dft", 0.01, 2), ("cc", pytest.approx(0.01), 2), ("dft", 0.99, 2),
    ]  # fmt: skip
    dft = rows[1]
    assert dft.batches.low == dft.batches.high == pytest.approx(0.01)
    assert dft.structures.low == pytest.approx(24 * 40 / (24 * 40 + 20 * 3960))
    assert dft.atoms.low == pytest.approx(200 * 40 / (200 * 40 + 160 * 3960))
    assert dft.row() == ("joint", "dft; b", "2", "1.0%", "1.0%", "1.2%", "1.2%", "1.5")


def test_a_training_of_one_set_has_no_shares(world):
    world.grid({"dft": 1.35})
    assert realised(Records(world.store, world.cells), world.cells) == []
