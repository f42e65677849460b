"""The sources of a spec: which paths may stand there."""

from __future__ import annotations

import shlex

import pytest

from mfsweep.errors import DataError, SpecError
from mfsweep.prepare import prepare


@pytest.mark.parametrize("axis", ["pretrain_size", "finetune_size"])
@pytest.mark.parametrize("path", ["${%s}.h5", "data/${%s}/own.h5", "${HOME}/${%s}"])
def test_an_axis_in_the_path_of_a_source_is_refused_at_its_line(write_spec, tmp_path, axis, path):
    spec = write_spec(("bundled:mini-ccx", '"' + path % axis + '"'))
    with pytest.raises(SpecError, match=rf"data\.source: got .*expected a path without the axis {axis}") as caught:
        prepare(spec, tmp_path / "store")
    assert caught.value.line == next(
        number for number, line in enumerate(spec.read_text().splitlines(), 1) if "source:" in line
    )


def test_a_variable_of_the_environment_is_none_of_the_axes(write_spec, tmp_path, monkeypatch):
    spec = write_spec(("bundled:mini-ccx", '"${WHERE_OF_MINE}/own.h5"'))
    monkeypatch.setenv("WHERE_OF_MINE", str(tmp_path / "nowhere"))
    plan = prepare(spec, tmp_path / "store", allow_missing_data=True)
    assert any("nowhere" in text for text in plan.warnings)


@pytest.mark.parametrize("source", ["own.xyz@:20", "own.xyz@-3:", "own.xyz@7", "*.xyz", "run[0-9]/own.traj"])
def test_a_part_of_a_file_or_several_are_refused_with_the_whole_command(write_spec, tmp_path, source):
    spec = write_spec(("bundled:mini-ccx", f'"{source}"'))
    with pytest.raises(DataError, match=r"data\.source: expected one file, got a ") as caught:
        prepare(spec, tmp_path / "store")
    words = shlex.split(str(caught.value).partition("name that: ")[2])
    assert words[:5] == ["mfsweep", "data", "import", str(tmp_path / source), str(tmp_path / "dataset.h5")]
    assert "dft=wb97x_631gd.energy,wb97x_631gd.forces" in words
