from __future__ import annotations

import ase.db
import ase.io
import pytest
from ase.build import molecule

from mfsweep.data.importing.frames import kind, read_frames
from mfsweep.errors import DataError


@pytest.fixture
def xyz(tmp_path):
    path = tmp_path / "own.xyz"
    ase.io.write(path, [molecule("H2O"), molecule("CH4")], format="extxyz")
    return path


def test_frames_of_an_xyz_file_are_counted_first(xyz):
    total, frames = read_frames(xyz)
    assert total == 2
    assert [(frame.place, len(frame.atoms)) for frame in frames] == [(f"{xyz}: frame 0", 3), (f"{xyz}: frame 1", 5)]


def test_rows_of_a_database_are_counted_first(tmp_path):
    path = tmp_path / "own.db"
    with ase.db.connect(path) as database:
        database.write(molecule("H2O"))
    total, frames = read_frames(path)
    assert total == 1
    assert [frame.place for frame in frames] == [f"{path}: row 1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text.replace("\n5\n", "\n\n5\n"), r"line 6 is empty, but text goes on \('5\\n.*after 1 frames"),
        (lambda text: text[: text.rindex("H")], "breaks off in frame 1, at line 12: the header in line 6 announces 5"),
        (lambda text: text[:-4], "its last line has no end"),
        (lambda text: text.replace("\n5\n", "\nfive\n"), "frame 1, line 6: invalid literal"),
        (lambda text: text.replace("\n5\n", "\n6\n"), "breaks off in frame 1"),
        (lambda text: text.replace("\n3\n", "\n2\n").replace("3\n", "2\n", 1), "frame 1, line 5: invalid literal"),
        (lambda text: text.replace("H ", "Q ", 1), "frame 0: KeyError: 'Q'"),
        (lambda text: text.replace("0.", "O.", 1), "frame 0: "),
    ],
)
def test_damaged_xyz_is_refused_by_place(xyz, change, message):
    xyz.write_text(change(xyz.read_text()))
    with pytest.raises(DataError, match=message) as caught:
        list(read_frames(xyz)[1])
    assert str(xyz) in str(caught.value)


def test_empty_lines_at_the_end_are_nothing(xyz):
    xyz.write_text(xyz.read_text() + "\n  \n")
    total, frames = read_frames(xyz)
    assert total == len(list(frames)) == 2


@pytest.mark.parametrize("suffix", ["traj", "db", "json"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated_file_is_refused(tmp_path, suffix, share):
    path = tmp_path / f"own.{suffix}"
    ase.io.write(path, [molecule("H2O")] * 20)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(DataError, match="cannot be read as one"):
        list(read_frames(path)[1])


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("own.xyz", b"", "is empty"),
        ("own.db", b"these are words", "cannot be read as one"),
        ("own.xyz", b"\xff\xfe\x00\x01", "cannot be read as one"),
        ("own.pdf", b"%PDF-1.4 something", "cannot be read as one"),
        ("own", b"\x00\x01\x02", "cannot be read as one"),
    ],
)
def test_files_that_ase_does_not_read_are_refused(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        list(read_frames(path)[1])
    assert str(path) in str(caught.value)


def test_missing_files_and_folders_are_refused(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        kind(tmp_path / "absent.xyz")
    with pytest.raises(DataError, match="got a folder"):
        kind(tmp_path)
