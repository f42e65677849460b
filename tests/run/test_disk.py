"""A disk without room, told from other trouble."""

import errno
import os

import pytest

from mfsweep.run import disk


def test_a_disk_with_room_is_not_full_whatever_is_wrong_with_the_folder(tmp_path):
    assert not disk.is_full(tmp_path / "not" / "there")
    assert disk.has_room(tmp_path / "not" / "there")


@pytest.mark.parametrize(
    ("code", "full"), [(errno.ENOSPC, True), (errno.EDQUOT, True), (errno.EIO, False), (errno.EACCES, False)]
)
def test_what_cannot_be_written_for_want_of_room_is_a_full_disk(monkeypatch, tmp_path, code, full):
    def refuse(**_):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(disk.tempfile, "TemporaryFile", refuse)
    assert disk.is_full(tmp_path) is full
    assert disk.has_room(tmp_path) is not full


@pytest.mark.parametrize(
    "first", [OSError(errno.ENOSPC, ""), OSError(os.strerror(errno.EDQUOT)), RuntimeError("database or disk is full")]
)
def test_what_led_to_an_error_tells_of_a_full_disk_too(first):
    error = ValueError("a table cannot be written")
    assert not disk.is_why(error)
    error.__cause__ = first
    assert disk.is_why(error)
