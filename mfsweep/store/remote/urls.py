"""Addresses of stores in object storages, and where their working copies lie."""

from __future__ import annotations

import json
import os
import re
import secrets
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from mfsweep.errors import StoreError, nearest
from mfsweep.files import write_json
from mfsweep.fingerprint import fingerprint

PACKAGES = {"s3": "mfsweep[s3]", "gs": "gcsfs", "gcs": "gcsfs", "az": "adlfs", "abfs": "adlfs", "memory": "fsspec"}
"""Scheme -> what pip installs for it. All put an object in one piece, and if asked only where there is none."""
VARIABLE = "MFSWEEP_CACHE"
"""Names the folder of the working copies."""
ORIGIN = "origin.json"
"""File in a working copy that says of what it is one."""
_ENDPOINTS = "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"
_PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9._=+-]*")


class StoreUrl(NamedTuple):
    """Where a store lies."""

    scheme: str
    path: str
    """Bucket and prefix, without slashes at the ends."""
    endpoint: str | None = None
    """Address of an S3 server that is not Amazon's."""

    def __str__(self) -> str:
        return f"{self.scheme}://{self.path}"


def is_url(where: str) -> bool:
    """Return whether a place is named by a URL, and not by a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", where) is not None


def parsed(text: str) -> StoreUrl:
    """Return the parts of a store's URL.

    Raises:
        StoreError: it is none that a store can have.
    """
    parts = urlsplit(text)
    expected = "expected s3://bucket/prefix"
    if parts.scheme == "file":
        raise StoreError(f"--store {text}: a folder is named by its path: --store {parts.path}")
    if parts.scheme not in PACKAGES:
        known = [scheme for scheme in PACKAGES if scheme != "memory"]
        raise StoreError(
            f"--store {text}: no storage is known by {parts.scheme!r}: {expected}, or one of "
            f"{', '.join(f'{scheme}://' for scheme in known)}.{nearest(parts.scheme, known)}"
        )
    if "@" in parts.netloc:
        raise StoreError(
            f"--store {text}: {expected}, without keys or passwords: they are read where the client of the storage "
            "reads them, for S3 from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE, or ~/.aws"
        )
    names = [name for name in f"{parts.netloc}{parts.path}".split("/") if name]
    wrong = next((name for name in names if not _PART.fullmatch(name)), None)
    if not parts.netloc or parts.query or parts.fragment or wrong is not None:
        got = f", got {wrong!r} in it" if wrong is not None else ""
        raise StoreError(f"--store {text}: {expected} of letters, digits and . _ - = +{got}")
    endpoint = next((os.environ[name] for name in _ENDPOINTS if os.environ.get(name)), None)
    return StoreUrl(parts.scheme, "/".join(names), endpoint if parts.scheme == "s3" else None)


def working_copy(text: str) -> Path:
    """Return the folder of the working copy of a store at a URL, which is made where it is missing.

    Raises:
        StoreError: the URL is none that a store can have, or the folder cannot be made.
    """
    url = parsed(text)
    folder = _copies() / f"{re.sub('[^A-Za-z0-9]+', '-', url.path)[-40:]}-{fingerprint(list(url))[:8]}"
    if not (folder / ORIGIN).exists():
        try:
            write_json(folder / ORIGIN, {"url": str(url), "endpoint": url.endpoint, "id": secrets.token_hex(8)})
        except OSError as error:
            why = (
                f"its working copy {folder} cannot be made: {error.strerror or error}. {VARIABLE} names another folder"
            )
            raise StoreError(f"--store {url}: {why}") from error
    return folder


def origin(folder: Path) -> StoreUrl | None:
    """Return of which store a folder is the working copy, None where it is a store itself.

    Raises:
        StoreError: what says so is damaged.
    """
    try:
        found = json.loads((folder / ORIGIN).read_text(encoding="utf-8"))
        return parsed(str(found["url"]))._replace(endpoint=found["endpoint"])
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{folder / ORIGIN} is damaged ({error}): remove it, and name the store by its URL") from error


def name_of_store(folder: Path) -> str:
    """Return what another machine calls a store: its URL where the folder is a working copy, else the path as it is."""
    return str(origin(folder) or folder)


def identity(folder: Path) -> str:
    """Return what tells a working copy from every other, also from one at the same path in another container."""
    return str(json.loads((folder / ORIGIN).read_text(encoding="utf-8")).get("id"))


def _copies() -> Path:
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser().absolute()
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError as error:  # nobody's home
        raise StoreError(f"there is no home folder for the working copy of the store: {VARIABLE} names one") from error
    return cache / "mfsweep" / "stores"
