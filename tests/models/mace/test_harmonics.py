from __future__ import annotations

import pytest
import torch

from mfsweep.models.mace.harmonics import Harmonics
from mfsweep.models.mace.network import o3


@pytest.mark.parametrize("highest", range(7))
def test_the_harmonics_are_e3nns(highest):
    vectors = torch.randn(40, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(highest))
    unit = vectors / vectors.norm(dim=1, keepdim=True)
    ours = Harmonics(highest, o3.wigner_3j, torch.float64)(unit)
    theirs = o3.spherical_harmonics(list(range(highest + 1)), unit, normalize=True, normalization="component")
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def test_no_order_is_in_a_models_state(make_model):
    assert not [name for name in make_model().state_dict() if "coupling" in name]
