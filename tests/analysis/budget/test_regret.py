"""What losses come to: few that are very large neither make the expected loss nor move it."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from mfsweep.analysis.budget.regret import LEVEL, bound, expected, losses
from mfsweep.analysis.budget.rounds import seen

LOSSES = arrays(np.float64, st.sampled_from([1, 39, 40, 400, 1000]), elements=st.floats(0, 100))


@given(LOSSES, st.floats(0, 1e300))
def test_the_rarest_losses_do_not_count_by_how_large_they_are(found, more):
    told = expected(found)
    assert 0 <= told <= bound(found) * (1 + 1e-12)
    assert told <= found.mean() * (1 + 1e-12)
    rare = np.argsort(found, kind="stable")[len(found) - int(len(found) * (1 - LEVEL)) :]
    found[rare] += more
    assert expected(found) == told


@given(LOSSES, st.one_of(st.none(), st.floats(0, 100)))
def test_a_bound_is_below_a_limit_exactly_where_enough_losses_are(found, limit):
    look = seen(found, float(found[0]) if limit is None else limit)
    limit = float(found[0]) if limit is None else limit
    assert (look.bound < limit) == (look.below >= LEVEL)


def test_a_truth_that_no_number_holds_has_a_loss():
    errors = np.array([[1e6, 0.0], [0.0, 0.0]])
    assert np.isfinite(losses(errors, 0)).all()
    assert losses(errors, 0)[1] == 0
