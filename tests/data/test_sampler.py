from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mfsweep.data.sampler import Sampler
from mfsweep.errors import DataError
from mfsweep.spec.batching import Batching, CostAwareBatching
from mfsweep.spec.stage import LabelledSet


@st.composite
def mixtures(draw):
    """Draw the arguments of a sampler: one to three labelled sets over common structures."""
    sizes = np.array(draw(st.lists(st.integers(1, 40), min_size=1, max_size=60)))
    number = draw(st.integers(1, 3))
    weights = np.array(draw(st.lists(st.integers(1, 9), min_size=number, max_size=number)), np.float64)
    members = [np.array(draw(st.lists(st.integers(0, len(sizes) - 1), min_size=1, unique=True))) for _ in range(number)]
    sets = [
        LabelledSet(labels=method, subset="a", size=len(own), probability=weight)
        for method, own, weight in zip(("cc", "dft", "xtb"), members, weights / weights.sum(), strict=False)
    ]
    common = {"max_atoms": draw(st.integers(40, 130)), "batches_per_step": draw(st.integers(1, 6))}
    if draw(st.booleans()):
        batching = CostAwareBatching(packer="cost_aware", max_edges=draw(st.none() | st.integers(1600, 5000)), **common)
    else:
        batching = Batching(bins=draw(st.integers(1, 9)), adapt_bins=draw(st.booleans()), **common)
    return sets, members, sizes, batching, draw(st.integers(0, 3)), sizes * (sizes - 1)


def _passes(batches, members):
    """Cut one set's batches, in the order drawn, into passes: each must end exactly at a batch's end."""
    passes, current = [], []
    for indices in batches:
        current.extend(indices.tolist())
        if len(current) >= len(members):
            passes.append(current)
            current = []
    return passes, current


@settings(max_examples=60, deadline=None)
@given(arguments=mixtures(), world=st.integers(1, 6), steps=st.integers(1, 40))
def test_each_structure_comes_exactly_once_in_a_pass_for_any_number_of_ranks(arguments, world, steps):
    sets, members, sizes, batching, *_ = arguments
    ranks = [Sampler(*arguments) for _ in range(world)]
    drawn = {number: [] for number in range(len(sets))}
    for _ in range(steps):
        dealt = [sampler.step()[rank::world] for rank, sampler in enumerate(ranks)]
        whole = [batch for batch in itertools.chain(*itertools.zip_longest(*dealt)) if batch is not None]
        assert len(whole) == batching.batches_per_step
        for batch in whole:
            assert batch.method == sets[batch.set].labels
            assert batch.number == len(_passes(drawn[batch.set], members[batch.set])[0])
            assert 0 < sizes[batch.indices].sum() <= batching.max_atoms
            drawn[batch.set].append(batch.indices)
    reports = ranks[0].passes()
    for number, batches in drawn.items():
        whole, rest = _passes(batches, members[number])
        assert all(sorted(seen) == sorted(members[number].tolist()) for seen in whole)
        assert len(set(rest)) == len(rest)
        assert set(rest) <= set(members[number].tolist())
        own = [report for report in reports if report.set == number]
        assert [report.number for report in own] == list(range(len(whole)))
        assert all(report.expected == len(members[number]) for report in own)


@settings(max_examples=40, deadline=None)
@given(arguments=mixtures(), before=st.integers(0, 15), after=st.integers(1, 15))
def test_restored_sampler_goes_on_as_if_never_interrupted(arguments, before, after):
    uninterrupted, killed, resumed = (Sampler(*arguments) for _ in range(3))
    for _ in range(before):
        uninterrupted.step()
        killed.step()
    resumed.restore(json.loads(json.dumps(killed.state())))
    for _ in range(after):
        for ours, theirs in zip(resumed.step(), uninterrupted.step(), strict=True):
            assert ours.set == theirs.set
            np.testing.assert_array_equal(ours.indices, theirs.indices)
    assert resumed.passes() == uninterrupted.passes()
    assert resumed.shares() == uninterrupted.shares()
    assert resumed.state() == uninterrupted.state()


def _two_sets(alpha, batches_per_step=4, seed=0, sizes=(50, 20)):
    sets = [
        LabelledSet(labels="cc", subset="a", size=sizes[0], probability=1 - alpha),
        LabelledSet(labels="dft", subset="b", size=sizes[1], probability=alpha),
    ]
    atoms = np.random.default_rng(5).integers(3, 20, sum(sizes))
    members = [np.arange(sizes[0]), np.arange(sizes[0], sum(sizes))]
    return Sampler(sets, members, atoms, Batching(max_atoms=64, batches_per_step=batches_per_step), seed)


