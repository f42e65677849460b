"""Files of strangers: read as data or refused, never run, never silently other numbers."""

from __future__ import annotations

import io
import pickle
import random
import tarfile
import warnings
import zipfile
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.errors import TrainingError
from mfsweep.models import outside
from mfsweep.models.archive import ArchiveError, load_inert, load_plain
from mfsweep.train.checkpoint import load, load_weights

CONTENT = {"step": 3, "values": torch.arange(40.0), "names": ["a", "b"]}
DOORS = {"plain": load_plain, "inert": load_inert}
READERS = {"a model file": outside.read, "last.pt": load, "selected.pt": load_weights}


def saved(content, **how) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, **how)
    return file.getvalue()


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


class Marks(torch.nn.Module):
    """As TorchScript it writes a file when torch.jit.load reads it."""

    def __init__(self, place):
        super().__init__()
        self.place = place
        self.values = torch.zeros(2)

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        return values + self.values

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, str, bool]:
        return self.values, self.place, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str, bool]) -> None:
        self.values = state[0]
        self.place = state[1]
        self.training = state[2]
        torch.save(self.values, self.place)


def torchscript(folder) -> bytes:
    mark, file = folder / "ran", io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(Marks(str(mark))), file)
        torch.jit.load(io.BytesIO(file.getvalue()))
    mark.unlink()  # so reading it the usual way runs its code
    return file.getvalue()


def renamed(content: bytes, old: str, new: str) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(made, "w") as copy:
        for member in archive.infolist():
            copy.writestr(member.filename.replace(old, new), archive.read(member))
    return made.getvalue()


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
def test_no_program_runs_whatever_reads_it(tmp_path, reader):
    """TorchScript above all: torch.load hands it to torch.jit.load, which runs its __setstate__."""
    script, mark = torchscript(tmp_path), tmp_path / "ran"
    programs = {
        "script": script,
        "renamed": renamed(script, "archive/", "another/"),
        "pickle": saved({"state": Harmful(mark)}, pickle_module=pickle),
        "old": saved({"state": Harmful(mark)}, pickle_module=pickle, _use_new_zipfile_serialization=False),
    }
    for name, content in programs.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(TrainingError, match=str(path)):
            reader(path)
        assert not mark.exists(), name
    for name in ("script", "renamed"):
        with pytest.raises(TrainingError, match=r"is a TorchScript archive.*not opened"):
            reader(tmp_path / name)


def test_a_program_behind_another_archive_is_not_reached(tmp_path):
    """Two lists of members in one file, of which readers may take one or the other."""
    script, plain = torchscript(tmp_path), saved(CONTENT)
    for content in (script + plain, plain + script):
        for door in DOORS.values():
            try:
                found = door(content)
            except ArchiveError:
                continue
            assert found["values"].equal(CONTENT["values"])
    assert not (tmp_path / "ran").exists()


def test_tar_files_are_not_unpacked(tmp_path):
    """The format of torch before 0.1.10: its members would be written to disk."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for name in ("\x80", "storages", "tensors", "pickle"):
            tar.addfile(tarfile.TarInfo(name), io.BytesIO())
    for door in DOORS.values():
        with pytest.raises(ArchiveError, match=r"expected a file that torch\.save wrote"):
            door(file.getvalue())


def test_compressed_members_are_refused_before_they_are_read():
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(ArchiveError, match="its members are compressed, or overlap"):
        load_plain(made.getvalue())


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_a_changed_byte_is_refused_or_changes_nothing(door, data):
    content = bytearray(saved(CONTENT))
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= 1 << data.draw(st.integers(0, 7))
    _same_or_refused(door, bytes(content))


def test_one_bit_of_any_byte_is_refused_or_changes_nothing():
    """Each byte of a small file in turn: headers and lists of members are most of it."""
    whole, chance = saved({"step": 3, "values": torch.arange(4.0)}), random.Random(0)
    for place in range(len(whole)):
        content = bytearray(whole)
        content[place] ^= 1 << chance.randrange(8)
        try:
            found = load_plain(bytes(content))
        except ArchiveError:
            continue
        assert found["step"] == 3
        assert found["values"].equal(torch.arange(4.0))


@pytest.mark.parametrize("door", DOORS.values(), ids=DOORS)
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_a_file_cut_short_is_refused(door, data):
    content = saved(CONTENT)
    with pytest.raises(ArchiveError, match=r"expected a file that torch\.save wrote"):
        door(content[: data.draw(st.integers(0, len(content) - 1))])


def _same_or_refused(door, content: bytes) -> None:
    try:
        found = door(content)
    except ArchiveError:
        return
    assert found["step"] == CONTENT["step"]
    assert found["names"] == CONTENT["names"]
    assert found["values"].equal(CONTENT["values"])


def test_files_of_an_older_torch_are_read_as_data():
    content = saved(CONTENT, _use_new_zipfile_serialization=False)
    assert load_inert(content)["values"].equal(CONTENT["values"])


def test_a_model_file_of_ours_with_other_values_is_one_clear_error(tmp_path):
    fields = ("model", "precision", "heads", "elements", "avg_num_neighbors", "offsets", "state")
    torch.save(dict.fromkeys(fields, 3), tmp_path / "odd.pt")
    with pytest.raises(TrainingError, match=r"odd\.pt holds a model that this version"):
        outside.read(tmp_path / "odd.pt")
