from __future__ import annotations

import json
import os

import pytest

from mfsweep.train.metrics import append, cut, line


def steps(path):
    return [json.loads(text)["step"] for text in path.read_text().splitlines()]


def test_lines_after_the_step_are_cut_and_those_before_stay_in_place(tmp_path):
    path = tmp_path / "stage" / "metrics.jsonl"
    append(path, [line(step, {"train.loss": 1 / step}, 1.0) for step in (1, 2, 2, 3, 4)])
    before = path.read_bytes()
    cut(path, 2)
    assert steps(path) == [1, 2, 2]
    assert before.startswith(path.read_bytes())


def test_a_line_that_a_killed_writer_left_unfinished_is_cut(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append(path, [line(1, {}, 1.0)])
    with path.open("a") as file:
        file.write('{"t": 1.0, "st')
    cut(path, 10)
    assert steps(path) == [1]


def test_a_training_without_a_checkpoint_begins_an_empty_file(tmp_path):
    path = tmp_path / "metrics.jsonl"
    cut(path, 0)
    assert not path.exists()
    append(path, [line(1, {}, 1.0)])
    cut(path, 0)
    assert path.read_text() == ""


@pytest.mark.parametrize(
    "damage",
    [
        b"\0" * 4096,
        b"\0" * 50 + b"\n",
        b'{"t": 1.0, "step": 2, "met\n',
        b"\xff\xfe\n",
        b"3\n",
        b"{}\n",
        b'{"step": "2"}\n',
    ],
    ids=["NUL bytes", "NUL bytes and an end", "half a line", "not text", "a number", "no step", "a step in words"],
)
def test_the_file_ends_at_the_first_line_that_cannot_be_read(tmp_path, damage):
    path = tmp_path / "metrics.jsonl"
    append(path, [line(1, {}, 1.0)])
    with path.open("ab") as file:
        file.write(damage + line(2, {}, 1.0).encode() + b"\n")
    cut(path, 10)
    assert steps(path) == [1]


def test_lines_are_on_disk_when_append_returns(tmp_path, monkeypatch):
    path, flushed = tmp_path / "metrics.jsonl", []
    monkeypatch.setattr(os, "fsync", lambda _: flushed.append(path.read_text()))
    append(path, [line(1, {}, 1.0)])
    assert flushed == [line(1, {}, 1.0) + "\n"]
