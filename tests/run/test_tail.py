"""Reading a metrics file that grows, is cut, and grows again."""

from __future__ import annotations

import json
from pathlib import Path

from garbage import garbage, interleaved
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.run.tail import Point, Tail


def line(step: int, t: float | None = None, **metrics: float) -> str:
    return (
        json.dumps({"t": step if t is None else t, "step": step, "metrics": metrics or {"loss": 1 / (step + 1)}}) + "\n"
    )


def drain(tail: Tail, limit: int = 1000) -> list[Point]:
    taken = []
    while points := tail.peek(limit):
        tail.take()
        taken += points
    return taken


def test_points_keep_the_trainers_own_time(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(3, t=12.3456, loss=0.5))
    assert drain(Tail(path, {}, "all")) == [Point("loss", 0.5, 12346, 3)]


def test_a_file_that_does_not_exist_yet_has_no_points(tmp_path):
    path = tmp_path / "metrics.jsonl"
    tail = Tail(path, {}, "all")
    assert tail.peek(10) == []
    path.write_text(line(0))
    assert len(drain(tail)) == 1


def test_points_that_were_not_taken_come_again_as_they_were(tmp_path):
    """A write that failed half way is repeated with the same times, or it would leave some points twice."""
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(0) + line(1))
    tail = Tail(path, {}, "all")
    points = tail.peek(10)
    assert [point.step for point in points] == [0, 1]
    path.write_text(line(0) + line(1, t=1000) + line(2))  # resumed from a checkpoint meanwhile
    assert tail.peek(10) == points
    tail.take()
    assert [point.step for point in drain(tail)] == [2]


def test_a_line_still_being_written_waits_for_its_end(tmp_path):
    path = tmp_path / "metrics.jsonl"
    whole = line(0)
    path.write_text(whole[:10])
    tail = Tail(path, {}, "all")
    assert drain(tail) == []
    path.write_text(whole)
    assert len(drain(tail)) == 1


@given(places=st.lists(st.tuples(st.integers(0, 6), garbage()), max_size=8), limit=st.integers(1, 7))
def test_garbage_costs_no_other_line(tmp_path_factory, places, limit):
    path: Path = tmp_path_factory.mktemp("stage") / "metrics.jsonl"
    lines = [line(step).encode() for step in range(6)]
    path.write_bytes(b"".join(interleaved(lines, places)))
    assert [point.step for point in drain(Tail(path, {}, "all"), limit)] == list(range(6))


def test_reading_begins_behind_the_steps_known_before(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(1, a=1.0, b=1.0) + line(2, a=2.0) + line(3, a=3.0, b=3.0))
    steps = [(point.key, point.step) for point in drain(Tail(path, {"a": 2}, "all"))]
    assert steps == [("b", 1), ("a", 3), ("b", 3)]


@given(
    first=st.integers(1, 30),
    cut=st.integers(0, 30),
    second=st.integers(1, 30),
    seen=st.integers(0, 30),
    limit=st.integers(1, 7),
)
def test_a_resumed_stage_gives_every_step_once(tmp_path_factory, first, cut, second, seen, limit):
    """Lines after the checkpoint are dropped and written again with other times; the reader looks at any moment."""
    path: Path = tmp_path_factory.mktemp("stage") / "metrics.jsonl"
    cut, seen = min(cut, first), min(seen, first)
    tail = Tail(path, {}, "all")
    path.write_text("".join(line(step, t=step) for step in range(seen)))
    taken = drain(tail, limit)
    path.write_text("".join(line(step, t=step) for step in range(cut)))
    with path.open("a") as file:
        file.writelines(line(step, t=1000 + step) for step in range(cut, cut + second))
    taken += drain(tail, limit)
    assert [point.step for point in taken] == list(range(max(seen, cut + second)))
