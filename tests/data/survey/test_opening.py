from __future__ import annotations

import pytest

from mfsweep.data.survey.opening import open_file
from mfsweep.errors import DataError


def test_every_pair_of_keys_is_a_label_method(write_file):
    path = write_file(change=lambda file: [group.create_dataset("note", data=1.0) for group in file.values()])
    opened = open_file(str(path))
    assert {name: keys.forces for name, keys in opened.labels.items()} == {"cc": None, "dft": "dft.forces"}
    assert opened.other_keys == ["note"]
    assert set(opened.structures.labels) == {"cc", "dft"}


def test_methods_may_be_named_anew(write_file):
    opened = open_file(str(write_file()), ["high=cc.energy"])
    assert (set(opened.structures.labels), opened.other_keys) == ({"high"}, ["dft.energy", "dft.forces"])
    with pytest.raises(DataError, match=r"'cc\.energi'"):
        open_file(str(write_file()), ["high=cc.energi"])


@pytest.mark.parametrize("content", [b"", b"# a table of numbers\n1 2 3\n"])
def test_a_file_that_is_none_is_refused_with_its_name(tmp_path, content):
    path = tmp_path / "data.h5"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"data\.h5"):
        open_file(str(path))
