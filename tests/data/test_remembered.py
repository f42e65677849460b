from __future__ import annotations

import json

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.data.remembered import Remembered


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.dictionaries(st.text(max_size=5), st.lists(st.text(max_size=5), max_size=3), min_size=1, max_size=5))
def test_what_was_found_out_is_not_asked_again(tmp_path, found):
    path = tmp_path / "judged.json"
    path.unlink(missing_ok=True)
    for key, own in found.items():
        Remembered(path).once(key, lambda own=own: own)
    again = {key: Remembered(path).once(key, lambda: ["asked again"]) for key in found}
    assert again == found
    assert Remembered(path).once(next(iter(found)), lambda: ["anew"], anew=True) == ["anew"]


def test_a_file_that_somebody_changed_is_not_believed(tmp_path):
    path = tmp_path / "judged.json"
    Remembered(path).once("sound", lambda: False)
    path.write_text(json.dumps({**json.loads(path.read_text()), "known": {"sound": True}}))
    assert Remembered(path).once("sound", lambda: "asked") == "asked"


def test_what_could_not_be_found_out_is_not_remembered(tmp_path):
    def fails():
        raise ValueError("no")

    memory = Remembered(tmp_path / "judged.json")
    for _ in range(2):
        try:
            memory.once("key", fails)
        except ValueError:
            continue
        raise AssertionError("it was to fail each time")
    assert Remembered().once("key", lambda: 3) == 3
