from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.reference import fit_offsets, offset_energy
from mfsweep.prepare import prepare
from mfsweep.sweep.unpaid import unpaid

COSTS = (
    "resources:",
    "figures: {cost: {kind: pareto, y: result.test.cc.energy_mae, costs: {cc: 1, dft: 1}}}\nresources:",
)


@pytest.fixture
def planned(write_spec, store):
    return lambda *changes: prepare(write_spec(*changes), store.root)


def test_fixed_offsets_say_what_they_have_seen_unpaid(planned):
    """Of 60 cc labels the cell with the fewest pays for 45; the dft labels of `a` no cell pays for."""
    plan = planned(COSTS, ("[20, 60]", "[45, 60]"))
    found = {one.method: one for one in unpaid(plan)}
    assert {method: one.labels for method, one in found.items()} == {"cc": 15, "dft": 60}
    assert found["dft"].tested is None
    assert found["dft"].sentence == "Energy offsets of dft have seen up to 60 labels that a cell does not pay for."
    node = next(node for node in plan.graph.nodes.values() if node.name == "finetune")
    view = plan.view(node)
    structures, train, test = view.structures, view.partition.train["a"], np.sort(view.partition.train["t"])

    def error(fitted):
        offsets = fit_offsets(structures, "cc", np.sort(fitted))
        left = structures.labels["cc"].energy[test] - offset_energy(structures, test, offsets)
        return 1000 * np.abs(left / structures.sizes[test]).mean()

    assert found["cc"].tested == pytest.approx((error(train), error(train[:45])))
    assert f"they are off by {error(train[:45]):.3g} meV/atom, not {error(train):.3g})." in found["cc"].sentence


def test_paid_labels_that_determine_no_offsets_are_said_to(planned):
    (found,) = (one for one in unpaid(planned(COSTS)) if one.method == "cc")
    assert found.labels == 40
    assert found.tested[1] is None, "the 20 structures hold no nitrogen"
    assert found.sentence.endswith("(fitted on its own alone, there are none).")


def test_where_every_label_is_paid_for_there_is_nothing_to_say(planned):
    large = ("[20, 60]", "[60]"), ("[0, 20, 40]", "[0, 150]")
    assert unpaid(planned(COSTS, ("  labels:\n", "  offsets: paid\n  labels:\n"), *large)) == []
    assert [one.method for one in unpaid(planned(COSTS, ("[20, 60]", "[60]")))] == ["dft"]


def test_without_a_figure_of_costs_nobody_asks(planned):
    assert unpaid(planned()) == []
