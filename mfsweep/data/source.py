"""Where the files of the sources lie, and what their content is.

The sources of one experiment go by their names in `data.sources`; the only one of a `data.source` has an empty name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from mfsweep.errors import DataError, MissingDataError, nearest
from mfsweep.files import write_text
from mfsweep.fingerprint import canonical

BUNDLED = "bundled:"
"""Prefix of the data sets that come with the package."""


def resolve(source: str, base: Path, name: str = "") -> Path:
    """Return the file of one source.

    Args:
        source: `bundled:<name>`, or a path.
        base: folder that a relative path starts from (the spec's).
        name: its name in `data.sources`.

    Raises:
        MissingDataError: there is no such file.
        DataError: no such bundled set, or a file that is empty or no file.
    """
    place = f"data.sources.{name}" if name else "data.source"
    if source.startswith(BUNDLED):
        return _bundled(source.removeprefix(BUNDLED), place)
    path = (base / Path(source).expanduser()).resolve()
    if not path.exists():
        beside = [entry.name for entry in path.parent.glob("*.h5")] if path.parent.is_dir() else []
        raise MissingDataError(f"{place}: no file {path}.{nearest(path.name, beside)}")
    if not path.is_file():
        raise DataError(f"{place}: expected an HDF5 file, got {path}, which is not a file")
    if path.stat().st_size == 0:
        raise DataError(f"{place}: {path} is empty: the download may have failed, get it again")
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


def combined(digests: Mapping[str, str]) -> str:
    """Return the digest of several sources together, 64 hex digits.

    Args:
        digests: name -> digest of its content; that of the only one of a `data.source` is returned as it is.
    """
    if set(digests) == {""}:
        return digests[""]
    return hashlib.sha256(canonical(dict(digests)).encode()).hexdigest()


def verify(paths: Mapping[str, Path], expected: str, cache: Path | None = None) -> None:
    """Check that the files are those that a stage was planned with.

    Args:
        paths: name of the source -> its file.
        expected: `combined` of their digests.
        cache: as of `digest`.

    Raises:
        DataError: the content of one is another.
    """
    found = {name: digest(path, cache) for name, path in paths.items()}
    if combined(found) != expected:
        places = " and ".join(str(path) for path in paths.values())
        content = ", ".join(f"{own[:12]}..." for own in found.values())
        raise DataError(
            f"{places}: expected the content with digest {expected[:12]}..., which the sweep was planned with, got "
            f"{combined(found)[:12]}... (sha256 {content}): it changed, or this machine has another file at the same "
            "path"
        )


def _bundled(name: str, place: str) -> Path:
    folder = Path(str(resources.files("mfsweep.data") / "bundled"))
    path = folder / f"{name}.h5"
    if not path.is_file():
        known = sorted(entry.stem for entry in folder.glob("*.h5"))
        raise DataError(f"{place}: no bundled data set {name!r}.{nearest(name, known)} There are: {', '.join(known)}")
    return path


def _known(cache: Path | None) -> dict[str, str]:
    if cache is None or not cache.is_file():
        return {}
    try:
        known = json.loads(cache.read_text(encoding="utf-8"))
    except ValueError:  # a cache only saves time: what is not JSON is written anew
        return {}
    return known if isinstance(known, dict) else {}
