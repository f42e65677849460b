from __future__ import annotations

import ase.io
import numpy as np
import pytest
from ase.build import molecule
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.data.importing.places import places
from mfsweep.errors import DataError

ENDS = st.one_of(st.just(""), st.integers(-25, 25).map(str))


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENDS, ENDS, st.sampled_from(["", ":1", ":3"]))
def test_a_slice_after_the_at_sign_is_that_of_a_list(importing, tmp_path, start, stop, step):
    frames = [molecule("H2O") for _ in range(20)]
    for number, atoms in enumerate(frames):
        atoms.positions += number
    path = tmp_path / "own.xyz"
    ase.io.write(path, frames)
    rows = slice(*(int(end) if end else None for end in (start, stop, step[1:])))
    expected = [atoms.positions[0, 0] for atoms in frames[rows]]
    source = tmp_path / f"own.xyz@{start}:{stop}{step}"
    if not expected:
        with pytest.raises(DataError, match="no structure is left"):
            importing(source, geometries=True)
        return
    structures = importing(source, geometries=True).structures
    np.testing.assert_allclose(structures.positions[structures.offsets[:-1], 0], expected, atol=1e-6)


def test_globs_and_folders_are_their_files_by_name(importing, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for number, name in enumerate(("b.xyz", "a.xyz", "c.traj")):
        ase.io.write(folder / name, [molecule("H2O")] * (number + 1))
    (folder / "notes.md").write_text("no structures")
    (folder / ".hidden.xyz").write_text("x")
    assert [place.path.name for place in places([folder])] == ["a.xyz", "b.xyz", "c.traj"]
    assert [place.path.name for place in places([folder / "*.xyz"])] == ["a.xyz", "b.xyz"]
    assert importing(folder, geometries=True).summary.structures == 6
    assert importing(folder / "?.xyz@:1", geometries=True).summary.structures == 2
    assert importing(folder / "a.xyz@1", folder / "c.traj@:2", geometries=True).summary.structures == 3


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("own.xzy", r"own.xzy: no such file\. Did you mean 'own.xyz'"),
        ("*.db", "no file has such a name"),
        ("own.xyz@a:b", "after an @ expected START:STOP"),
        ("own.xyz@::0", "after an @ expected START:STOP"),
        ("empty", "a folder without files of structures"),
    ],
)
def test_what_is_not_there_is_told(importing, tmp_path, name, message):
    ase.io.write(tmp_path / "own.xyz", [molecule("H2O")])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message):
        importing(tmp_path / name, geometries=True)


def test_a_file_whose_name_has_an_at_sign_is_a_file(importing, tmp_path):
    ase.io.write(tmp_path / "own@3.xyz", [molecule("H2O")] * 5)
    assert importing(tmp_path / "own@3.xyz", geometries=True).summary.structures == 5
