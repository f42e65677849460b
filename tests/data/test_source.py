from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.data import source
from mfsweep.data.source import contents, digest, resolve, verify_data, verify_file
from mfsweep.errors import DataError, MissingDataError
from mfsweep.files import sha256
from mfsweep.spec.data import LabelKeys, ResolvedData, Splits


def test_bundled_set_comes_with_the_package():
    path = resolve("bundled:mini-ccx", Path("/nowhere"))
    assert path.is_file()
    assert path.with_suffix(".md").is_file()


def test_unknown_bundled_set_is_refused_with_the_nearest_name():
    with pytest.raises(DataError, match=r"no bundled data set 'mini-cxx'\. Did you mean 'mini-ccx'\?"):
        resolve("bundled:mini-cxx", Path())


def test_path_starts_from_the_specs_folder(tmp_path):
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "my.h5").write_bytes(b"x")
    assert resolve("sets/my.h5", tmp_path) == (tmp_path / "sets" / "my.h5").resolve()
    assert resolve(str(tmp_path / "sets" / "my.h5"), Path("/")) == (tmp_path / "sets" / "my.h5").resolve()


def test_home_and_variables_of_the_environment_are_expanded(tmp_path, monkeypatch):
    (tmp_path / "sets").mkdir()
    (file := tmp_path / "sets" / "my.h5").write_bytes(b"x")
    for name, value in {"HOME": tmp_path, "LAB_DATA": tmp_path / "sets", "SET": "my", "HERE": "sets"}.items():
        monkeypatch.setenv(name, str(value))
    for written in ("~/sets/my.h5", "${LAB_DATA}/my.h5", "${LAB_DATA}/${SET}.h5", "${HERE}/my.h5"):
        assert resolve(written, tmp_path) == file.resolve()
    assert source.variables("${LAB_DATA}/${SET}.h5 $HOME ${} ${1}") == ["LAB_DATA", "SET"]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("${LAB_DTAA}/my.h5", r"data.source: .*: the environment has no variable LAB_DTAA\. Did you mean 'LAB_DATA'"),
        ("${EMPTY}/my.h5", "no variable EMPTY"),
        ("~no-such-user/my.h5", "there is no user 'no-such-user' here"),
        ("$LAB_DATA/my.h5", "no file"),
    ],
)
def test_what_cannot_be_expanded_is_refused(tmp_path, monkeypatch, written, said):
    monkeypatch.setenv("LAB_DATA", str(tmp_path))
    monkeypatch.setenv("EMPTY", "")
    with pytest.raises(MissingDataError, match=said):
        resolve(written, tmp_path)


def test_missing_file_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "ani1x-release.h5").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no file .*ani1x-relaese\.h5.*Did you mean 'ani1x-release\.h5'"):
        resolve("ani1x-relaese.h5", tmp_path)


def test_empty_file_is_refused_and_a_folder_may_be_a_source(tmp_path):
    (tmp_path / "empty.h5").touch()
    with pytest.raises(DataError, match="is empty"):
        resolve("empty.h5", tmp_path)
    assert resolve(".", tmp_path) == tmp_path.resolve()


def test_digest_is_the_sha256_of_the_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"some content")
    assert digest(path) == hashlib.sha256(b"some content").hexdigest()


def test_digest_is_remembered_until_the_file_changes(tmp_path, monkeypatch):
    path, cache, read = tmp_path / "file", tmp_path / "store" / "digests.json", []
    monkeypatch.setattr(source, "sha256", lambda path: read.append(path) or sha256(path))
    path.write_bytes(b"first")
    for _ in range(2):
        assert digest(path, cache) == hashlib.sha256(b"first").hexdigest()
    assert len(read) == 1
    path.write_bytes(b"other")
    os.utime(path, ns=(0, 0))
    assert digest(path, cache) == hashlib.sha256(b"other").hexdigest()


def test_a_change_of_equal_size_and_time_is_seen(tmp_path):
    """As `cp -p` and `rsync -t` of another file of the same size make it."""
    path, cache = tmp_path / "file", tmp_path / "digests.json"
    path.write_bytes(b"first")
    os.utime(path, ns=(0, 0))
    digest(path, cache)
    path.write_bytes(b"other")
    os.utime(path, ns=(0, 0))
    assert digest(path, cache) == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize("is_store", [False, True])
