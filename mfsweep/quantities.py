"""The metric keys, each with its label and unit: the only names under which an error is ever written or read.

A metric's name is `<part>[@<subset>].<method>[@<head>][@best].<quantity>`, for example `validation.dft.energy_mae`;
before it a fit puts the stage, `pretrain.validation.dft.energy_mae`, or the word `result`. No two metrics of a stage
share a name:

    validation.dft      the stage's own validation of a method that it trains on, at its selected checkpoint
    validation.dft@best the same at the checkpoint that was best for the method's head
    test.cc             a score on the test subset t; on another subset c it is test@c.cc
    train@a.cc, validation@b.cc    scores on the parts of a subset
    test.cc@dft         the dft head's score against cc labels
    test.cc@best        a score of the checkpoint that was best for the head, not of the selected one
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import NamedTuple

from mfsweep.errors import FitError, nearest

HOUR = 3600.0
"""Seconds."""


class Quantity(StrEnum):
    """One measured quantity; docs/fairness.md#rule-13 fixes the units."""

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


MINIMUM_X = 3
"""Distinct x of a group below which no law is fitted: two points always lie on one. Replicates are not distinct."""
MINIMUM_PRETRAININGS = 4
"""Pre-trainings of a group, replicates counted, below which no law is fitted: three leave one degree of freedom, and an
interval that says nothing. Three are drawn."""
PARTS = ("train", "validation", "test")
RESULT = "result"
_SHORT_PLACE = ("test", "t")
"""The part and subset whose scores are named by the part alone."""
BEST = "best"
"""Ends the method's piece of a name: the checkpoint best for the head, not the selected one. No head is called so."""


def score_name(part: str, subset: str, method: str, head: str | None = None, *, best: bool = False) -> str:
    """Return `<part>[@<subset>].<method>[@<head>][@best]`, what a stage's score on one labelled set is called.

    Args:
        part: train | validation | test.
        subset: whose part it is.
        method: label method of the reference values.
        head: readout head that predicts, where it is another method's.
        best: the weights are those best for the head, not the selected ones.
    """
    return f"{_place(part, subset)}.{method}" + (f"@{head}" if head else "") + (f"@{BEST}" if best else "")


def best_path(path: str) -> str:
    """Return the name of a validation metric `<part>.<method>.<quantity>` at the checkpoint best for its head."""
    part, method, quantity = path.split(".")
    return metric_path(part, f"{method}@{BEST}", quantity)


class MetricPath(NamedTuple):
    """The parts of `<stage|result>.<part>[@<subset>][.<method>].<quantity>`."""

    stage: str
    """Stage name, or `result`."""
    part: str
    """train | validation | test."""
    method: str | None
    """Label method, with `@<head>` where another method's head predicts and `@best` where its best checkpoint does;
    None: the only one there."""
    quantity: Quantity
    subset: str | None = None
    """None: `t` of a test, the stage's own validation sets, else the only one there."""

    def __str__(self) -> str:
        """Return the path as a spec writes it."""
        part = f"{self.part}@{self.subset}" if self.subset else self.part
        return ".".join(piece for piece in (self.stage, part, self.method, self.quantity) if piece is not None)

    @classmethod
    def parse(cls, path: str) -> MetricPath:
        """Read a path.

        Raises:
            FitError: not of that form, or the part or the quantity does not exist.
        """
        if expected := misspelt(path):
            raise FitError(f"{path!r} is not the path of a metric: expected {expected}")
        stage, place, *method, quantity = path.split(".")
        part, _, subset = place.partition("@")
        return cls(stage, part, method[0] if method else None, Quantity(quantity), subset or None)

    @property
    def best(self) -> bool:
        """Return whether it means the checkpoint best for a head, not the selected one."""
        return (self.method or "").endswith(f"@{BEST}")

    def among(self, metrics: Iterable[str]) -> list[str]:
        """Return the metrics of one stage, of all it has, that the path names.

        None: it does not have it. Several: the path leaves something open, and there is more than one. What has no `@`
        goes first, and `cc@dft` or `cc@best` has to be asked for: without a method the path means a method by its own
        head, without a subset the subset whose metrics are named without it. A loss pooled over methods,
        `validation.loss`, goes before all.
        """
        metrics = list(metrics)
        place = _place(self.part, self.subset) if self.subset else self.part
        exact = ".".join(piece for piece in (place, self.method, self.quantity) if piece is not None)
        if exact in metrics:
            return [exact]
        found = [key for key in metrics if self._leaves_open(key, place)]
        for piece in (1, 0):  # the method's, the part's
            found = [key for key in found if "@" not in key.split(".")[piece]] or found
        return found

    def _leaves_open(self, metric: str, place: str) -> bool:
        """Return whether a metric is what the path says, as far as it says anything."""
        there, *method, quantity = metric.split(".")
        if not method or quantity != self.quantity or self.method not in (None, *method):
            return False
        return there == place if self.subset else there.partition("@")[0] == self.part


def _place(part: str, subset: str) -> str:
    return part if (part, subset) == _SHORT_PLACE else f"{part}@{subset}"


def told_apart(metrics: Sequence[str]) -> list[str]:
    """Return what tells some metrics of one quantity apart: the methods, with part and subset where these differ."""
    names = [metric.rpartition(".")[0] for metric in metrics]
    several = len({name.partition(".")[0] for name in names}) > 1
    return names if several else [name.partition(".")[2] for name in names]


def misspelt(path: str, measured: Sequence[str] | None = None) -> str | None:
    """Return what is expected in place of a text that is not the path of a metric, or None where it is one.

    Args:
        path: the text.
        measured: the quantities that there are where the path points, as far as it is known; default: all.
    """
    pieces = path.split(".")
    if len(pieces) not in (3, 4):
        return "`<stage|result>.<part>[@<subset>][.<method>].<quantity>`, for example result.test.cc.energy_mae"
    part, quantity = pieces[1].partition("@")[0], pieces[-1]
    if part not in PARTS:
        return f"a part ({', '.join(PARTS)}) in place of {part!r}.{nearest(part, PARTS)}"
    if quantity not in list(Quantity):
        known = [str(name) for name in measured or Quantity]
        return f"a quantity ({', '.join(known)}) in place of {quantity!r}.{nearest(quantity, known)}"
    return None


def count(number: int, noun: str) -> str:
    """Return a number with its noun, `1 point` or `3 points`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def span(seconds: float) -> str:
    """Return a time as a person says it: `4d 03h`, `3h 05m`, `2m 10s`, `7s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours >= _DAYS_FROM:
        return f"{hours // 24}d {hours % 24:02d}h"
    return f"{hours}h {minutes:02d}m" if hours else f"{minutes}m {rest:02d}s" if minutes else f"{rest}s"


_DAYS_FROM = 48
"""Hours from which a time is told in days."""


ABOVE_OFFSETS = "! above the error of the energy offsets alone: worse than no model"
"""What the mark of `beside_offsets` means, for the foot of a table."""


def beside_offsets(text: str, error: float, offsets_only: float | None) -> str:
    """Return an error's text, marked where energy offsets without any model do better.

    Args:
        text: the error as it is shown.
        error: its value.
        offsets_only: that of the null model, where it is known.
    """
    return f"{text}!" if offsets_only is not None and error > offsets_only else text
