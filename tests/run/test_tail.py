"""Reading a metrics file that grows, is cut, and grows again."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from garbage import garbage, interleaved
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.metrics_file import pack, packed
from mfsweep.run.tail import MetricPoint, Tail


def line(step: int, t: float | None = None, **metrics: float) -> str:
    return (
        json.dumps({"t": step if t is None else t, "step": step, "metrics": metrics or {"loss": 1 / (step + 1)}}) + "\n"
    )


def drain(tail: Tail, limit: int = 1000) -> list[MetricPoint]:
    taken = []
    while points := tail.peek(limit):
        tail.take()
        taken += points
    return taken


def test_points_keep_the_trainers_own_time(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line(3, t=12.3456, loss=0.5))
    assert drain(Tail(path, {}, "all")) == [MetricPoint("loss", 0.5, 12346, 3)]


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


@settings(deadline=None)
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


@settings(deadline=None)
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


@settings(deadline=None)
@given(
    looks=st.lists(st.integers(0, 40), max_size=4),
    limit=st.integers(1, 7),
    per_decade=st.sampled_from(["all", 5]),
    data=st.data(),
)
def test_a_stage_that_ends_while_it_is_read_gives_every_step_once(tmp_path_factory, looks, limit, per_decade, data):
    """Its file is compressed between any two looks, one of which may have stopped in the middle."""
    path: Path = tmp_path_factory.mktemp("stage") / "metrics.jsonl"
    path.write_text("".join(line(step, **{"train.loss": 1.0, "validation.loss": 2.0}) for step in range(40)))
    expected = drain(Tail(path, {}, per_decade))
    whole = path.read_bytes()
    tail = Tail(path, {}, per_decade)
    taken = []
    for steps in sorted(looks):
        path.write_bytes(b"".join(whole.splitlines(keepends=True)[:steps]))
        taken += drain(tail, limit)
    path.write_bytes(whole)
    taken += tail.peek(limit)
    if data.draw(st.booleans(), "taken before the end"):
        tail.take()
    else:
        taken = taken[: len(taken) - len(tail.peek(limit))]
    pack(path)
    assert taken + drain(tail, limit) == expected
    assert drain(tail, limit) == []
    known = {point.key: point.step for point in expected}
    assert drain(Tail(path, known, per_decade)) == [], "nothing is new in another sweep"


class PackedMeanwhile(type(Path())):
    """A path of a metrics file that is compressed just before it is opened, or just after."""

    when = ""

    def open(self, *args, **options):
        if self.when == "before":
            pack(Path(self))
            return super().open(*args, **options)
        file = super().open(*args, **options)
        pack(Path(self))
        return file


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_file_compressed_at_the_moment_of_reading_gives_every_step_once(tmp_path, monkeypatch, when):
    monkeypatch.setattr(PackedMeanwhile, "when", when)
    path = PackedMeanwhile(tmp_path / "metrics.jsonl")
    Path(path).write_text("".join(map(line, range(20))))
    tail = Tail(path, {}, "all")
    points = tail.peek(5)
    tail.take()
    assert packed(path).exists()
    assert [point.step for point in points + drain(tail, 3)] == list(range(20))


def test_a_reader_beside_a_writer_that_compresses_sees_every_step_once(tmp_path):
    path = tmp_path / "metrics.jsonl"

    def write():
        for first in range(0, 2000, 50):
            with path.open("a") as file:
                file.writelines(map(line, range(first, first + 50)))
        pack(path)

    writer = threading.Thread(target=write)
    tail, taken = Tail(path, {}, "all"), []
    writer.start()
    while writer.is_alive():
        taken += drain(tail, 20)
    writer.join()
    taken += drain(tail, 20)
    assert [point.step for point in taken] == list(range(2000))
    assert not path.exists()
