"""What is said of a data set before anything is trained, and the spec that is written for it."""

from __future__ import annotations

import math

import h5py
import numpy as np
import pytest
from synthetic import CC, DFT, write

from mfsweep.errors import SpecError
from mfsweep.prepare import prepare
from mfsweep.sweep.advise import AdviceRequest, advise_file, advise_spec


@pytest.fixture
def advise(tmp_path, monkeypatch):
    """Give a function that writes a file, changes it, and asks for advice on it."""
    monkeypatch.chdir(tmp_path)

    def ask(change=None, *, structures=600, formulae=60, cc_share=0.4, spec=True, **asked):
        path = tmp_path / "own.h5"
        write(path, structures, formulae=formulae, cc_share=cc_share)
        if change:
            with h5py.File(path, "a") as file:
                for group in file.values():
                    change(group)
        output = tmp_path / "first.yaml" if spec else None
        return advise_file(path, "own.h5", "own", AdviceRequest(output=output, **asked))

    return ask


def said(advice, topic):
    return " ".join(advice.sentences.get(topic, ()))


def test_the_spec_has_folds_and_can_be_planned_and_the_advice_stands_in_its_head(advise, tmp_path):
    advice = advise(label_costs={"cc": 2.0, "dft": 0.5}, unit="hours")
    plan = prepare(tmp_path / "first.yaml", tmp_path / "store")
    assert plan.spec.experiment.data.splits.folds == advice.data.groups.folds == 5
    assert {planned.cell.fold for planned in plan.graph.cells} == {0, 1, 2, 3, 4}
    assert not [warning for warning in plan.warnings if "fits." in warning]
    text = (tmp_path / "first.yaml").read_text()
    assert "after energy offsets" in text
    assert max(map(len, (line for line in text.splitlines() if line.startswith("#")))) <= 120
    assert list(advice.labels) == ["cc", "dft"]
    assert advice.labels["dft"] >= 2 * advice.labels["cc"]
    assert advice.label_cost == 2 * advice.labels["cc"] + 0.5 * advice.labels["dft"]
    assert advice.as_json()["label_cost_unit"] == "hours"
    assert advice.estimate.overview.shared.stages == len(plan.graph.nodes)


def test_methods_forces_groups_and_sizes_are_each_said(advise):
    advice = advise(spec=False)
    assert advice.spec is None
    assert (advice.data.target, advice.data.auxiliary) == ("cc", "dft")
    (near,) = advice.data.alignments
    assert f"{near.mean_abs:.3g} meV/atom" in said(advice, "methods")
    assert "Delta-learning on dft" in said(advice, "methods")
    assert "dft has forces on 600 structures" in said(advice, "forces")
    assert "cc has energies only" in said(advice, "forces")
    assert "5 folds decide a cut of the error by 50 % or by 85 %, not by 15 %, which takes 21" in said(advice, "groups")
    assert "over a factor of 10" in said(advice, "sizes")
    assert "structures have no cc energy" in said(advice, "data")


def test_one_method_has_nothing_to_transfer_from_and_still_gets_a_spec(advise, tmp_path):
    advice = advise(lambda group: group.__delitem__(f"{DFT}.energy") or group.__delitem__(f"{DFT}.forces"), cc_share=1)
    assert "cc is the only label method" in said(advice, "methods")
    plan = prepare(tmp_path / "first.yaml", tmp_path / "store")
    assert set(plan.spec.experiment.stages) == {"train"}


def test_methods_on_different_structures_are_told_and_the_target_needs_only_itself(advise, tmp_path):
    def apart(group):
        cc = group[f"{CC}.energy"][()]
        dft = group[f"{DFT}.energy"][()]
        dft[np.isfinite(cc)] = np.nan
        group[f"{DFT}.energy"][...] = dft

    advice = advise(apart)
    assert "No two structures have both cc and dft labels" in said(advice, "methods")
    assert not advice.data.alignments
    plan = prepare(tmp_path / "first.yaml", tmp_path / "store")
    assert plan.spec.experiment.data.splits.t.needs == ("cc",)


def test_few_formulae_cannot_be_folds(advise):
    advice = advise(structures=200, formulae=6, cc_share=1.0)
    assert advice.data.groups.folds is None
    assert "are too few to be shared out to folds" in said(advice, "groups")
    assert not any(one.decided for one in advice.data.power)


def test_structures_that_stand_in_it_twice_are_counted(advise):
    def twice(group):
        coordinates = group["coordinates"][()]
        if len(coordinates) > 1:
            coordinates[1] = coordinates[0]
            group["coordinates"][...] = coordinates

    advice = advise(twice, spec=False)
    copies = advice.data.info.duplicates.structures
    assert copies > 10
    assert f"{copies} structures stand in it twice" in said(advice, "data")


