"""What a stage measured is finite, or there is no record of it."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import ValidationError

from mfsweep.records import BestCheckpoint, EvaluationRecord, Record, Share

BEST = BestCheckpoint(metric="validation.loss", step=3, value=1.5, file="checkpoints/selected.pt")
SHARE = Share(
    labels="cc", subset="a", size=4, requested=0.5, batches=2, structures=8, atoms=24, passes=2.0, head="cc"
)  # fmt: skip
RECORD = Record(
    key="k", training={"seed": 0, "data": {"digest": "0", "splits": {"seed": 0}}, "model": {"architecture": "mace"}, "sets": []}, parent=None, started=1.0, seconds=2.0, steps=3, stop_reason="converged",
    selected=BEST, heads={"cc": BEST}, metrics={"validation.loss": 1.5}, offsets={"cc": {"H": -13.6}}, shares=[SHARE],
    parameters=7, workers=1, host="here", versions={"torch": "2"},
)  # fmt: skip
EVALUATION = EvaluationRecord(
    name="test.cc", evaluation={"labels": "cc", "subset": "t", "part": "test"}, metrics={"energy_mae": 1.0},
    offsets_only={"energy_mae": 2.0}, structures=3, predictions="p.npz",
)  # fmt: skip


def floats(value: Any, place: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the places of all numbers with a point."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from floats(item, (*place, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from floats(item, (*place, index))
    elif isinstance(value, float):
        yield place


CASES = [(record, place) for record in (RECORD, EVALUATION) for place in floats(record.model_dump(mode="json"))]


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("record", "place"), CASES, ids=[".".join(map(str, place)) for _, place in CASES])
def test_no_number_of_a_record_can_be_other_than_finite(record, place, number):
    content = copy.deepcopy(record.model_dump(mode="json"))
    at = content
    for step in place[:-1]:
        at = at[step]
    at[place[-1]] = number
    with pytest.raises(ValidationError, match="finite"):
        type(record).model_validate(content)


@pytest.mark.parametrize("number", [10**400, -(10**400), 2**63])
@pytest.mark.parametrize("name", [name for name, field in Record.model_fields.items() if field.annotation is int])
def test_no_whole_number_of_a_record_is_larger_than_can_be_computed_with(name, number):
    with pytest.raises(ValidationError, match=name):
        Record.model_validate(RECORD.model_dump(mode="json") | {name: number})


def test_the_places_are_those_that_measure():
    found = {".".join(map(str, place)) for _, place in CASES}
    assert {"metrics.validation.loss", "metrics.energy_mae", "offsets_only.energy_mae", "offsets.cc.H"} <= found
    assert {"selected.value", "heads.cc.value", "shares.0.passes", "seconds"} <= found


def test_what_a_store_writes_is_what_it_reads(store):
    folder = store.stage("k")
    folder.write_record(RECORD)
    folder.write_evaluation(EVALUATION)
    assert folder.record() == RECORD
    assert folder.evaluation(EVALUATION.evaluation) == EVALUATION


def test_a_number_that_is_not_finite_is_never_written(store):
    folder = store.stage("k")
    broken = EVALUATION.model_copy(update={"metrics": {"energy_mae": math.nan}})
    with pytest.raises(ValueError, match="JSON"):
        folder.write_evaluation(broken)
    assert not list(folder.evaluations.glob("*.json"))
    folder.write_record(RECORD)
    assert json.loads(folder.record_path.read_text())["key"] == "k"
