"""The values of a stranger's LMDB as plain data: what could run code is refused, never looked up.

LMDB holds bytes, and every program writes its own: pickles of dictionaries of arrays, or JSON (ASE's LMDB, whose arrays
are `{"__ndarray__": [shape, dtype, numbers]}`), both perhaps compressed by zlib. A pickle names functions, which
unpickling calls; here only NumPy's arrays and numbers, and containers, are made, by functions of this file.
"""

from __future__ import annotations

import io
import json
import pickle
import zlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

LARGEST = 64 * 1024**2
"""Bytes of a value once it is unpacked, at most: a structure of a million atoms has less."""


class PlainError(Exception):
    """Bytes that are no plain data; the text says why and begins in lower case."""


def decode(raw: bytes) -> Mapping[str, Any]:
    """Return the named values that bytes hold.

    Raises:
        PlainError: they are of no form that is read, hold objects, or are damaged.
    """
    content = _unzipped(raw)
    if content.startswith(b"\x80"):
        found = _unpickled(content)
    elif content.lstrip()[:1] == b"{":
        try:
            found = _arrays(json.loads(content))
        except (ValueError, RecursionError, TypeError) as error:
            raise PlainError(f"it is no JSON ({error})") from error
    else:
        raise PlainError(f"expected a pickle of plain arrays, or JSON, got {content[:8]!r}...")
    if not isinstance(found, Mapping) or not all(isinstance(key, str) for key in found):
        raise PlainError(f"expected named values, got a {type(found).__name__}")
    return found


def _unzipped(raw: bytes) -> bytes:
    if raw[:1] != b"\x78" or len(raw) < 2 or (raw[0] * 256 + raw[1]) % 31:  # a header of zlib, RFC 1950
        return raw
    unpack = zlib.decompressobj()
    try:
        content = unpack.decompress(raw, LARGEST)
    except zlib.error as error:
        raise PlainError(f"it is compressed, and damaged ({error})") from error
    if unpack.unconsumed_tail or not unpack.eof:
        raise PlainError(f"it is compressed, and cut short or larger than {LARGEST // 1024**2} MiB")
    return content


def _arrays(found: Any) -> Any:
    """Return JSON with arrays in place of ASE's `__ndarray__`."""
    if isinstance(found, dict) and set(found) == {"__ndarray__"}:
        shape, kind, numbers = found["__ndarray__"]
        return np.array(numbers, np.dtype(str(kind))).reshape(shape)
    if isinstance(found, dict):
        return {key: _arrays(value) for key, value in found.items()}
    return found


class _Kind:
    """Stands for `numpy.dtype` in a pickle: a plain kind of numbers, whose state is looked at and never taken over.

    NumPy takes flags from it that say what is a pointer: a pickle could make it follow any number as one.
    """

    def __init__(self, code: object, *_: object) -> None:
        if not isinstance(code, str):
            raise PlainError("it holds an array of no plain numbers")
        self.dtype = np.dtype(code)
        if self.dtype.kind not in "biufcSU":
            raise PlainError(f"it holds an array of {self.dtype}: only numbers and texts are read")

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, order, *described = state
        if any(part is not None for part in described[:3]):
            raise PlainError("it holds an array of records")
        if order in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(order)


class _Array:
    """Stands for `numpy.ndarray` in a pickle, whose state is bytes of a length that its shape and kind say."""

    array: np.ndarray

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _version, shape, kind, by_column, content = state
        self.array = _made(content, kind, shape, by_column=bool(by_column))


def _made(content: Any, kind: Any, shape: Any, *, by_column: bool) -> np.ndarray:
    if not isinstance(kind, _Kind) or not isinstance(content, bytes | bytearray | memoryview):
        raise PlainError("it holds an array of objects")
    return np.frombuffer(content, kind.dtype).reshape(shape, order="F" if by_column else "C")


def _reconstruct(_class: object, _shape: object, _code: object) -> _Array:
    """Return an array to be: a pickle may ask for any size here, and gets none."""
    return _Array()


def _scalar(kind: Any, content: Any = b"") -> Any:
    return _made(content, kind, (), by_column=False)[()]


def _frombuffer(content: Any, kind: Any, shape: Any, order: Any) -> np.ndarray:
    return _made(content, kind, shape, by_column=order == "F")


_KNOWN: dict[tuple[str, str], Callable[..., Any] | type] = {
    ("collections", "OrderedDict"): dict,
    ("numpy", "dtype"): _Kind,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): lambda text, _encoding: text.encode("latin1"),
    **{
        (f"numpy.{core}.{module}", name): make
        for core in ("core", "_core")
        for module, name, make in (
            ("multiarray", "_reconstruct", _reconstruct),
            ("multiarray", "scalar", _scalar),
            ("numeric", "_frombuffer", _frombuffer),
        )
    },
}
"""Names of a pickle that are known -> functions of this file that stand for them."""


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _KNOWN:
            return _KNOWN[module, name]
        raise PlainError(
            f"it is a pickle that names {module}.{name}, which would run code: only arrays, numbers and texts are "
            "read. Let the program that wrote it write extxyz, or plain arrays"
        )


def _unpickled(content: bytes) -> Any:
    try:
        found = _Unpickler(io.BytesIO(content)).load()
        return {key: _value(value) for key, value in found.items()} if isinstance(found, dict) else found
    except PlainError:
        raise
    except Exception as error:  # pickle raises anything on damaged bytes
        raise PlainError(f"it is a pickle, and damaged ({type(error).__name__}: {error})") from error


def _value(found: Any) -> Any:
    return found.array if isinstance(found, _Array) else found
