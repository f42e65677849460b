from __future__ import annotations

import numpy as np

from mfsweep.data.order import order_keys
from mfsweep.data.structures import concatenate

MOLECULES = [([6, 1, 1, 1, 1], 5), ([8, 1, 1], 7)]


def test_keys_are_distinct_for_structures_salts_and_sources(make_structures):
    one = make_structures(MOLECULES)
    both = concatenate({"x": one, "y": one})
    keys = np.concatenate([order_keys(own, salt) for own in (one, both) for salt in ("0:a", "1:a")])
    assert len(np.unique(keys)) == len(keys) == 72


def test_another_source_changes_no_key(make_structures):
    one, other = make_structures(MOLECULES), make_structures([([6, 8, 8], 3), *MOLECULES])
    alone = order_keys(concatenate({"y": one}), "0:a")
    np.testing.assert_array_equal(order_keys(concatenate({"x": other, "y": one}), "0:a")[-12:], alone)
