from __future__ import annotations

import pytest

from mfsweep.errors import StoreError
from mfsweep.store.sweep_folder import SweepFolder

DAMAGED = [b"", b"[{", b"\xff\xfe", b"3", b"null", b"[3]", b'{"a": 1}', b'[{"alpha": NaN}]', b"[" * 100_000]
LISTS = {"asked.json": SweepFolder.asked, "claims.json": SweepFolder.claims, "figures.json": SweepFolder.drawn}


@pytest.mark.parametrize("content", DAMAGED)
@pytest.mark.parametrize(("name", "read"), LISTS.items(), ids=LISTS)
def test_damaged_lists_of_a_sweep_are_empty_and_named(store, caplog, name, read, content):
    folder = store.sweep("small")
    folder.path.mkdir(parents=True)
    (folder.path / name).write_bytes(content)
    assert read(folder) == []
    named = [str(one) for one in folder.damaged()] + caplog.messages
    assert [text for text in named if f"{folder.path / name} is damaged (" in text]


@pytest.mark.parametrize("content", DAMAGED)
def test_damaged_cells_of_a_sweep_are_one_clear_error(store, content):
    folder = store.sweep("small")
    folder.path.mkdir(parents=True)
    (folder.path / "cells.json").write_bytes(content)
    with pytest.raises(StoreError, match=r"cells\.json is damaged \(.*\): `mfsweep run` of its spec writes it anew"):
        folder.cells()


def test_damaged_points_of_a_search_are_set_aside_when_new_ones_are_written(store):
    folder = store.sweep("small")
    folder.write_asked([{"alpha": 0.5}])
    (folder.path / "asked.json").write_text('[{"alpha": 0.')
    folder.write_asked([{"alpha": 0.25, "whole": 3, "name": "x", "on": True, "none": None}])
    assert folder.asked() == [{"alpha": 0.25, "whole": 3, "name": "x", "on": True, "none": None}]
    assert type(folder.asked()[0]["whole"]) is int
    assert (folder.path / "asked.json.damaged-1").read_text() == '[{"alpha": 0.'