def test_a_method_that_is_not_near_is_not_called_so(advise):
    rng = np.random.default_rng(0)

    def unlike(group):
        group[f"{CC}.energy"][...] = group[f"{CC}.energy"][()] + 10 * rng.normal(size=len(group[f"{CC}.energy"]))

    def like(group):
        pass

    far, near = (advise(change, spec=False).data.alignments[0] for change in (unlike, like))
    assert near.left < far.left
    assert near.pearson > 0.9 > abs(far.pearson)


def test_the_data_of_a_spec_are_looked_at_by_its_own_names(write_spec, tmp_path):
    plan = prepare(write_spec(), tmp_path / "store")
    advice = advise_spec(plan, AdviceRequest())
    assert (advice.data.target, advice.data.auxiliary) == ("cc", "dft")
    assert advice.spec == plan.spec.document.path
    assert {one.method for one in advice.data.alignments} == {"dft", "xtb"}
    assert all(math.isfinite(one.mean_abs) for one in advice.data.alignments)
    assert advice.labels == {"cc": 60, "dft": 40}


FOLDS = (
    ("    a: {size: 60", '    folds: 4\n    fold: "${fold}"\n    a: {size: 80'),
    ("size: 40, needs: [cc, dft]}", "size: rest, needs: [cc, dft]}"),
    ("axes:", "axes:\n  fold: [0, 1, 2]"),
)


@pytest.mark.parametrize(
    ("changes", "has", "word"),
    [
        ((), "The spec has one partition, which tests {} formulae: there is no interval that holds for other", ""),
        (
            FOLDS,
            "The spec has 3 folds with about {} formulae tested in each. 3 folds decide",
            "between folds by 25 %",
        ),
        (
            (("axes:", "axes:\n  split_seed: [0, 1, 2, 3, 4]"),),
            "The spec has 5 partitions with about {} formulae tested in each. 5 partitions decide",
            "between partitions by 25 %",
        ),
    ],
    ids=["one", "folds", "split seeds"],
)
def test_the_partitions_of_a_spec_are_called_what_they_are(write_spec, tmp_path, changes, has, word):
    plan = prepare(write_spec(*changes), tmp_path / "store")
    advice = advise_spec(plan, AdviceRequest())
    view = plan.view(plan.graph.nodes[plan.graph.cells[0].keys["finetune"]])
    tested = len(np.unique(view.structures.formula[view.partition.train["t"]]))
    assert has.format(tested) in said(advice, "groups")
    assert word in said(advice, "groups")
    assert ("An axis `fold`" in said(advice, "groups")) == (not changes)
    assert advice.as_json()["groups"]["tested"] == tested


def test_costs_of_unknown_methods_are_refused_and_methods_without_one_are_named(advise, write_spec, tmp_path):
    plan = prepare(write_spec(), tmp_path / "store")
    for ask in (lambda **asked: advise_spec(plan, AdviceRequest(**asked)), advise):
        with pytest.raises(SpecError, match=r"--label-cost dff: .* has no such label method: .* Did you mean 'dft'"):
            ask(label_costs={"cc": 1.0, "dff": 1.0})
    assert not (tmp_path / "first.yaml").exists(), "a mistake is said before anything is written"
    advice = advise_spec(plan, AdviceRequest(label_costs={"cc": 1.0}))
    assert (advice.label_cost, advice.without_cost) == (None, ("dft",))
    assert set(advise_spec(plan, AdviceRequest()).without_cost) == {"cc", "dft"}


def test_the_dearest_cell_is_that_by_cost_where_costs_are_known(write_spec, tmp_path):
    mixes = "mix: {many: {dft: 80, cc: 20}, dear: {dft: 20, cc: 60}}"
    axes = ("pretrain_size: [0, 20, 40]\n  finetune_size: [20, 60]", mixes), (", group_by: [finetune_size]", "")
    sizes = ("${pretrain_size}", "${mix.dft}"), ("${finetune_size}", "${mix.cc}")
    plan = prepare(write_spec(*axes, *sizes), tmp_path / "store")
    advice = advise_spec(plan, AdviceRequest(label_costs={"cc": 10.0, "dft": 1.0}))
    assert (advice.labels, advice.label_cost) == ({"cc": 60, "dft": 20}, 620.0)
    assert advise_spec(plan, AdviceRequest()).labels == {"cc": 20, "dft": 80}
