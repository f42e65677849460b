"""`require: same_versions`: nothing is run and nothing said of stages that were trained with several."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from mfsweep.errors import SpecError, StoreError
from mfsweep.models.versions import versions
from mfsweep.prepare import prepare
from mfsweep.records import BestCheckpoint, Record
from mfsweep.spec.load import load
from mfsweep.sweep import results
from mfsweep.sweep.requirements import require_same_versions

REQUIRE = ("resources:", "require: same_versions\nresources:")
BEST = BestCheckpoint(metric="validation.loss", step=4, value=0.5, file="checkpoints/selected.pt")


@pytest.fixture
def trained(write_spec, store):
    """Give a function that plans the small spec on a store where the first stages were trained with some versions."""

    def plan(*made, changes=(REQUIRE,)):
        found = prepare(write_spec(*changes), store.root)
        for node, own in zip(found.graph.nodes.values(), made, strict=False):
            (method,) = node.training.methods
            record = Record(
                key=node.key, training=node.training.identity(), parent=node.parent, started=1.7e9, seconds=1, steps=4,
                stop_reason="max_steps", selected=BEST, heads={method: BEST},
                metrics={f"validation.{method}.energy_mae": 10.0, "validation.loss": 1.0}, offsets={}, shares=[],
                parameters=9, workers=1, host="here", versions=versions() | own,
            )  # fmt: skip
            store.stage(node.key).write_record(record)
        return prepare(write_spec(*changes), store.root)

    return plan


def test_one_version_of_everything_is_let_through(trained):
    plan = trained({}, {"ray": "1.0"}, {})
    require_same_versions(plan, here=True)
    assert results.analyse(plan).analysis.mixed == ()


@pytest.mark.parametrize("package", ["torch", "python", "numpy", "mfsweep"])
def test_two_versions_are_refused_with_their_stages(trained, package):
    plan = trained({}, {package: "0.0.1"}, {})
    key = list(plan.graph.nodes)[1]
    with pytest.raises(
        StoreError, match=rf"small\.yaml: require: same_versions: .*{package} differs: 0\.0\.1 for .* {key}"
    ):
        results.analyse(plan)


def test_a_store_of_another_version_than_here_is_not_added_to(trained):
    plan = trained({"torch": "0.0.1"}, {"torch": "0.0.1"})
    key = next(iter(plan.graph.nodes))
    results.analyse(plan)  # what there is has one version
    with pytest.raises(StoreError, match=rf"{key} has torch 0\.0\.1, and here is {re.escape(versions()['torch'])}"):
        require_same_versions(plan, here=True)


def test_without_it_what_differs_is_said_and_so_is_what_all_has_cost(trained):
    shown = results.analyse(trained({}, {"torch": "0.0.1"}, changes=()))
    assert [one.what for one in shown.analysis.mixed] == ["torch"]
    console = Console(file=io.StringIO(), width=200)
    shown.print(console)
    said = console.file.getvalue()
    assert shown.analysis.mixed[0].sentence in said
    assert "torch" in said
    assert re.search(r"^All stages took 0\.00 hours of .+\.$", said, re.MULTILINE)
    page = shown.write_report().read_text()
    assert "What it has cost" in page
    assert "Not all stages ran alike" in page


def test_it_changes_no_key(write_spec, store):
    plans = [prepare(write_spec(*changes), store.root) for changes in ((), (REQUIRE,))]
    assert plans[0].graph.nodes.keys() == plans[1].graph.nodes.keys()


def test_another_requirement_is_refused(write_spec):
    with pytest.raises(SpecError, match=r"require: got 'same_gpu', expected 'same_versions'"):
        load(write_spec(("resources:", "require: same_gpu\nresources:")))
