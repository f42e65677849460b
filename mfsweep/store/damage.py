"""Files of a store that are not what they should be: found out, and named. Nothing is written here.

A record that is cut short, no UTF-8 or of another form, and weights that are not those of the record: what is damaged
hides itself, never the rest of the store. Whoever reads says so and goes on without; whoever runs sets it aside and
makes it again (files.set_aside).

A record of a later version is not damaged: whoever shares the store with a newer mfsweep must not train over what that
one has recorded. It hides itself too, and to run its stage is an error that says so.
"""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from mfsweep.files import sha256
from mfsweep.records import RECORD_SCHEMA
from mfsweep.spec.wording import problems

_PlainT = TypeVar("_PlainT", bound=BaseModel)
_SHOWN = 40
"""Characters of a value that a message shows."""


class Damage(NamedTuple):
    """What is wrong with a file."""

    path: Path
    why: str
    """What follows its name."""
    whole: bool = False
    """Whether the file itself may well be right: then it stays where it is, and what it stands for cannot be made."""

    def __str__(self) -> str:
        return f"{self.path} {self.why}"


def read(path: Path, kind: type[_PlainT]) -> _PlainT | Damage | None:
    """Return a record, what is wrong with its file, or None where there is none."""
    found = read_json(path)
    return found if found is None or isinstance(found, Damage) else _validated(path, found, kind)


def read_list(path: Path, kind: type[_PlainT]) -> list[_PlainT] | Damage | None:
    """Return the records of a file that holds a list of them, what is wrong with it, or None where there is none."""
    found = read_json(path)
    if found is None or isinstance(found, Damage):
        return found
    if not isinstance(found, list):
        return _damaged(path, f"expected a list, got {type(found).__name__}")
    records = []
    for value in found:
        record = _validated(path, value, kind)
        if isinstance(record, Damage):
            return record
        records.append(record)
    return records


def read_json(path: Path) -> Any:
    """Return plain data, what is wrong with its file, or None where there is none."""
    try:
        raw = path.read_bytes()
        found = json.loads(raw.decode("utf-8"), parse_constant=_not_finite)
        if b"\\u" in raw:  # half of a character, which can be neither shown nor written
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except FileNotFoundError:
        return None
    except OSError as error:
        return _unread(path, error)
    except ValueError as error:  # no UTF-8, no JSON, or a number that JSON does not have
        return _damaged(path, str(error))
    except RecursionError:
        return _damaged(path, "nested too deep")
    return _damaged(path, "null") if found is None else found


def of_weights(path: Path, expected: str | None, *, whole: bool = True) -> Damage | None:
    """Return what is wrong with a checkpoint file, or None.

    Args:
        path: the file.
        expected: its sha256, as the record has it; None, in records of before it was kept: the checksums in the file
            have to do.
        whole: whether to read all of it; else only whether it is there and has its end.
    """
    try:
        if not path.is_file():
            return Damage(path, "is missing" if not path.exists() else "is damaged (no file)")
        if not whole:
            return None if zipfile.is_zipfile(path) else _damaged(path, "cut short")
        if expected is not None:
            found = sha256(path)
            return None if found == expected else _damaged(path, f"sha256 {found[:12]}..., recorded {expected[:12]}...")
        with zipfile.ZipFile(path) as archive:
            wrong = archive.testzip()
        return None if wrong is None else _damaged(path, f"{wrong} does not have its checksum")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError) as error:
        return _damaged(path, str(error))
    except OSError as error:
        return _unread(path, error)


def _damaged(path: Path, why: str) -> Damage:
    return Damage(path, f"is damaged ({why})")


def _unread(path: Path, error: OSError) -> Damage:
    reason = error.strerror or str(error)
    if isinstance(error, (IsADirectoryError, NotADirectoryError)):
        return _damaged(path, reason)
    return Damage(path, f"cannot be read ({reason})", whole=True)


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _validated(path: Path, found: Any, kind: type[_PlainT]) -> _PlainT | Damage:
    schema = found.get("schema_number") if isinstance(found, dict) else None
    if isinstance(schema, int) and schema > RECORD_SCHEMA:
        why = f"is of a later version of mfsweep (schema {schema}, this one knows {RECORD_SCHEMA}): install that one"
        return Damage(path, why, whole=True)
    if not isinstance(found, dict):
        return _damaged(path, "expected named values, got something else")
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        return _damaged(path, _said(error, kind, found))


def _said(error: ValidationError, kind: type[BaseModel], found: Any) -> str:
    """Return the first thing that is wrong with plain data, in the words in which errors of specs are told."""
    first = problems(error.errors(), kind, found)[0]
    place = ".".join(map(str, first.place))
    got = "" if first.kind == "missing" or first.got is None else f", got {str(first.got)[:_SHOWN]!r}"
    return f"{f'{place}: ' if place else ''}expected {first.expected}{got}"
