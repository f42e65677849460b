"""The metric keys, each with its label and unit: the only names under which an error is ever written or read.

A metric's full path is `<part>.<method>.<quantity>`, for example `validation.dft.energy_mae`; before it a fit
puts the stage, `pretrain.validation.dft.energy_mae`, or the word `result`.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from mfsweep.errors import FitError, nearest


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
    ENERGY_MAE_SHIFTED = "energy_mae_shifted"
    """Energy MAE after the best constant shift of dE / N, their median, is removed: beside `energy_mae` it shows how
    far the energies have drifted as a whole, as they may where only forces are trained."""
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
    Quantity.ENERGY_MAE_SHIFTED: ("energy MAE after the best shift", "meV/atom"),
    Quantity.FORCE_MAE: ("force MAE", "meV/Å"),
    Quantity.FORCE_RMSE: ("force RMSE", "meV/Å"),
    Quantity.LOSS: ("loss", "eV, Å"),
}


def metric_path(part: str, method: str, quantity: str) -> str:
    """Return `<part>.<method>.<quantity>`, the key of a metric in records, files and MLflow."""
    return f"{part}.{method}.{quantity}"


PARTS = ("train", "validation", "test")
RESULT = "result"


class MetricPath(NamedTuple):
    """The parts of `<stage|result>.<part>[.<method>].<quantity>`."""

    stage: str
    """Stage name, or `result`."""
    part: str
    """train | validation | test."""
    method: str | None
    """Label method, with `@<head>` where another method's head predicts; None: the only one there."""
    quantity: Quantity

    def __str__(self) -> str:
        """Return the path as a spec writes it."""
        return ".".join(piece for piece in (self.stage, self.part, self.method, self.quantity) if piece is not None)

    @classmethod
    def parse(cls, path: str) -> MetricPath:
        """Read a path.

        Raises:
            FitError: not of that form, or the part or the quantity does not exist.
        """
        if expected := misspelt(path):
            raise FitError(f"{path!r} is not the path of a metric: expected {expected}")
        stage, part, *method, quantity = path.split(".")
        return cls(stage, part, method[0] if method else None, Quantity(quantity))

    def among(self, metrics: Iterable[str]) -> list[str]:
        """Return the metrics of one stage, of all it has, that the path names.

        None: it does not have it. Several: the path leaves out the method, and there is more than one; `cc` by its own
        head goes before `cc@dft`, which has to be asked for. A loss pooled over methods, `validation.loss`, goes first.
        """
        metrics = list(metrics)
        if self.method is not None:
            own = metric_path(self.part, self.method, self.quantity)
            return [own] if own in metrics else []
        pooled = f"{self.part}.{self.quantity}"
        if pooled in metrics:
            return [pooled]
        found = [key for key in metrics if key.split(".")[::2] == [self.part, self.quantity]]
        return [key for key in found if "@" not in key] or found


def misspelt(path: str) -> str | None:
    """Return what is expected in place of a text that is not the path of a metric, or None where it is one."""
    pieces = path.split(".")
    if len(pieces) not in (3, 4):
        return "`<stage|result>.<part>[.<method>].<quantity>`, for example result.test.cc.energy_mae"
    part, quantity = pieces[1], pieces[-1]
    if part not in PARTS:
        return f"a part ({', '.join(PARTS)}) in place of {part!r}.{nearest(part, PARTS)}"
    if quantity not in list(Quantity):
        return f"a quantity ({', '.join(Quantity)}) in place of {quantity!r}.{nearest(quantity, map(str, Quantity))}"
    return None


def count(number: int, noun: str) -> str:
    """Return a number with its noun, `1 point` or `3 points`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"
