"""Lines that do not belong into a metrics file (not a test)."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import strategies as st

WHOLE = json.dumps({"t": 1.5, "step": 3, "metrics": {"train.loss": 0.25, "train.cc.loss": 0.5}})
FIELDS = {
    "t": [None, "1.5", True, [], -1.0, 1e300, float("inf"), 10**400],
    "step": [None, "3", 3.0, True, -1, 2**63, {}],
    "metrics": [
        None,
        [],
        0.5,
        *({"train.loss": value} for value in (None, "0.5", True, [0.5], float("nan"), float("-inf"), 10**400)),
        *({key: 0.5} for key in ("", "..", "not?allowed", "a b", "a/../b", "\ud800")),
    ],
}


def garbage() -> st.SearchStrategy[bytes]:
    """Give a line, with its end, that no writer of ours has finished."""
    changed = [json.loads(WHOLE) | {field: value} for field, values in FIELDS.items() for value in values]
    lacking = [{key: value for key, value in json.loads(WHOLE).items() if key != field} for field in FIELDS]
    half = st.integers(0, len(WHOLE) - 1).map(lambda end: WHOLE[:end].encode())
    other = st.sampled_from(["3", "[]", "{}", "null", '"text"', "[" * 100_000, "9" * 10_000])
    return st.one_of(
        st.binary(max_size=40).filter(lambda text: b"\n" not in text and not text.strip().startswith(b"{")),
        st.integers(1, 5000).map(lambda number: b"\0" * number),
        half,
        half.map(lambda text: text + b"\0" * 20),
        half.map(lambda text: text + b"\xff\xfe"),
        other.map(str.encode),
        st.sampled_from([json.dumps(entry).encode() for entry in changed + lacking]),
    ).map(lambda text: text + b"\n")


def interleaved(lines: Sequence[bytes], places: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """Return the lines with others put in front of those with these numbers; a number past the last: at the end."""
    found: list[bytes] = []
    for number in range(len(lines) + 1):
        found += [other for place, other in places if place == number]
        found += lines[number : number + 1]
    return found
