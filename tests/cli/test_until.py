"""A run until a condition, on a real local Ray: it trains a part of the grid, and the next one goes on from there."""

import io
import json

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
CONDITION = "transfer.gradient.half_width < {:.6f}"


@pytest.mark.cluster
def test_a_run_ends_early_and_the_next_goes_on_from_its_records(ray_cluster, write_spec, tmp_path):
    path = write_spec(*SPEC)

    def run(target):
        console = Console(record=True, width=200, file=io.StringIO())
        sweep = Sweep(path, tmp_path / "store", resources={"cpus_per_worker": 2})
        return sweep.run(console, until=CONDITION.format(target)), console.export_text()

    first, said = run(1000)
    assert (first.failed, first.exit_code) == (0, 0)
    assert first.until.met
    assert 12 <= first.run < 30, "three sizes in two seeds or more, and not the whole grid"
    assert "round 1 until transfer.gradient.half_width < 1000.000000: no interval yet; 6 cells for " in said
    assert said.splitlines()[-1].startswith(f"--until {first.until.outcome[:40]}")
    plan = prepare(path, tmp_path / "store")
    assert len(plan.done) == first.run
    assert len(plan.graph.nodes) == 30

    again, _ = run(1000)
    assert (again.run, again.reused) == (0, first.run), "nothing more is chosen where it is met already"
    assert again.until.outcome == first.until.outcome

    look = first.until.looks[-1]
    more, said = run(0.9 * (look.high - look.low) / 2)
    assert 0 < more.run <= 30 - first.run
    assert "-> " in said
    assert len(prepare(path, tmp_path / "store").done) == first.run + more.run

    shown = CliRunner().invoke(cli, ["fit", str(path), "--store", str(tmp_path / "store")])
    assert "--until" in shown.output, "what is fitted later says that its cells were chosen"


def test_a_condition_that_cannot_be_is_refused_before_anything_begins(write_spec, tmp_path):
    path, store = write_spec(*SPEC), str(tmp_path / "store")
    cases = {
        (
            "run",
            str(path),
            "--until",
            "transfr.gradient.half_width < 1",
        ): "Did you mean 'transfer.gradient.half_width'?",
        ("plan", str(path), "--until", "transfer.gradient.half_width"): "got no sign",
        ("run", str(path), str(path), "--until", "transfer.gradient.half_width < 1"): "got 2 specs",
        ("run", str(path), "--smoke", "--until", "transfer.gradient.half_width < 1"): "--smoke and --until",
    }
    for arguments, said in cases.items():
        shown = CliRunner().invoke(cli, [*arguments, "--store", store])
        assert said in f"{shown.output}{shown.exception}"
    assert not (tmp_path / "store" / "stages").exists()


def test_a_plan_shows_what_would_be_first(write_spec, tmp_path):
    arguments = ["plan", str(write_spec(*SPEC)), "--store", str(tmp_path / "store"), "--until", CONDITION.format(1)]
    shown = CliRunner().invoke(cli, arguments)
    assert "pretrain=small,middle,large seed=0,1: identify the law" in shown.output
    lines = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).output)["until"]
    assert all(line in shown.output for line in lines)