@pytest.mark.parametrize("alpha", [0.01, 0.1, 0.5, 0.9, 0.99])
def test_realised_share_of_batches_converges_to_alpha(alpha):
    sampler = _two_sets(alpha)
    steps = 2500
    for _ in range(steps):
        sampler.step()
    target, auxiliary = sampler.shares()
    batches = 4 * steps
    assert target.batches + auxiliary.batches == batches
    # A binomial count: four standard deviations are passed by chance once in 16,000.
    assert abs(auxiliary.batches / batches - alpha) < 4 * np.sqrt(alpha * (1 - alpha) / batches)
    assert auxiliary.requested == pytest.approx(alpha)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_probability_zero_is_never_drawn_and_one_always(alpha):
    sampler = _two_sets(alpha)
    methods = Counter(batch.method for _ in range(2000) for batch in sampler.step())
    assert methods == {"dft" if alpha else "cc": 8000}


def test_shares_count_what_was_drawn():
    sampler = _two_sets(0.3)
    atoms = np.random.default_rng(5).integers(3, 20, 70)
    drawn = [batch for _ in range(101) for batch in sampler.step()]
    for number, share in enumerate(sampler.shares()):
        own = [batch.indices for batch in drawn if batch.set == number]
        assert share.batches == len(own)
        assert share.structures == sum(map(len, own))
        assert share.atoms == sum(atoms[indices].sum() for indices in own)
        assert share.passes == pytest.approx(share.structures / share.size)


def test_passes_are_told_once_and_with_their_fill():
    sampler = _two_sets(0.0)
    atoms = np.random.default_rng(5).integers(3, 20, 70)[:50]
    told = []
    while not told:
        sampler.step()
        told = sampler.passes()
    assert told[0].fill == pytest.approx(atoms.sum() / (64 * told[0].batches))
    assert told[0].fill <= 1
    assert sampler.passes() == []


def test_every_pass_has_an_order_of_its_own_and_every_seed():
    def first_pass(sampler, number):
        batches = [batch.indices.tolist() for _ in range(60) for batch in sampler.step()]
        return _passes([np.array(own) for own in batches], range(50))[0][number]

    orders = {tuple(first_pass(_two_sets(0.0, seed=seed), number)) for seed in (0, 1) for number in (0, 1)}
    assert len(orders) == 4


def test_batches_per_step_only_regroups_a_single_sets_batches():
    ones, fours = _two_sets(0.0, batches_per_step=1), _two_sets(0.0, batches_per_step=4)
    single = [batch.indices.tolist() for _ in range(40) for batch in ones.step()]
    grouped = [batch.indices.tolist() for _ in range(10) for batch in fours.step()]
    assert single == grouped


def test_structure_above_the_cap_is_refused_not_skipped():
    sets = [LabelledSet(labels="cc", subset="a", probability=1.0)]
    with pytest.raises(DataError, match=r"structure 1 has 300 atoms; a batch holds 256 at most\. Raise batch"):
        Sampler(sets, [np.array([0, 1])], np.array([5, 300]), Batching(), seed=0)


def test_structure_above_the_cap_on_edges_is_refused_not_skipped():
    sets = [LabelledSet(labels="cc", subset="a", probability=1.0)]
    batching = CostAwareBatching(packer="cost_aware", max_edges=100)
    with pytest.raises(DataError, match=r"structure 1 has 132 edges; a batch holds 100 at most\. Raise batch.max_ed"):
        Sampler(sets, [np.array([0, 1])], np.array([5, 12]), batching, seed=0, edges=np.array([20, 132]))


def test_steps_of_a_cost_aware_set_stay_alike_from_pass_to_pass():
    sizes = np.random.default_rng(0).integers(4, 24, 3000)
    edges = sizes * (sizes - 1)
    batching = CostAwareBatching(packer="cost_aware", max_atoms=128)
    sets = [LabelledSet(labels="cc", subset="a", probability=1.0)]
    sampler = Sampler(sets, [np.arange(3000)], sizes, batching, 0, edges)
    steps, reports = [], []
    while len(reports) < 4:
        steps.append([edges[batch.indices].sum() for batch in sampler.step()])
        reports += sampler.passes()
    assert all(report.batches % 4 for report in reports), "else no step would lie across two passes"
    loads = np.array(steps)
    assert (loads.max(axis=1) / loads.mean(axis=1)).mean() < 1.02


def test_worst_fit_makes_the_batches_that_it_always_made():
    # Stages in use were trained on these: another order would be another training under the same key.
    sampler = _two_sets(0.5)
    drawn = [batch.indices.tolist() for _ in range(40) for batch in sampler.step()]
    assert hashlib.sha256(json.dumps(drawn).encode()).hexdigest()[:12] == "ed971fc31417"
