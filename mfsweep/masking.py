"""Passwords and tokens in addresses never leave this process: every door of text to the outside masks them.

The doors are errors, logs, the store's copy of a spec, the report and MLflow. What a later command needs a password for
it reads from the user's own spec, from an option or from the environment, never from a copy.
"""

from __future__ import annotations

import re

MASK = "***"

_USER = re.compile(
    # `//user:password@`: up to the last @ before a space or a quote, or to the first one where the password has
    # quotes; the digits of a port are no password. Or `//token@`.
    r"""(?<=://)
        (?: [^\s/@:'"<>]* : (?! \d+ (?: [^\w@.~!$*+=:%-] | $ ) ) (?: [^\s'"<>]* | [^\s@]* ) | [^\s/@:'"<>]+ )@""",
    re.VERBOSE,
)
_PARAMETER = re.compile(
    r"""( (?:[?&;]|%3[BF]|%26)
          [\w.-]*? (?:pass|pwd|token|secret|credential|signature|odbc_connect|auth|key) [\w.-]* (?:=|%3D) )
        [^\s&;'"\#<>]+""",
    re.VERBOSE | re.IGNORECASE,
)


def masked(text: str) -> str:
    """Return a text with the passwords and tokens of the addresses in it replaced by `***`.

    That is whatever stands before the @ of a host, and the values of parameters that are named like a secret:
    `postgresql://***@host/db?sslmode=require`, `https://host/api?token=***`.
    """
    if "://" not in text:  # most texts
        return text
    return _PARAMETER.sub(rf"\1{MASK}", _USER.sub(f"{MASK}@", text))


def is_masked(uri: str) -> bool:
    """Return whether an address comes from a masked text, so that nobody can be reached by it."""
    return f"://{MASK}@" in uri or f"={MASK}" in uri
