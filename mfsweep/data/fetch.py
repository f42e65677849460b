"""Fetching published data sets: what breaks off goes on where it stopped, and nothing is taken unverified."""

from __future__ import annotations

import hashlib
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mfsweep.errors import DataError

if TYPE_CHECKING:
    import requests

BLOCK = 1 << 20
"""Bytes at a time."""
TRIES = 4
"""Requests one after another that bring nothing, until we give up."""
TIMEOUT = 60.0
"""Seconds without an answer or a byte."""


@dataclass(frozen=True)
class Published:
    """One file that its authors publish."""

    address: str
    file: str
    """Name to keep it under."""
    bytes: int
    md5: str
    imported: tuple[str, ...]
    """Arguments of `mfsweep data import` after the file: what makes the data set of it."""

    def command(self, path: Path) -> str:
        """Return the command that imports the file."""
        return shlex.join(["mfsweep", "data", "import", str(path), *self.imported])

    def by_hand(self, path: Path) -> str:
        """Return what to do where there is no network."""
        return (
            f"Get it where there is a network: {self.address} ({self.bytes:,} bytes, MD5 {self.md5}), "
            f"put it at {path}, and compare its size and MD5. Then: {self.command(path)}"
        )


PUBLISHED = {
    "ani1ccx": Published(
        address="https://ndownloader.figshare.com/files/18112775",
        file="ani1x-release.h5",
        bytes=5_590_846_027,
        md5="98090dd6679106da861f52bed825ffb7",
        # Under the file's own names, by which the specs of search_spaces/paper ask for them.
        imported=("ani1ccx.h5", "--labels", "ccsd(t)_cbs", "--labels", "wb97x_dz", "--needs", "ccsd(t)_cbs"),
    )
}
"""Data sets by name. ANI-1ccx is the part of the ANI-1x release that has coupled-cluster energies."""


def fetch(
    data: Published,
    target: Path,
    *,
    progress: Callable[[str, int], object] = lambda _what, _done: None,
    pause: float = 2.0,
) -> None:
    """Download a file, or the rest of it, and put it into place when its size and MD5 are right.

    Args:
        data: what to fetch.
        target: where it shall be; until it is whole it is called `target`.part.
        progress: told what is being done and how many bytes are.
        pause: seconds before another try.

    Raises:
        DataError: no network, a server that does not give the file, or other content.
    """
    if target.is_file() and _is_it(data, target, progress):
        return
    if target.exists():
        raise DataError(f"{target} exists and is not the file that was published: remove it, or say --to another file")
    part = target.with_name(f"{target.name}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _download(data, target, part, progress, pause)
        if not _is_it(data, part, progress):
            part.unlink()
            raise DataError(
                f"{data.address}: what came has not the MD5 {data.md5} that was published; it has been removed. "
                "Try again: if it happens twice, the file was changed, or something on the way changes it"
            )
        part.replace(target)
    except OSError as error:
        raise DataError(f"{part} cannot be written: {error.strerror or error}") from error


def _download(data: Published, target: Path, part: Path, progress: Callable[[str, int], object], pause: float) -> None:
    """Append to the part until it has all bytes."""
    idle = best = 0
    while (have := _size(part)) != data.bytes:
        if have > data.bytes:
            part.unlink()
            continue
        why = _request(data, part, have, progress)
        idle = 0 if _size(part) > max(best, have) else idle + 1
        best = max(best, _size(part))
        if idle == TRIES:
            kept = f" {_size(part):,} bytes are kept in {part}: the same command goes on from there." * (
                _size(part) > 0
            )
            raise DataError(f"{data.address} cannot be fetched: {why}.{kept} {data.by_hand(target)}")
        if idle:
            time.sleep(pause)


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _request(data: Published, part: Path, have: int, progress: Callable[[str, int], object]) -> str:
    """Ask for what is missing and append it; return why it is not the whole file, for the case that this stays so."""
    import requests

    # As it is: a compressed body has no ranges of the file.
    headers = {"Accept-Encoding": "identity", **({"Range": f"bytes={have}-"} if have else {})}
    try:
        with requests.get(data.address, headers=headers, stream=True, timeout=TIMEOUT) as answer:
            return _refused(data, answer, have) or _append(data, answer, part, progress)
    except requests.Timeout:
        return f"the server gives nothing for {TIMEOUT:g} seconds"
    except requests.ConnectionError:
        return "the server cannot be reached: there is no network here, or a firewall"
    except requests.RequestException as error:
        return f"the connection fails ({type(error).__name__})"


def _refused(data: Published, answer: requests.Response, have: int) -> str:
    """Return why an answer has nothing for us; an empty text where it has."""
    begin, total = _offered(answer)
    if answer.status_code not in (200, 206) or total == 0:
        return f"the server answers {answer.status_code} {answer.reason}" + " with an empty file" * (total == 0)
    if begin not in (0, have) or total not in (None, data.bytes):
        return f"the server gives another file or part, from byte {begin:,} of {total or 0:,}"
    return ""


def _append(data: Published, answer: requests.Response, part: Path, progress: Callable[[str, int], object]) -> str:
    done, _ = _offered(answer)
    with part.open("r+b" if part.exists() else "wb") as file:
        file.truncate(done)
        file.seek(done)
        for block in answer.iter_content(BLOCK):
            file.write(block)
            done += len(block)
            progress("download", done)
            if done > data.bytes:
                return f"the server gives more than {data.bytes:,} bytes"
    return f"it breaks off after {done:,} bytes"


def _offered(answer: requests.Response) -> tuple[int, int | None]:
    """Return where a body begins in the file, and how many bytes the whole file has, if the server says so."""
    length = answer.headers.get("Content-Length", "")
    if answer.status_code != 206:
        return 0, int(length) if length.isdecimal() else None
    span, _, total = answer.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    begin = span.partition("-")[0]
    return int(begin) if begin.isdecimal() else -1, int(total) if total.isdecimal() else None


def _is_it(data: Published, path: Path, progress: Callable[[str, int], object]) -> bool:
    """Return whether a file has the size and MD5 that were published."""
    if path.stat().st_size != data.bytes:
        return False
    found = hashlib.md5(usedforsecurity=False)
    done = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            found.update(block)
            done += len(block)
            progress("verify", done)
    return found.hexdigest() == data.md5
