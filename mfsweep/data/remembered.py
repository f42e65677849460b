"""A file that remembers what was found out once, by what it was found out of; it only saves time."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mfsweep.files import write_text
from mfsweep.fingerprint import canonical


class Remembered:
    """A JSON file of texts and lists of texts; without a path nothing is remembered.

    What is wrong in it would be believed: so the file has a digest of its own, and is empty where that does not fit.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path

    def once(self, key: str, find_out: Callable[[], Any], *, anew: bool = False) -> Any:
        """Return what `find_out` gives, which is asked where nothing is known under `key`, or `anew`."""
        known = self._known()
        if key in known and not anew:
            return known[key]
        found = find_out()
        if self._path is not None:
            self._keep({**self._known(), key: found})
        return found

    def _known(self) -> dict[str, Any]:
        if self._path is None:
            return {}
        try:
            kept = json.loads(self._path.read_bytes())
            return kept["known"] if _digest(kept["known"]) == kept["sha256"] else {}
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}

    def _keep(self, known: Mapping[str, Any]) -> None:
        assert self._path is not None, "asked for where there is a file"
        with contextlib.suppress(OSError):
            write_text(self._path, json.dumps({"sha256": _digest(known), "known": known}, indent=1, sort_keys=True))


def _digest(known: Mapping[str, Any]) -> str:
    return hashlib.sha256(canonical(dict(known)).encode()).hexdigest()
