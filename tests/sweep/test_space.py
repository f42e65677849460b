"""The bytes that a sweep takes, by estimate."""

import shutil
from types import SimpleNamespace

import pytest
from rich.console import Console

from mfsweep.models.mace import Mace
from mfsweep.plan.space import STATE, space
from mfsweep.prepare import prepare
from mfsweep.sweep.space import warn_of_space


def test_a_stage_of_the_study_takes_what_was_measured_of_one():
    """tests/benchmarks/README.md, one head, 300,000 steps: 23.0 MB stay; 85.6 MB of state and plain metrics before."""
    recipe = SimpleNamespace(max_steps=300_000)
    node = SimpleNamespace(training=SimpleNamespace(model=Mace(), recipe=recipe, head_names=("cc",), heads=None))
    found = space([node], {})
    assert found.kept == pytest.approx(23.0e6, rel=0.1)
    state = STATE * Mace().parameters(4, [(Mace().readout_hidden,)])  # the one before the last
    assert found.largest == pytest.approx(85.6e6 + state, rel=0.1)
    assert space([node], {Mace().key: 10}).kept < found.kept / 2


@pytest.mark.parametrize(("free", "warned"), [(1_000, True), (10**12, False)])
def test_a_run_warns_of_a_disk_that_cannot_hold_it(write_spec, tmp_path, monkeypatch, free, warned):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=free))
    console = Console(record=True, width=400)
    warn_of_space([prepare(write_spec(), tmp_path / "store")], console)
    said = console.export_text()
    assert ("8 stages take about" in said) is warned
    assert bool(said) is warned
