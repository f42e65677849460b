"""Where the files of the sources lie, and what their content is.

The sources of one experiment go by their names in `data.sources`; the only one of a `data.source` has an empty name.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from mfsweep.data import dataset
from mfsweep.data.bundles import BUNDLED, bundled
from mfsweep.data.lone import isolated_energies
from mfsweep.data.remembered import Remembered
from mfsweep.errors import DataError, MissingDataError, nearest
from mfsweep.files import facts, sha256
from mfsweep.fingerprint import canonical
from mfsweep.spec.data import INDICES, Content, LabelKeys, ResolvedData


def resolve(source: str, base: Path, name: str = "", place: str | None = None) -> Path:
    """Return the file of one source.

    Args:
        source: `bundled:<name>`, or a path; `~` and `${VARIABLE}` of the environment are expanded.
        base: folder that a relative path starts from (the spec's).
        name: its name in `data.sources`.
        place: where it stands in the spec. Default: as of the name.

    Raises:
        MissingDataError: there is no such file, or no such variable.
        DataError: no such bundled set, or a file that is empty.
    """
    place = place or (f"data.sources.{name}" if name else "data.source")
    if source.startswith(BUNDLED):
        return bundled(source.removeprefix(BUNDLED), place)
    try:
        path = (base / _expanded(source, place)).resolve()
        found = path.exists()
    except (OSError, ValueError, RuntimeError) as error:  # a name too long, a zero byte, the home of nobody
        raise DataError(f"{place}: expected the path of a file, got {source[:80]!r}: {error}") from error
    if not found:
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise MissingDataError(f"{place}: no file {path}.{nearest(path.name, beside)}")
    if not (path.is_file() or path.is_dir()):
        raise DataError(f"{place}: expected a file, got {path}, which is neither a file nor a folder")
    if path.is_file() and path.stat().st_size == 0:
        raise DataError(f"{place}: {path} is empty: the download may have failed, get it again")
    return path


_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")


def variables(source: str) -> list[str]:
    """Return the variables of the environment that a source names."""
    return _VARIABLE.findall(source)


def _expanded(source: str, place: str) -> Path:
    """Return a path as a shell would read it.

    Raises:
        MissingDataError: there is no such variable, or no such user.
    """
    for name in variables(source):
        if not os.environ.get(name):
            near = nearest(name, os.environ)
            raise MissingDataError(f"{place}: {source}: the environment has no variable {name}.{near}")
    text = _VARIABLE.sub(lambda found: os.environ[found[1]], source)
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise MissingDataError(f"{place}: {source}: there is no user {Path(text).parts[0][1:]!r} here") from error


def digest(path: Path, cache: Path | None = None, *, anew: bool = False) -> str:
    """Return the sha256 of a file's content, 64 hex digits.

    Args:
        path: the file.
        cache: JSON file that remembers digests by real path, inode, size and times, so that a file of gigabytes is
            read once; made when missing, replaced when it is damaged, and left when it cannot be written.
        anew: read it, whatever the cache remembers.

    Raises:
        DataError: the file cannot be read.
    """
    found = _remembered(path, cache, sha256, anew=anew)
    assert isinstance(found, str)
    return found


def _remembered(
    path: Path, cache: Path | None, measure: Callable[[Path], str | dict[str, str]], *, anew: bool = False
) -> str | dict[str, str]:
    """Return what `measure` says of a file's content, once for as long as the file stays as it is, or `anew`."""
    try:
        real = path.resolve(strict=True)
        entry = "|".join(map(str, (real, *facts(real))))
        return Remembered(cache).once(entry, lambda: measure(real), anew=anew)
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from error


def contents(
    paths: Mapping[str, Path], cache: Path | None = None, *, anew: bool = False, atoms: bool = False
) -> Content:
    """Return what is in the data files, as digests. Of a data set every array is compared with its own first.

    Args:
        paths: name of the source -> its file; that of a single one is empty.
        cache: as of `digest`.
        atoms: whether to look for isolated atoms.
        anew: read every file, whatever the cache remembers of it.

    Raises:
        DataError: a file cannot be read, or a data set is damaged.
    """
    indices = digest(paths[INDICES], cache, anew=anew) if INDICES in paths else None
    paths = {name: path for name, path in paths.items() if name != INDICES}
    found = {
        name: _remembered(path, cache, dataset.digests if dataset.is_dataset(path) else sha256, anew=anew)
        for name, path in paths.items()
    }
    parts = {name: own for name, own in found.items() if not isinstance(own, str)}
    files = {name: own if isinstance(own, str) else own[""] for name, own in found.items()}
    whole = files[""] if set(files) == {""} else hashlib.sha256(canonical(files).encode()).hexdigest()
    labels = {name: {key: value for key, value in own.items() if key} for name, own in parts.items()}
    isolated = {name: isolated_energies(path) for name, path in paths.items()} if atoms else {}
    return Content(digest=whole, parts=labels, isolated_atoms=isolated, indices=indices)


def verify_data(paths: Mapping[str, Path], data: ResolvedData, cache: Path | None = None) -> None:
    """Check that the data files are those that a stage was planned with.

    Args:
        paths: name of the source -> its file.
        data: of the stage.
        cache: as of `digest`.

    Raises:
        DataError: the content of one is another.
    """
    found = contents(paths, cache)
    places = " and ".join(str(path) for path in paths.values())
    if found.digest != data.digest:
        raise _changed(places, data.digest, found.digest)
    _verify_labels(places, found, data.labels, data.contents)
    column = found.of_column(data.splits.column)
    if column != data.column:
        raise _changed(f"{places}: the column {data.splits.column}", str(data.column), str(column))


def verify_labels(
    paths: Mapping[str, Path], labels: Mapping[str, LabelKeys], expected: Mapping[str, str], cache: Path | None = None
) -> None:
    """Check that labels in data sets are those that an evaluation was planned with.

    Args:
        paths: name of the source -> its file.
        labels: label method -> its keys.
        expected: method -> digest.
        cache: as of `digest`.

    Raises:
        DataError: the content of one is another.
    """
    places = " and ".join(str(path) for path in paths.values())
    _verify_labels(places, contents(paths, cache), {method: labels[method] for method in expected}, expected)


def _verify_labels(
    places: str, found: Content, labels: Mapping[str, LabelKeys], expected: Mapping[str, str] | None
) -> None:
    for method, own in (found.of(labels) or {}).items():
        planned = (expected or {}).get(method, "")
        if own != planned:
            raise _changed(f"{places}: the labels {method}", planned, own)


def verify_file(path: Path, expected: str, cache: Path | None = None) -> None:
    """Check that a file has the sha256 `expected`.

    Raises:
        DataError: its content is another.
    """
    found = digest(path, cache)
    if found != expected:
        raise _changed(str(path), expected, found)


def _changed(place: str, expected: str, found: str) -> DataError:
    return DataError(
        f"{place}: expected the content with digest {expected[:12]}..., which the sweep was planned with, got "
        f"{found[:12]}...: it changed, or this machine has another file at the same path"
    )
