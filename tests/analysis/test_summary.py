from __future__ import annotations

import itertools
import re

from mfsweep.analysis.leading import leading
from mfsweep.analysis.report.errors import _replicates
from mfsweep.analysis.report.summary import take_home
from mfsweep.analysis.study import ReportStudy, analyse
from mfsweep.analysis.transfer import FitRequest
from mfsweep.spec.figures import Claim

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"


def said(world, **options):
    study = ReportStudy(
        "demo", "name: demo", world.cells, [FitRequest("transfer", X, Y, ("finetune_size",))], **options
    )
    return take_home(study, analyse(world.store, study, resamples=200))


def test_a_law_says_in_one_sentence_what_a_lower_error_brings(world):
    world.grid({"dft": 1.35}, seeds=(0, 1, 2), noise=0.05, shared=0.05)
    best, law = said(world)
    assert best.startswith("Least cc test energy MAE: ")
    assert "over 3 replicates (label method dft, pretrain size" in best
    told = re.search(
        r"dft validation energy MAE of pretrain falls by 10%, cc test energy MAE falls by (.*)%, "
        r"95 % interval (.*)% to (.*)% \(gradient 1\..*\)\.$",
        law,
    )
    middle, low, high = map(float, told.groups())
    assert low < middle < high
    assert low < 100 * (1 - 0.9**1.35) < high


def test_seeds_of_one_partition_are_one_replicate(world):
    for split_seed, seed in itertools.product(range(3), range(2)):
        key = world.finetune(30, {"split_seed": split_seed, "seed": seed}, None, 10.0 * 2**split_seed * 4**seed)
        world.cell({"split_seed": split_seed, "seed": seed}, {"finetune": key}, {"finetune": {"cc": 30}})
    study = ReportStudy("demo", "", world.cells)
    analysis = analyse(world.store, study)
    assert "40 meV/atom, 20 to 80 over 3 replicates" in take_home(study, analysis)[0]
    best, _ = leading(analysis.results[0].outcomes)
    assert _replicates(best).startswith("The predictions of 3 replicates stand together.")


def test_what_has_not_converged_is_no_claim_and_the_sentence_says_so(world):
    world.grid({"dft": 1.35}, seeds=(0, 1, 2), capped=(25,))
    assert said(world)[1].endswith("No claim: 6 of 24 points have not converged.")


def test_a_refused_law_says_why_and_a_claim_what_came_out(world):
    world.grid({"dft": 0.5}, pretrain_sizes=(25, 100), seeds=(0, 1, 2), noise=0.01)
    claim = {
        "says": "More helps.",
        "y": Y,
        "this": {"pretrain_size": 100},
        "against": {"pretrain_size": 25},
        "expect": "lower",
    }
    _, law, told = said(world, claims={"more": Claim.model_validate(claim)})
    assert law.startswith("Law transfer: no line yet. ")
    assert told.startswith("“More helps”: these runs agree (ratio of result.test.cc.energy_mae 0.")
