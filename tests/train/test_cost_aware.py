"""A training whose batches are packed by their predicted time: nothing else about it is another."""

from __future__ import annotations

import json

import pytest

from mfsweep.spec.batching import CostAwareBatching


@pytest.fixture
def training(tiny):
    own = tiny("both")
    batch = CostAwareBatching(packer="cost_aware", max_atoms=40, max_edges=420, batches_per_step=3)
    return own.but(recipe=own.recipe.but(batch=batch))


def losses(folder):
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line["metrics"]["train.loss"] for line in lines if "train.loss" in line["metrics"]]


def test_it_trains_on_other_batches_and_goes_on_where_it_stopped(run, training, tiny, tmp_path):
    whole = run(training, "whole")
    assert (whole.steps, sum(share.batches for share in whole.shares)) == (6, 18)
    stops = iter([False, True, True])
    assert run(training, "stopped", report=lambda _: next(stops)) is None
    assert run(training, "stopped").metrics == whole.metrics
    assert losses(tmp_path / "stopped") == losses(tmp_path / "whole")
    run(tiny("both"), "worst fit")
    assert losses(tmp_path / "worst fit") != losses(tmp_path / "whole")
