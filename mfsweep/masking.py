"""Passwords and tokens in addresses never leave this process: every door of text to the outside masks them.

The doors are errors, logs, the store's copy of a spec, the report and MLflow. What a later command needs a password for
it reads from the user's own spec, from an option or from the environment, never from a copy.
"""

from __future__ import annotations

import re
from urllib.parse import unquote

MASK = "***"
_TELLING = 3
"""Letters from which a part of a password is replaced where it stands alone; fewer would be found in any text."""

_USER = re.compile(
    # `//user:password@`: up to the last @ before a space or a quote, or to the first one where the password has
    # quotes or spaces; the digits of a port are no password. Or `//token@`.
    r"""(?<=://)
        (?: [^\s/@:'"<>]* : (?! \d+ (?: [^\w@.~!$*+=:%-] | $ ) ) (?: [^\s'"<>]* | [^\s@]* | [^\n/@'"<>]* )
        | [^\s/@:'"<>]+ )@""",
    re.VERBOSE,
)
_DATABASE = re.compile(
    # In the address of a database anything may stand before the @, digits and a slash too.
    r"""(?<=[a-z\d]://) (?<! https:// ) (?<! http:// ) [^\s/@:'"<>]* : [^\s'"<>]* @""",
    re.VERBOSE | re.IGNORECASE,
)
_PARAMETER = re.compile(
    r"""( (?:[?&;]|%3[BF]|%26)
          [\w.-]*? (?:pass|pwd|token|secret|credential|signature|odbc_connect|auth|key) [\w.-]* (?:=|%3D) )
        [^\s&;'"\#<>]+""",
    re.VERBOSE | re.IGNORECASE,
)


def masked(text: str, about: str = "") -> str:
    """Return a text with the passwords and tokens of the addresses in it replaced by `***`.

    That is whatever stands before the @ of a host, and the values of parameters that are named like a secret:
    `postgresql://***@host/db?sslmode=require`, `https://host/api?token=***`.

    Args:
        text: of any kind.
        about: an address that the text tells of: parts of its password are replaced also where they stand alone, as
            in the message of a client that took one for a host or a port.
    """
    for part in _parts(about):
        text = text.replace(part, MASK)
    if "://" not in text:  # most texts
        return text
    return _PARAMETER.sub(rf"\1{MASK}", _USER.sub(f"{MASK}@", _DATABASE.sub(f"{MASK}@", text)))


def _parts(uri: str) -> list[str]:
    """Return the password of an address, and what stands between the marks in it, longest first."""
    found = _DATABASE.search(uri) or _USER.search(uri)
    if found is None:
        return []
    user, _, password = found[0].removesuffix("@").partition(":")
    whole = password or user
    parts = {whole, unquote(whole), *re.split(r"[@/?#:\s]+", whole)}
    return sorted((part for part in parts if len(part) >= _TELLING), key=len, reverse=True)


def is_masked(uri: str) -> bool:
    """Return whether an address comes from a masked text, so that nobody can be reached by it."""
    return f"://{MASK}@" in uri or f"={MASK}" in uri
