from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data.residuals import residual, residuals
from mfsweep.errors import DataError

MOLECULES = [([6, 1, 1, 1, 1], 3), ([8, 1, 1], 3), ([6, 8, 8], 3), ([7, 1, 1, 1], 2), ([6, 7, 1], 2)]


def test_residuals_of_the_bundled_data_are_the_published_ones(view):
    found = residuals(view, "cc", ["dft", "xtb"])
    assert found.methods == ("dft", "xtb")
    assert found.values.shape == (2, 562)
    np.testing.assert_allclose(1000 * found.mean_abs, [20.5, 60.0], atol=0.05)
    assert found.pearson[0, 1] == pytest.approx(0.56, abs=0.01)
    np.testing.assert_allclose(found.pearson, np.corrcoef(found.values))


def test_residuals_run_over_the_structures_that_carry_all_methods(view):
    structures = view.structures
    test = view.partition.train["t"]
    found = residuals(view, "dft", ["cc", "xtb"], among=np.setdiff1d(np.arange(len(structures.formula)), test))
    assert all(structures.carries(method, forces=False)[found.index].all() for method in ("cc", "dft", "xtb"))
    assert not np.isin(found.index, test).any()


def test_no_residual_has_a_part_that_offsets_explain(view):
    found = residuals(view, "cc", ["xtb"])
    structures = view.structures
    molecule = found.values[0] * structures.sizes[found.index]
    counts = structures.counts(found.index, view.elements)
    np.testing.assert_allclose(counts.T @ molecule, 0.0, atol=1e-6)


def test_residual_that_does_not_vary_correlates_with_nothing(view):
    found = residuals(view, "cc", ["cc", "xtb"])
    assert found.mean_abs[0] == 0
    assert np.isnan(found.pearson[0]).all()
    assert found.pearson[1, 1] == pytest.approx(1.0)


def test_methods_that_cannot_be_compared_are_refused(view):
    with pytest.raises(DataError, match=r"got 'dtf'.*Did you mean 'dft'"):
        residuals(view, "cc", ["dtf"])
    with pytest.raises(DataError, match="structures that carry all of cc, dft, got 1"):
        residuals(view, "cc", ["dft"], among=view.partition.train["a"][:1])
    members = view.partition.train["a"]
    _, first = np.unique(view.structures.formula[members], return_index=True)
    two = members[first[:2]]
    with pytest.raises(
        DataError, match=r"the 2 structures that carry all of cc, dft have 2 compositions .* leave nothing"
    ):
        residuals(view, "cc", ["dft"], among=two)


def test_residual_is_nan_where_a_method_has_no_label(make_structures):
    structures = make_structures(MOLECULES, {"cc": [4], "xtb": []})
    offsets = dict.fromkeys((1, 6, 7, 8), 0.0)
    left = residual(structures, np.arange(13), "cc", "xtb", offsets, offsets)
    np.testing.assert_array_equal(np.flatnonzero(np.isnan(left)), [4])
