"""Writes a small MACE of mace-torch with the heads `pbe` and `r2scan`, for docs/how-to/foundation-model.md."""

from __future__ import annotations

import sys

import torch
from mace import modules
from mace.modules import interaction_classes

from e3nn import o3  # isort: skip (mace comes first: it sets how e3nn's constants load)

RESIDUAL = interaction_classes["RealAgnosticResidualInteractionBlock"]

if __name__ == "__main__":
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(3)
    model = modules.ScaleShiftMACE(
        atomic_inter_scale=[0.8, 1.7],
        atomic_inter_shift=[0.1, -0.2],
        r_max=4.1,
        num_bessel=6,
        num_polynomial_cutoff=5,
        max_ell=2,
        interaction_cls=RESIDUAL,
        interaction_cls_first=RESIDUAL,
        num_interactions=2,
        num_elements=4,
        hidden_irreps=o3.Irreps("4x0e+4x1o"),
        MLP_irreps=o3.Irreps("3x0e"),
        atomic_energies=[[-13.5, -1030.0, -1485.0, -2042.0], [-13.0, -1029.0, -1484.0, -2041.0]],
        avg_num_neighbors=7.25,
        atomic_numbers=[1, 6, 7, 8],
        correlation=2,
        gate=torch.nn.functional.silu,
        radial_MLP=[8],
        heads=["pbe", "r2scan"],
    )
    torch.save(model, sys.argv[1])
