"""The metrics file: what is written comes back, and what is damaged costs no more than itself."""

from __future__ import annotations

import gzip
import json
import os
from pathlib import Path

import pytest
from garbage import garbage, interleaved
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.metrics_file import MetricsLine, append, cut, entries, line, pack, packed, parse

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
KEYS = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9_-]+)*", fullmatch=True)


def steps(path):
    return [entry.step for entry in entries(path)]


@settings(deadline=None)
@given(step=st.integers(0, 2**40), metrics=st.dictionaries(KEYS, NUMBERS, max_size=4), time=st.integers(0, 10**12))
def test_a_line_comes_back_as_it_was(step, metrics, time):
    written = line(step, metrics, time / 1000)
    assert parse(written.encode() + b"\n") == MetricsLine(time / 1000, step, metrics)
    assert parse(written.encode()) is None, "its end may still come"


@settings(deadline=None)
@given(garbage())
def test_what_is_no_line_says_nothing(damage):
    assert parse(damage) is None


def test_lines_after_the_step_are_cut_and_those_before_stay_in_place(tmp_path):
    path = tmp_path / "stage" / "metrics.jsonl"
    append(path, [line(step, {"train.loss": 1 / step}, 1.0) for step in (1, 2, 2, 3, 4)])
    before = path.read_bytes()
    cut(path, 2)
    assert steps(path) == [1, 2, 2]
    assert before.startswith(path.read_bytes())


def test_a_training_without_a_checkpoint_begins_an_empty_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    cut(path, 0)
    assert not path.exists()
    append(path, [line(1, {}, 1.0)])
    cut(path, 0)
    assert path.read_text() == ""


@settings(deadline=None)
@given(
    places=st.lists(st.tuples(st.integers(0, 6), garbage()), max_size=8),
    tail=st.sampled_from([b"", b'{"t": 1.0, "st', b"\0" * 4096, b"\xff"]),
    step=st.integers(0, 6),
)
def test_garbage_costs_its_line_and_not_the_rest(tmp_path_factory, places, tail, step):
    """A killed writer, a machine that stopped, a damaged disk: in the middle and at the end."""
    path = tmp_path_factory.mktemp("stage") / "metrics.jsonl"
    lines = [line(number, {"train.loss": 0.5}, 1.0).encode() + b"\n" for number in range(1, 7)]
    path.write_bytes(b"".join(interleaved(lines, places)) + tail)
    assert steps(path) == [1, 2, 3, 4, 5, 6]
    cut(path, step)
    assert steps(path) == [1, 2, 3, 4, 5, 6][:step]
    append(path, [line(number, {}, 2.0) for number in range(step + 1, 9)])
    assert steps(path) == list(range(1, 9))


@pytest.fixture
def stage(tmp_path):
    """Make the plain file of a stage of 300 steps."""
    path = tmp_path / "metrics.jsonl"
    append(path, [line(step, {"train.loss": 1 / step}, step / 3) for step in range(1, 301)])
    return path


def test_a_finished_stages_file_is_compressed_without_loss(stage, tmp_path):
    before, read = stage.read_bytes(), list(entries(stage))
    pack(stage)
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.jsonl.gz"]
    assert gzip.decompress(packed(stage).read_bytes()) == before
    assert list(entries(stage)) == read
    first = packed(stage).read_bytes()
    pack(stage)
    assert packed(stage).read_bytes() == first, "done is done"
    stage.write_bytes(before)
    os.utime(stage, (0, 0))
    pack(stage)
    assert packed(stage).read_bytes() == first, "the same bytes at any time"


@pytest.mark.parametrize("point", ["replace", "unlink"], ids=["before the rename", "before the plain file goes"])
def test_a_kill_while_it_is_compressed_loses_nothing(stage, tmp_path, monkeypatch, point):
    read = list(entries(stage))
    with monkeypatch.context() as patch:
        patch.setattr(Path, point, killed)
        with pytest.raises(KeyboardInterrupt):
            pack(stage)
    assert list(entries(stage)) == read
    pack(stage)
    assert list(entries(stage)) == read
    assert not stage.exists()


@settings(deadline=None)
@given(
    there=st.tuples(st.integers(1, 3), st.integers(1, 9)),
    added=st.tuples(st.integers(1, 9), st.integers(1, 12)),
    has_validations=st.booleans(),
)
def test_what_reaches_further_stays(tmp_path_factory, there, added, has_validations):
    """A run that had lost the stage adds lines to a file that the other has compressed: they begin a new one."""
    path = tmp_path_factory.mktemp("stage") / "metrics.jsonl"
    lines = {step: line(step, {"train.loss": 1 / step}, 1.0) for step in range(1, 13)}
    curve = [lines[step] for step in range(there[0], there[1] + 1) for _ in range(1 + has_validations)]
    fragment = [lines[step] for step in range(added[0], added[1] + 1)]
    append(path, curve)
    pack(path)
    append(path, fragment)
    pack(path)
    assert not path.exists()
    took_its_place = len(fragment) >= len(curve) and (not curve or added[1] >= there[1])
    assert gzip.decompress(packed(path).read_bytes()).decode().splitlines() == (fragment if took_its_place else curve)


def test_a_compressed_file_that_is_damaged_gives_way_to_the_plain_one(stage):
    plain = stage.read_bytes()
    pack(stage)
    packed(stage).write_bytes(packed(stage).read_bytes()[:-1])
    stage.write_bytes(plain)
    pack(stage)
    assert gzip.decompress(packed(stage).read_bytes()) == plain


def killed(*_, **__):
    raise KeyboardInterrupt


def test_a_stage_that_is_trained_again_goes_on_with_a_plain_file(stage):
    """Its record was removed by hand: from a checkpoint that is still there, or from the start."""
    pack(stage)
    cut(stage, 200)
    assert steps(stage) == list(range(1, 201))
    assert not packed(stage).exists()
    pack(stage)
    cut(stage, 0)
    assert stage.read_bytes() == b""
    assert not packed(stage).exists()


def test_what_was_packed_before_gives_way_to_a_training_that_goes_on(stage):
    plain = stage.read_bytes()
    pack(stage)
    stage.write_bytes(plain[: len(plain) // 2])
    cut(stage, 10)
    assert steps(stage) == list(range(1, 11))
    assert not packed(stage).exists()


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("damage", ["cut", "flipped bit"])
def test_a_damaged_compressed_file_is_read_as_far_as_it_goes(tmp_path, caplog, share, damage):
    path = tmp_path / "metrics.jsonl"
    append(path, [line(step, {"train.loss": 1 / step}, step / 3) for step in range(1, 3001)])
    pack(path)
    content = bytearray(packed(path).read_bytes())
    place = int(share * len(content))
    if damage == "cut":
        del content[max(place, 1) :]
    else:
        content[place] ^= 1
    packed(path).write_bytes(content)
    found = steps(path)
    before = int(share * 3000) - 1000  # what the reader had in hand when it met the damage may go with it
    assert found[: max(before, 0)] == list(range(1, before + 1))
    assert f"{packed(path)} is damaged" in caplog.text


def test_lines_are_on_disk_when_append_returns(tmp_path, monkeypatch):
    path, flushed = tmp_path / "metrics.jsonl", []
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append(path.read_text()))
    append(path, [line(1, {}, 1.0)])
    assert flushed == [line(1, {}, 1.0) + "\n"]


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_none_is_not_written(number):
    with pytest.raises(ValueError, match="JSON"):
        line(1, {"train.loss": number}, 1.0)
    assert parse(json.dumps({"t": 1.0, "step": 1, "metrics": {"a": number}}).encode() + b"\n") is None
