from pathlib import Path

import pytest

from mfsweep.prepare import prepare


@pytest.mark.parametrize(
    "path", sorted(Path(__file__).parents[1].glob("search_spaces/**/*.yaml")), ids=lambda p: p.name
)
def test_every_ready_spec_is_planned_on_its_data(path, tmp_path):
    plan = prepare(path, tmp_path / "store")
    assert plan.graph.nodes
