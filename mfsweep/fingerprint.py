"""Identity by content: plain data -> canonical JSON -> sha256.

What has no stable identity (an object, a set, a NaN, a path) is refused rather than turned into a string:
a key that changes from run to run trains everything again, and one that hides a difference shares what
it must not.
"""

from __future__ import annotations

import hashlib
import json
import math
from typing import Any

KEY_LENGTH = 20
"""Hex digits kept of a sha256: 80 bits, a collision in 10^9 stages has odds below 10^-6."""


def canonical(value: Any) -> str:
    """Return the one JSON text of `value`: sorted keys, no spaces, floats by shortest repr, 1.0 not 1, no -0.0.

    Raises:
        TypeError: a value that is not made of dict (str keys), list, tuple, str, int, finite float, bool, None.
    """
    return json.dumps(_stable(value, ""), sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def fingerprint(value: Any) -> str:
    """Return the first KEY_LENGTH hex digits of the sha256 of `canonical(value)`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:KEY_LENGTH]


def _stable(value: Any, place: str) -> Any:
    """Return the value with one spelling of zero, or refuse it."""
    if value is None or isinstance(value, bool | str | int):
        if type(value) not in (bool, int, str, type(None)):
            raise TypeError(f"no stable identity for a {type(value).__name__} at {place or 'the top'}")
        return value
    if type(value) is float:
        if not math.isfinite(value):
            raise TypeError(f"no stable identity for {value} at {place or 'the top'}")
        return value + 0.0  # -0.0 becomes 0.0
    if type(value) is dict:
        for key in value:
            if type(key) is not str:
                raise TypeError(f"no stable identity for the key {key!r} at {place or 'the top'}: keys are strings")
        return {key: _stable(item, f"{place}.{key}") for key, item in value.items()}
    if type(value) in (list, tuple):
        return [_stable(item, f"{place}[{index}]") for index, item in enumerate(value)]
    raise TypeError(f"no stable identity for a {type(value).__name__} at {place or 'the top'}")
