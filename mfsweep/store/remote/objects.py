"""The objects below a prefix of an object storage, by the six calls that a store needs of it.

Two things are asked of the storage: that an object is seen whole or not at all, and that of several who make an object
which must not be there yet one succeeds (a conditional put, `If-None-Match: *`). Whatever goes wrong is an OSError.
"""

from __future__ import annotations

import contextlib
import errno
import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from mfsweep.errors import MfsweepError, StoreError
from mfsweep.masking import masked
from mfsweep.store.remote.urls import PACKAGES, StoreUrl

_THERE_ALREADY = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
"""What S3 answers to a conditional put that another one was quicker than."""
_S3_CLIENT = {"connect_timeout": 10, "read_timeout": 60, "retries": {"mode": "standard", "max_attempts": 3}}
_CREDENTIALS = {
    "s3": "S3 keys are read from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or ~/.aws",
    "memory": "",
}


class Objects(NamedTuple):
    """The objects of a store; names are relative to its prefix. Making one asks nothing of the storage."""

    url: StoreUrl

    def create(self, name: str, content: bytes) -> bool:
        """Put an object that must not be there yet; return whether it was ours."""
        with _as_os_errors():
            try:
                self._system.pipe_file(self._path(name), content, mode="create")
            except FileExistsError:
                pass
            except Exception as error:
                if _code(error) not in _THERE_ALREADY:
                    raise
            else:
                return True
        # A put that was answered too late is put again by the client, and meets itself.
        with contextlib.suppress(FileNotFoundError):
            return self.get(name) == content
        return False

    def put(self, name: str, content: bytes) -> None:
        """Put an object, in place of any that is there."""
        with _as_os_errors():
            self._system.pipe_file(self._path(name), content)

    def put_file(self, name: str, path: Path) -> None:
        """Put a file, in place of any object that is there."""
        with _as_os_errors():
            self._system.put_file(str(path), self._path(name))

    def get(self, name: str) -> bytes:
        """Return an object's content; FileNotFoundError where there is none."""
        with _as_os_errors():
            return self._system.cat_file(self._path(name))

    def get_file(self, name: str, path: Path) -> None:
        """Write an object's content to a file; FileNotFoundError where there is none."""
        with _as_os_errors():
            self._system.get_file(self._path(name), str(path))

    def names(self, prefix: str) -> dict[str, int]:
        """Return the name and bytes of each object whose name begins with `prefix` and a slash; empty: of all."""
        with _as_os_errors():
            found = self._system.find(self._path(prefix).rstrip("/"), detail=True)
        start = len(self.url.path) + 1
        return {name.lstrip("/")[start:]: int(one["size"]) for name, one in found.items()}

    def remove(self, name: str) -> None:
        """Remove an object; one that is gone is no matter."""
        with _as_os_errors(), contextlib.suppress(FileNotFoundError):
            self._system.rm_file(self._path(name))

    def move(self, name: str, to: str) -> None:
        """Give an object another name; FileNotFoundError where there is none."""
        with _as_os_errors():
            self._system.copy(self._path(name), self._path(to))
        self.remove(name)

    @property
    def _system(self) -> Any:
        return file_system(self.url.scheme, self.url.endpoint)

    def _path(self, name: str) -> str:
        return f"{self.url.path}/{name}"


@functools.cache
def file_system(scheme: str, endpoint: str | None) -> Any:
    """Return the client of a storage.

    Raises:
        StoreError: its package is not installed.
    """
    import fsspec

    options: dict[str, Any] = {"use_listings_cache": False}
    if scheme == "s3":
        options |= {"endpoint_url": endpoint, "config_kwargs": _S3_CLIENT}
    try:
        return fsspec.filesystem(scheme, **options)
    except ImportError as error:
        raise StoreError(
            f"--store {scheme}://...: the package of this storage is not installed ({error}): "
            f'pip install "{PACKAGES[scheme]}"'
        ) from error


@contextlib.contextmanager
def _as_os_errors() -> Iterator[None]:
    """Raise what a storage's client raises as an OSError."""
    try:
        yield
    except (OSError, MfsweepError):
        raise
    except Exception as error:
        raise OSError(errno.EIO, masked(str(error) or type(error).__name__)) from error


@contextlib.contextmanager
def in_sentences(url: StoreUrl) -> Iterator[None]:
    """Say to a person what went wrong with a storage.

    Raises:
        StoreError: in place of every OSError of the storage.
    """
    try:
        yield
    except FileNotFoundError as error:
        bucket = url.path.partition("/")[0]
        if _code(error) in ("NoSuchBucket", "404"):
            raise StoreError(f"--store {url}: there is no bucket {bucket!r}{_at(url)}: make it first") from error
        raise StoreError(f"--store {url}: {error}") from error
    except PermissionError as error:
        why = f"access is denied ({_said(error)})"
        raise StoreError(f"--store {url}: {why}. {_CREDENTIALS.get(url.scheme, '')}".rstrip(". ")) from error
    except OSError as error:
        if "credentials" in str(error).lower():
            why = f"no credentials ({_said(error)})"
            raise StoreError(f"--store {url}: {why}. {_CREDENTIALS.get(url.scheme, '')}".rstrip(". ")) from error
        raise StoreError(f"--store {url}: the storage{_at(url)} cannot be used: {_said(error)}") from error


def _at(url: StoreUrl) -> str:
    return f" at {url.endpoint}" if url.endpoint else ""


def _said(error: OSError) -> str:
    return masked(str(error.strerror or error))


def _code(error: BaseException) -> str:
    """Return the code of an answer of S3, empty for everything else."""
    for one in (error, error.__cause__):
        response = getattr(one, "response", None)
        if isinstance(response, dict):
            return str(response.get("Error", {}).get("Code", ""))
    return ""