def test_what_no_fact_shows_is_found_by_reading_anew(tmp_path, monkeypatch, is_store):
    """As on a file system that keeps neither inodes nor times of its own."""
    path, cache = tmp_path / "file", tmp_path / "digests.json"
    monkeypatch.setattr(source, "facts", lambda _: (0, 0, 0, 0))
    monkeypatch.setattr(source.dataset, "is_dataset", lambda _: is_store)
    monkeypatch.setattr(source.dataset, "digests", lambda path: {"": sha256(path), "labels/x": sha256(path)})
    path.write_bytes(b"first")
    first = contents({"": path}, cache)
    path.write_bytes(b"other")
    assert contents({"": path}, cache) == first, "it looks the same"
    second = contents({"": path}, cache, anew=True)
    assert second.digest == hashlib.sha256(b"other").hexdigest()
    assert contents({"": path}, cache) == second, "and is remembered"


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_a_damaged_cache_never_gives_another_digest(tmp_path, data):
    """Cut short, or one bit: also one that leaves it JSON, as of a digit."""
    path, cache = tmp_path / "file", tmp_path / "digests.json"
    path.write_bytes(b"content")
    cache.unlink(missing_ok=True)
    expected = digest(path, cache)
    content = bytearray(cache.read_bytes())
    if data.draw(st.booleans()):
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    else:
        del content[data.draw(st.integers(0, len(content) - 1)) :]
    cache.write_bytes(content)
    assert digest(path, cache) == expected


@pytest.mark.parametrize(
    "content", [b"", b"not json", b"[1, 2]", b"\xff\xfe", b"{}", b'{"sha256": "x", "known": [3]}', b"[" * 100_000]
)
def test_what_is_no_cache_is_written_anew(tmp_path, content):
    path, cache = tmp_path / "file", tmp_path / "digests.json"
    path.write_bytes(b"content")
    cache.write_bytes(content)
    expected = hashlib.sha256(b"content").hexdigest()
    assert digest(path, cache) == expected
    assert list(json.loads(cache.read_text())["known"].values()) == [expected]


def test_a_cache_that_cannot_be_written_costs_time_alone(tmp_path):
    path, cache = tmp_path / "file", tmp_path / "digests.json"
    path.write_bytes(b"content")
    cache.mkdir()
    assert digest(path, cache) == hashlib.sha256(b"content").hexdigest()


def test_another_content_than_planned_is_refused(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    verify_file(path, digest(path))
    with pytest.raises(DataError, match="the sweep was planned with"):
        verify_file(path, "0" * 64)


def test_unreadable_file_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="No such file"):
        digest(tmp_path / "absent")


def test_error_says_which_of_several_sources(tmp_path):
    (tmp_path / "my.h5").write_bytes(b"x")
    assert resolve("my.h5", tmp_path, "own") == tmp_path / "my.h5"
    with pytest.raises(DataError, match=r"^data\.sources\.own: no file .*Did you mean 'my\.h5'"):
        resolve("myy.h5", tmp_path, "own")
    with pytest.raises(DataError, match=r"^data\.sources\.own: no bundled data set"):
        resolve("bundled:mini", tmp_path, "own")


def test_digest_of_several_depends_on_names_and_contents_not_on_order(tmp_path):
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("1")
    two.write_text("2")
    together = contents({"x": one, "y": two}).digest
    assert together == contents({"y": two, "x": one}).digest
    others = [{"x": two, "y": one}, {"x": one, "z": two}, {"x": one}, {"": one}]
    assert len({together, *(contents(other).digest for other in others)}) == 5
    assert len(together) == 64
    assert contents({"": one}).digest == digest(one)


def test_change_of_one_of_several_sources_is_refused(tmp_path):
    paths = {name: tmp_path / name for name in ("x", "y")}
    for name, path in paths.items():
        path.write_text(name)
    data = ResolvedData(digest=contents(paths).digest, labels={"cc": LabelKeys(energy="e")}, splits=Splits())
    verify_data(paths, data)
    paths["y"].write_text("other")
    with pytest.raises(DataError, match=r"/x and .*/y: expected the content with digest"):
        verify_data(paths, data)
