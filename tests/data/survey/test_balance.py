from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.splits import groups_of
from mfsweep.data.survey.balance import balance, named_parts


def test_parts_add_up_to_the_whole(view):
    structures = view.structures
    parts = balance(structures, groups_of(structures, None), view.partition)
    *own, whole = parts
    assert [part.name for part in parts] == ["a", "a validation", "b", "b validation", "t", "left over", "all"]
    assert (whole.structures, whole.groups, whole.atoms) == (5477, 124, 56679)
    assert sum(part.structures for part in own) == whole.structures
    assert sum(part.atoms for part in own) == whole.atoms
    for part in parts:
        assert sum(part.shares.values()) == pytest.approx(1)
        assert part.mean_size == pytest.approx(part.atoms / part.structures)


def test_a_part_is_measured_by_its_own_structures(view):
    structures = view.structures
    part = balance(structures, groups_of(structures, None), view.partition)[0]
    own = named_parts(view.partition)["a"]
    atoms = structures.species[structures.atoms_of(own)]
    assert part.shares["O"] == pytest.approx((atoms == 8).mean())
    assert part.groups == len(np.unique(structures.formula[own]))
