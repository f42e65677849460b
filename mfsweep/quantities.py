"""The metric keys, each with its label and unit: the only names under which an error is ever written or read.

A metric's full path is `<part>.<method>.<quantity>`, for example `validation.dft.energy_mae`; before it a fit
puts the stage, `pretrain.validation.dft.energy_mae`, or the word `result`.
"""

from __future__ import annotations

from enum import StrEnum


class Quantity(StrEnum):
    """One measured quantity; README rule 13 fixes the units."""

    ENERGY_MAE = "energy_mae"
    """Mean over structures of |dE| / N."""
    ENERGY_RMSE = "energy_rmse"
    """Root mean square over structures of dE / N."""
    ENERGY_MAE_MOLECULE = "energy_mae_molecule"
    """Mean over structures of |dE|."""
    ENERGY_MAE_WITHIN_FORMULA = "energy_mae_within_formula"
    """Energy MAE after each formula's mean dE / N is removed: free of energy offsets. Lone structures are left out."""
    FORCE_MAE = "force_mae"
    """Mean over structures' force components of |dF|."""
    FORCE_RMSE = "force_rmse"
    """Root mean square over force components of dF."""
    LOSS = "loss"
    """Mean over structures of the training loss (eV, angstrom)."""

    @property
    def label(self) -> str:
        """Return the name for an axis or a table's head, without its unit."""
        return _LABELS[self][0]

    @property
    def unit(self) -> str:
        """Return the unit as it is printed."""
        return _LABELS[self][1]


_LABELS = {
    Quantity.ENERGY_MAE: ("energy MAE", "meV/atom"),
    Quantity.ENERGY_RMSE: ("energy RMSE", "meV/atom"),
    Quantity.ENERGY_MAE_MOLECULE: ("energy MAE", "meV/molecule"),
    Quantity.ENERGY_MAE_WITHIN_FORMULA: ("within-formula energy MAE", "meV/atom"),
    Quantity.FORCE_MAE: ("force MAE", "meV/Å"),
    Quantity.FORCE_RMSE: ("force RMSE", "meV/Å"),
    Quantity.LOSS: ("loss", "eV, Å"),
}


def metric_path(part: str, method: str, quantity: str) -> str:
    """Return `<part>.<method>.<quantity>`, the key of a metric in records, files and MLflow."""
    return f"{part}.{method}.{quantity}"
