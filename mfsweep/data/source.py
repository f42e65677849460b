"""Where a source's file lies, and what its content is."""

from __future__ import annotations

import hashlib
import json
from importlib import resources
from pathlib import Path

from mfsweep.errors import DataError, nearest
from mfsweep.files import write_text

BUNDLED = "bundled:"
"""Prefix of the data sets that come with the package."""


def resolve(source: str, base: Path) -> Path:
    """Return the file of a spec's `data.source`.

    Args:
        source: `bundled:<name>`, or a path.
        base: folder that a relative path starts from (the spec's).

    Raises:
        DataError: no such bundled set, or a file that is missing or empty.
    """
    if source.startswith(BUNDLED):
        return _bundled(source.removeprefix(BUNDLED))
    path = (base / Path(source).expanduser()).resolve()
    if not path.exists():
        beside = [entry.name for entry in path.parent.glob("*.h5")] if path.parent.is_dir() else []
        raise DataError(f"data.source: no file {path}.{nearest(path.name, beside)}")
    if not path.is_file():
        raise DataError(f"data.source: expected an HDF5 file, got {path}, which is not a file")
    if path.stat().st_size == 0:
        raise DataError(f"data.source: {path} is empty: the download may have failed, get it again")
    return path


def digest(path: Path, cache: Path | None = None) -> str:
    """Return the sha256 of a file's content, 64 hex digits.

    Args:
        path: the file.
        cache: JSON file that remembers digests by real path, size and modification time, so that a file of
            gigabytes is read once; made when missing, and replaced when it cannot be understood.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        real = path.resolve(strict=True)
        facts = real.stat()
        known = _known(cache)
        entry = f"{real}|{facts.st_size}|{facts.st_mtime_ns}"
        if entry in known:
            return known[entry]
        with real.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
    if cache is not None:
        write_text(cache, json.dumps({**known, entry: found}, indent=1, sort_keys=True))
    return found


def verify(path: Path, expected: str, cache: Path | None = None) -> None:
    """Check that a file is the one that a stage was planned with.

    Raises:
        DataError: its content is another.
    """
    found = digest(path, cache)
    if found != expected:
        raise DataError(
            f"{path}: expected the file with sha256 {expected[:12]}..., which the sweep was planned with, got "
            f"{found[:12]}...: it changed, or this machine has another file at the same path"
        )


def _bundled(name: str) -> Path:
    folder = Path(str(resources.files("mfsweep.data") / "bundled"))
    path = folder / f"{name}.h5"
    if not path.is_file():
        known = sorted(entry.stem for entry in folder.glob("*.h5"))
        raise DataError(
            f"data.source: no bundled data set {name!r}.{nearest(name, known)} There are: {', '.join(known)}"
        )
    return path


def _known(cache: Path | None) -> dict[str, str]:
    if cache is None or not cache.is_file():
        return {}
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except ValueError:  # a cache only saves time: what is not JSON is written anew
        return {}
    return known if isinstance(known, dict) else {}
