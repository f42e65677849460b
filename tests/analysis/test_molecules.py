from __future__ import annotations

import math

import numpy as np
import pytest
from evidence.coverage import pools_of_structures

from mfsweep.analysis.claims import judge
from mfsweep.analysis.molecules import PairedErrors, beyond
from mfsweep.analysis.records import Records
from mfsweep.analysis.suite import rests_on
from mfsweep.spec.figures import Claim

Y = "result.test.cc.energy_mae"


def structures(rng, formulae=20, conformers=6, spread=0.5):
    formula = np.repeat(np.arange(formulae), conformers)
    effect = spread * rng.normal(size=formulae)[formula]
    this, against = (np.exp(sign * effect / 2 + 0.3 * rng.normal(size=len(formula))) for sign in (1, -1))
    return PairedErrors(formula, this, against)


def test_the_variance_of_one_replicate_is_that_of_drawing_other_formulae():
    rng = np.random.default_rng(1)
    ratios, told = [], []
    for _ in range(300):
        one = structures(rng)
        ratios.append(math.log(one.this.mean() / one.against.mean()))
        told.append(beyond({0: [one]}).variance)
    assert np.mean(told) == pytest.approx(np.var(ratios), rel=0.25)


def test_conformers_of_a_formula_count_as_one():
    one = structures(np.random.default_rng(2))
    copies = PairedErrors(*(np.tile(values, 5) for values in one))
    assert beyond({0: [copies]}).variance == pytest.approx(beyond({0: [one]}).variance)


def test_replicates_with_formulae_of_their_own_need_no_more_and_those_with_the_same_do():
    rng = np.random.default_rng(3)
    apart = [structures(rng)._replace(formula=structures(rng).formula + 100 * place) for place in range(4)]
    assert beyond({place: [one] for place, one in enumerate(apart)}).variance == pytest.approx(0, abs=1e-3)
    same = structures(rng)
    assert beyond({place: [same] for place in range(4)}).variance > 0.5 * beyond({0: [same]}).variance


def test_with_one_formula_nothing_is_known():
    one = structures(np.random.default_rng(4), formulae=1)
    assert beyond({0: [one]}) is None


@pytest.mark.parametrize("partitions", [3, 20])
def test_intervals_for_new_molecules_hold_the_truth_however_many_partitions_there_are(partitions):
    of_pool, of_new = pools_of_structures(partitions, 150)
    assert of_new.held >= 0.88
    if partitions == 20:
        assert of_pool.held < 0.88


def test_one_replicate_has_an_interval_over_formulae_and_no_verdict(world, tmp_path):
    one = structures(np.random.default_rng(5))
    for strategy, errors in (("pretrain", 0.5 * one.this), ("direct", one.against)):
        key = world.stage([("cc", "a", 10)], recipe={"name": strategy})
        world.evaluate(key, "cc", {"energy_mae": float(errors.mean())})
        cell = world.cell({"strategy": strategy}, {"finetune": key}, {"finetune": {"cc": 10}})
        path = world.store.stage(key).evaluation_paths(cell.evaluations["finetune"][0])[1]
        zeros, atoms = np.zeros(len(errors)), np.full(len(errors), 4)
        np.savez(
            path, index=np.arange(len(errors)), formula=one.formula, atoms=atoms,
            energy_reference=zeros, energy_predicted=4 * errors,
        )  # fmt: skip
    stated = {"says": "so", "y": Y, "this": {"strategy": "pretrain"}, "against": {"strategy": "direct"}}
    claim = Claim.model_validate({**stated, "expect": "lower"})
    found = judge(Records(world.store, world.cells), world.cells, "one", claim)
    assert (found.verdict, found.low, found.replicates) == ("cannot tell", None, 1)
    assert found.new_low < found.estimate < found.new_high
    assert "over 20 formulae alone" in rests_on(found)
    assert "training noise not included" in rests_on(found)
