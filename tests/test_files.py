from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

import pytest

from mfsweep.files import claimed, locked, set_aside, sha256, write_file, write_hashed, write_text


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "record.json"
    write_text(path, "old")

    def half(temporary):
        temporary.write_text("ne")
        raise RuntimeError("killed here")

    with pytest.raises(RuntimeError):
        write_file(path, half)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_disk_before_the_name_is(tmp_path, monkeypatch):
    path, order = tmp_path / "deep" / "record.json", []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda handle: order.append("flush") or fsync(handle))
    monkeypatch.setattr(Path, "replace", lambda own, to: order.append("rename") or replace(own, to))
    write_text(path, "Å")
    assert order == ["flush", "rename"]
    assert path.read_text(encoding="utf-8") == "Å"


def test_a_writer_sees_the_suffix(tmp_path):
    seen = []
    write_file(tmp_path / "figure.png", lambda temporary: seen.append(temporary) or temporary.write_bytes(b"x"))
    assert seen[0].suffix == ".png"
    assert seen[0].parent == tmp_path


def test_what_is_written_has_the_digest_that_is_returned(tmp_path):
    path = tmp_path / "file"
    assert write_hashed(path, lambda temporary: temporary.write_bytes(b"content")) == sha256(path)
    assert sha256(path) == hashlib.sha256(b"content").hexdigest()


def test_what_is_set_aside_is_kept_under_a_name_of_its_own(tmp_path):
    for number in (1, 2, 3):
        (tmp_path / "last.pt").write_text(str(number))
        assert set_aside(tmp_path / "last.pt") == tmp_path / f"last.pt.damaged-{number}"
    (tmp_path / "folder").mkdir()
    assert set_aside(tmp_path / "folder").is_dir()
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if path.is_file()}
    assert kept == {f"last.pt.damaged-{number}": str(number) for number in (1, 2, 3)}


def test_a_lock_that_somebody_keeps_is_waited_for_no_longer_than_asked(tmp_path):
    with locked(tmp_path / "lock", wait=True):
        began = time.monotonic()
        with locked(tmp_path / "lock", wait=True, patience=0.3) as mine:
            assert not mine
        assert 0.3 <= time.monotonic() - began < 5
    with locked(tmp_path / "lock", wait=True, patience=0.3) as mine:
        assert mine


@pytest.mark.parametrize("umask", [0o002, 0o022, 0o077])
def test_who_may_read_and_write_a_file_is_for_the_umask_to_say(tmp_path, umask):
    before = os.umask(umask)
    try:
        write_text(tmp_path / "file", "text")
        with locked(tmp_path / "lock", wait=True):
            pass
        with claimed(tmp_path / "folder"):
            pass
    finally:
        os.umask(before)
    made = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*") if path.is_file()}
    assert set(made.values()) == {0o666 & ~umask}
    assert len(made) == 3
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o777 & ~umask
