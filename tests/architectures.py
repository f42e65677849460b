"""Small sizes of every architecture, each of which is held to every law of tests/models."""

from __future__ import annotations

from mfsweep.models.allegro import Allegro
from mfsweep.models.architecture import Architecture
from mfsweep.models.mace import Mace
from mfsweep.models.painn import Painn

SPECS: dict[str, dict[str, Architecture]] = {
    "mace": {
        "scalars": Mace(channels=4, max_L=0, max_ell=2, correlation=2, radial_hidden=(8,), readout_hidden=4),
        "vectors": Mace(channels=4, max_L=1, max_ell=3, correlation=2, radial_hidden=(8,), readout_hidden=4),
        "residual": Mace(channels=4, max_L=0, max_ell=2, correlation=2, layers=3, radial_hidden=(8,), readout_hidden=4, interaction_first="residual", distance_transform="Agnesi"),
    },
    "allegro": {
        "tensors": Allegro(architecture="allegro", tensor_channels=4, scalar_channels=8, mlp_layers=1, mlp_width=8, readout_hidden=4),
        "scalars": Allegro(architecture="allegro", l_max=0, tensor_channels=4, scalar_channels=8, mlp_width=8, readout_hidden=4),
        "deep": Allegro(architecture="allegro", layers=3, l_max=1, tensor_channels=4, scalar_channels=8, mlp_width=8, readout_hidden=4),
    },
    "painn": {
        "small": Painn(channels=6, layers=2, bessel=4, readout_hidden=4),
        "one layer": Painn(channels=6, layers=1, readout_hidden=4),
    },
}  # fmt: skip
"""Architecture -> what a size of it is called -> the size; the first is the quickest."""
