"""What is damaged is found, whatever the damage; what is right is never called damaged."""

from __future__ import annotations

import json
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.files import sha256
from mfsweep.records import BestCheckpoint, EvaluationRecord, Record
from mfsweep.store import damage
from mfsweep.store.damage import Damage

BEST = BestCheckpoint(metric="validation.loss", step=4, value=0.5, file="checkpoints/selected.pt", sha256="0" * 64)
RECORD = Record(
    key="k", training={"seed": 0, "data": {"digest": "0", "splits": {"seed": 0}}, "model": {"architecture": "mace"}, "sets": []}, parent=None, started=1.7e9, seconds=1, steps=4, stop_reason="max_steps", selected=BEST,
    heads={"cc": BEST}, metrics={"validation.cc.energy_mae": 10.5}, offsets={"cc": {"H": -13.6}}, shares=[], parameters=9,
    workers=1, host="node-1", versions={},
)  # fmt: skip
EVALUATION = EvaluationRecord(
    name="test.cc", evaluation={"labels": "cc", "subset": "t", "part": "test"}, metrics={"energy_mae": 1.5}, offsets_only={}, structures=4, predictions="x.npz"
)  # fmt: skip


@pytest.mark.parametrize("record", [RECORD, EVALUATION], ids=["record", "evaluation"])
def test_what_was_written_is_read(tmp_path, record):
    path = tmp_path / "record.json"
    path.write_text(record.model_dump_json(indent=1))
    assert damage.read(path, type(record)) == record
    path.write_text(json.dumps([record.model_dump(mode="json")] * 2))
    assert damage.read_list(path, type(record)) == [record, record]
    assert damage.read(tmp_path / "absent.json", Record) is None
    assert damage.read_list(tmp_path / "absent.json", Record) is None


def test_records_of_before_have_no_digests(tmp_path):
    path, content = tmp_path / "record.json", RECORD.model_dump(mode="json")
    del content["selected"]["sha256"]
    path.write_text(json.dumps(content))
    assert damage.read(path, Record).selected.sha256 is None


@pytest.mark.parametrize("record", [RECORD, EVALUATION], ids=["record", "evaluation"])
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_record_cut_short_is_damaged(tmp_path, record, data):
    path, content = tmp_path / "record.json", record.model_dump_json(indent=1).encode()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    found = damage.read(path, type(record))
    assert isinstance(found, Damage)
    assert str(found).startswith(f"{path} is damaged (")
    assert not found.whole


OTHERS = {
    "no UTF-8": b"\xff\xfe{}", "no JSON": b"key: 3", "another form": b"{}", "a list": b"[]", "a number": b"3", "null": b"null",
    "nested": b"[" * 100_000, "a field of another kind": RECORD.model_dump_json().replace('"steps":4', '"steps":"many"').encode(),
    "NaN": RECORD.model_dump_json().replace("10.5", "NaN").encode(), "infinite": RECORD.model_dump_json().replace("10.5", "-Infinity").encode(),
    "no number": RECORD.model_dump_json().replace("10.5", "null").encode(), "NULs": bytes(400),
}  # fmt: skip


@pytest.mark.parametrize("content", OTHERS.values(), ids=OTHERS)
def test_what_is_no_record_is_damaged(tmp_path, content):
    path = tmp_path / "record.json"
    path.write_bytes(content)
    found = damage.read(path, Record)
    assert isinstance(found, Damage)
    assert not found.whole
    assert "\n" not in str(found)
    assert not any(word in str(found) for word in PYDANTIC), str(found)


PYDANTIC = (
    "Input should",
    "a valid",
    "Field required",
    "Extra inputs",
    "Value error",
    "instance of",
    "type=",
    "Record:",
)


@pytest.mark.parametrize("record", [RECORD, EVALUATION], ids=["record", "evaluation"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_field_of_another_kind_is_named_in_plain_words(tmp_path, record, data):
    content = record.model_dump(mode="json")
    field = data.draw(st.sampled_from(sorted(content)))
    content[field] = data.draw(st.sampled_from([None, "many", -1, 2.5, [], {}, [3], {"a": "b"}, True]))
    path = tmp_path / "record.json"
    path.write_text(json.dumps(content))
    found = damage.read(path, type(record))
    if isinstance(found, Damage) and not found.whole:
        assert field in str(found)
        assert not any(word in str(found) for word in PYDANTIC), str(found)


def test_a_folder_in_place_of_a_record_is_damaged(tmp_path):
    found = damage.read(tmp_path, Record)
    assert isinstance(found, Damage)
    assert not found.whole


def test_a_record_of_a_later_version_is_not_called_damaged(tmp_path):
    """It belongs to others who share the store: nothing may be trained in its place."""
    path = tmp_path / "record.json"
    path.write_text(RECORD.model_dump_json().replace('"schema_number":1', '"schema_number":2'))
    found = damage.read(path, Record)
    assert found.whole
    assert str(found) == f"{path} is of a later version of mfsweep (schema 2, this one knows 1): install that one"


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A zip archive, as checkpoints are, without torch."""
    path = tmp_path_factory.mktemp("weights") / "selected.pt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"values" * 20)
        archive.writestr("archive/data/0", bytes(range(256)))
    return path


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_weights_with_another_byte_are_damaged(weights, tmp_path, data):
    content = bytearray(weights.read_bytes())
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path / "selected.pt"
    path.write_bytes(content)
    expected = sha256(weights)
    assert damage.of_weights(weights, expected) is None
    assert str(damage.of_weights(path, expected)).startswith(f"{path} is damaged (sha256 ")


def test_weights_of_records_without_digest_have_their_own_checksums(weights, tmp_path):
    path, content = tmp_path / "selected.pt", weights.read_bytes()
    assert damage.of_weights(weights, None) is None
    place = content.index(bytes(range(256)))
    for offset in range(0, 256, 15):
        path.write_bytes(content[: place + offset] + b"?" + content[place + offset + 1 :])
        found = damage.of_weights(path, None)
        assert (found is None) == (offset == ord("?"))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_weights_cut_short_are_damaged_also_at_a_glance(weights, tmp_path, data):
    path, content = tmp_path / "selected.pt", weights.read_bytes()
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    for expected, whole in ((sha256(weights), True), (None, True), (None, False)):
        assert damage.of_weights(path, expected, whole=whole) is not None
    assert damage.of_weights(weights, None, whole=False) is None


def test_weights_that_are_not_there_are_missing(tmp_path):
    path = tmp_path / "selected.pt"
    for whole in (True, False):
        assert str(damage.of_weights(path, "0" * 64, whole=whole)) == f"{path} is missing"
    path.mkdir()
    assert str(damage.of_weights(path, None)) == f"{path} is damaged (no file)"
