from __future__ import annotations

import pytest

from mfsweep.errors import SpecError
from mfsweep.plan.expand import expand
from mfsweep.plan.graph import build
from mfsweep.plan.metrics import check_path, measured_by
from mfsweep.spec.data import Content
from mfsweep.spec.load import load

DELTA = (
    ("labels: cc, subset: a", "labels: {target: cc, minus: xtb}, subset: a"),
    ("needs: [cc, dft]", "needs: [cc, dft, xtb]"),
)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("result.test.cc-xtb.energy_mae", "expected a method of the stage's test errors (cc) in place of 'cc-xtb'"),
        ("pretrain.validation.cc-xtb.energy_mae", "a method of the stage's validation errors (dft) in place of 'cc-xtb'"),
        ("result.test.cc-xbt.energy_mae", "a label method (cc, dft, xtb, cc-xtb) in place of 'cc-xbt'. Did you mean 'cc-xtb'?"),
    ],
)  # fmt: skip
def test_a_derived_method_is_known_where_it_is_not_measured(write_spec, path, says):
    spec = load(write_spec(*DELTA))
    graph = build(spec, expand(spec), Content(digest="0" * 64))
    measured = measured_by(spec, graph)
    check_path(spec, graph, measured, ("fits",), "result.validation.cc-xtb.energy_mae")
    with pytest.raises(SpecError) as raised:
        check_path(spec, graph, measured, ("fits",), path)
    assert says in str(raised.value)
