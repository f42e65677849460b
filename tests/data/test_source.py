from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from mfsweep.data.source import contents, digest, resolve, verify_data, verify_file
from mfsweep.errors import DataError
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


def test_missing_file_is_refused_with_the_nearest_name(tmp_path):
    (tmp_path / "ani1x-release.h5").write_bytes(b"x")
    with pytest.raises(DataError, match=r"no file .*ani1x-relaese\.h5.*Did you mean 'ani1x-release\.h5'"):
        resolve("ani1x-relaese.h5", tmp_path)


def test_empty_file_and_folder_are_refused(tmp_path):
    (tmp_path / "empty.h5").touch()
    with pytest.raises(DataError, match="is empty"):
        resolve("empty.h5", tmp_path)
    with pytest.raises(DataError, match="not a file"):
        resolve(".", tmp_path)


def test_digest_is_the_sha256_of_the_content(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"some content")
    assert digest(path) == hashlib.sha256(b"some content").hexdigest()


def test_digest_is_remembered_until_the_file_changes(tmp_path):
    path, cache = tmp_path / "file", tmp_path / "store" / "digests.json"
    path.write_bytes(b"first")
    first = digest(path, cache)
    known = json.loads(cache.read_text())
    assert list(known.values()) == [first]
    cache.write_text(json.dumps(dict.fromkeys(known, "remembered")))
    assert digest(path, cache) == "remembered"
    path.write_bytes(b"other")
    os.utime(path, ns=(0, 0))
    assert digest(path, cache) == hashlib.sha256(b"other").hexdigest()


@pytest.mark.parametrize("content", ["", "not json", "[1, 2]"])
def test_damaged_cache_is_written_anew(tmp_path, content):
    path, cache = tmp_path / "file", tmp_path / "digests.json"
    path.write_bytes(b"content")
    cache.write_text(content)
    expected = hashlib.sha256(b"content").hexdigest()
    assert digest(path, cache) == expected
    assert list(json.loads(cache.read_text()).values()) == [expected]


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
