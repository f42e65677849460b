"""A run until a condition, on a real local Ray: it trains a part of the grid, and the next one goes on from there."""

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from mfsweep.cli.main import cli
from mfsweep.prepare import prepare
from mfsweep.sweep.sweep import Sweep

AXES = "axes:\n  pretrain_size: [0, 20, 40]\n  finetune_size: [20, 60]\n"
# Steps that grow with the structures, so that the error of some steps of training follows them.
GROWN = (
    "axes:\n  pretrain: {small: {size: 10, steps: 2}, middle: {size: 30, steps: 10}, large: {size: 90, steps: 50}}\n"
    "  seed: [0, 1, 2, 3, 4]\n"
)
SPEC = (
    (AXES, GROWN),
    ('size: "${pretrain_size}"}]\n    max_steps: 4', 'size: "${pretrain.size}"}]\n    max_steps: "${pretrain.steps}"'),
    ('size: "${finetune_size}"', "size: 20"),
    (", group_by: [finetune_size]", ""),
)
CONDITION = "transfer.gradient.half_width < 1000.000000"


@pytest.mark.slow
@pytest.mark.cluster
def test_a_run_goes_in_rounds_and_the_next_one_from_its_records(ray_cluster, write_spec, tmp_path):
    path = write_spec(*SPEC)

    def run():
        console = Console(record=True, width=200, file=io.StringIO())
        sweep = Sweep(path, tmp_path / "store", resources={"cpus_per_worker": 2})
        return sweep.run(console, until=CONDITION), console.export_text()

    first, said = run()
    assert (first.failed, first.exit_code) == (0, 0)
    assert first.run >= 12, "three sizes in two seeds or more"
    # Trainings of some steps need not make a law: then no part of the grid is enough.
    assert first.until.met or first.run == 30
    assert "round 1 until transfer.gradient.half_width < 1000.000000: no interval yet; 6 cells for " in said
    assert said.splitlines()[-1].startswith(f"--until {first.until.outcome[:40]}")
    plan = prepare(path, tmp_path / "store")
    assert len(plan.done) == first.run
    assert len(plan.graph.nodes) == 30

    again, _ = run()
    assert (again.run, again.reused) == (0, first.run), "nothing more is chosen"
    assert (again.until.met, again.until.outcome) == (first.until.met, first.until.outcome)

    shown = CliRunner().invoke(cli, ["fit", str(path), "--store", str(tmp_path / "store")])
    assert "--until" in shown.output, "what is fitted later says that its cells were chosen"
