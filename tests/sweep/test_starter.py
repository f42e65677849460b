"""The sizes that a first spec begins with."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.sweep.starter import ENOUGH, proposals


def start(labelled, rest, *, together):
    methods = {"dft": SimpleNamespace(structures=rest)}
    return SimpleNamespace(
        labelled=labelled, auxiliary="dft", needs=("cc", "dft") if together else ("cc",), methods=methods
    )


@pytest.mark.parametrize("folds", [None, 5])
@given(labelled=st.integers(20, 1_000_000), rest=st.integers(20, 10_000_000), together=st.booleans())
def test_no_validation_grows_with_the_data_without_end(folds, labelled, rest, together):
    for sizes in proposals(start(labelled, max(labelled, rest), together=together), folds):
        assert 2 <= sizes.validation <= ENOUGH
        assert 2 <= sizes.auxiliary <= ENOUGH
        assert sizes.train + sizes.validation + sizes.test <= labelled
