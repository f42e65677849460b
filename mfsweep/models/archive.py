"""The one door to torch.load: every file that somebody else may have written is read here, and never as a program.

`torch.load` runs code in two ways. A pickle names functions, which unpickling calls; so a file is read as plain data
(`weights_only=True`), or with inert stand-ins for all that it names (`pickled`). And a zip archive with a member
`constants.pkl` is TorchScript, which torch.load hands to `torch.jit.load` whatever it was told; that runs what the
archive says of `__setstate__`. Nor does torch compare the checksums of an archive's members.

So torch never sees the file. The archive is taken apart here by Python's zipfile, with all checksums compared, and
torch is given one that was put together again of these members: the two readers cannot disagree on what is in it.
"""

from __future__ import annotations

import io
import pickle
import warnings
import zipfile
from typing import Any

import torch

from mfsweep.models import pickled

_ZIP = b"PK\x03\x04"
_PICKLE = b"\x80"
"""How a file of torch.save begins that is no zip archive, as before torch 1.6."""
_PROGRAM = "constants.pkl"
"""By a member of this name torch tells TorchScript from what torch.save wrote."""


class ArchiveError(Exception):
    """A file that is refused, or that cannot be read; the text says why and begins in lower case."""


def load_plain(content: bytes) -> Any:
    """Return the plain data and tensors that torch.save wrote, on the CPU.

    Args:
        content: of the whole file.

    Raises:
        ArchiveError: it is no zip archive of torch.save, is damaged, or holds anything else.
    """
    if not content.startswith(_ZIP):
        raise ArchiveError("expected a file that torch.save wrote, whole; it does not begin like one")
    return _load(_sound(content), weights_only=True)


def load_inert(content: bytes) -> Any:
    """Return what torch.save wrote, tensors on the CPU and objects of other classes as `pickled.StandIn`.

    Args:
        content: of the whole file; it may be one of torch before 1.6, which has no checksums.

    Raises:
        ArchiveError: it is no file of torch.save, is damaged or a program.
    """
    if content.startswith(_ZIP):
        file = _sound(content)
    elif content.startswith(_PICKLE):
        file = io.BytesIO(content)
    else:
        raise ArchiveError("expected a file that torch.save wrote, whole; it does not begin like one")
    return _load(file, weights_only=False, pickle_module=pickled.INERT)


_UNREADABLE = (
    pickle.UnpicklingError, RuntimeError, EOFError, AttributeError, ImportError, IndexError, KeyError, MemoryError,
    NotImplementedError, OSError, OverflowError, TypeError, ValueError,
)  # fmt: skip
"""What torch's readers raise of a file that is cut short, or that torch.save did not write."""


def _load(file: io.BytesIO, **how: Any) -> Any:
    """Let torch read from memory: of a path it would also take tar files, and safetensors by their name."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's words on formats of older versions, or that it then refuses
            return torch.load(file, map_location="cpu", **how)
    except _UNREADABLE as error:
        raise ArchiveError(f"expected a file that torch.save wrote, whole ({error})") from error


def _sound(content: bytes) -> io.BytesIO:
    """Return an archive of the same members, each of which has its checksum.

    Raises:
        ArchiveError: it is damaged, a program, or none that torch.save writes.
    """
    made = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(made, "w", zipfile.ZIP_STORED) as copy:
            members = archive.infolist()
            _require_plain(members, len(content))
            for member in members:
                copy.writestr(zipfile.ZipInfo(member.filename), archive.read(member))  # reading compares the checksum
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ArchiveError(
            f"expected a file that torch.save wrote, whole; it is damaged or cut short ({error})"
        ) from error
    made.seek(0)
    return made


def _require_plain(members: list[zipfile.ZipInfo], size: int) -> None:
    names = [member.filename for member in members]
    if any(name.rpartition("/")[2] == _PROGRAM for name in names):
        raise ArchiveError(
            "it is a TorchScript archive (torch.jit.save or a compiled model), which is a program: it was not opened. "
            "Expected the model itself, saved by torch.save"
        )
    if len(set(names)) < len(names):
        raise ArchiveError("expected a file that torch.save wrote, whole; two of its members have one name")
    # torch.save never compresses: so no archive can come to more than the file's size.
    if any(member.compress_type != zipfile.ZIP_STORED for member in members) or (
        sum(member.file_size for member in members) > size
    ):
        raise ArchiveError("expected a file that torch.save wrote, whole; its members are compressed, or overlap")
