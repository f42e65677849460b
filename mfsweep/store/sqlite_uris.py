"""Addresses of sqlite files, as SQLAlchemy takes them."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote, unquote

_SCHEMES = "sqlite", "sqlite+pysqlite"


def sqlite_uri(path: Path) -> str:
    """Return the address of an sqlite file, whatever letters its path has."""
    if not set("%?") & set(str(path)):
        return f"sqlite:///{path}"
    # SQLAlchemy ends the path at a ? and decodes %20. MLflow makes the parent folder of what it takes for a plain path,
    # and it does that for this scheme's short name only.
    return f"sqlite+pysqlite:///{quote(str(path))}"


def is_relative(uri: str) -> bool:
    """Return whether an address is that of an sqlite file by a relative path: what it names depends on the reader."""
    return bool(path := sqlite_path(uri)) and not Path(path).is_absolute()


def placed(uri: str, folder: Path) -> str:
    """Return an address with the relative path of an sqlite file, if it has one, begun at a folder."""
    if not is_relative(uri):
        return uri
    query = uri.partition("?")[2]
    return sqlite_uri(folder / sqlite_path(uri)) + (f"?{query}" if query else "")


def sqlite_path(uri: str) -> str:
    """Return the path in the address of an sqlite file; empty for another address, and in memory."""
    scheme, _, rest = uri.partition(":///")
    path = unquote(rest.partition("?")[0])
    return path if scheme in _SCHEMES and not path.startswith((":memory:", "file:")) else ""
