"""The validation of a training: which structures score each label method, what is measured, and the total loss."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from mfsweep.data.view import DataView
from mfsweep.errors import DataError, TrainingError
from mfsweep.quantities import Quantity, metric_path
from mfsweep.spec.data import SubsetName
from mfsweep.spec.stage import Training
from mfsweep.train.evaluate import errors, predict
from mfsweep.train.loss import learns_forces
from mfsweep.train.selection import TOTAL_LOSS
from mfsweep.train.state import TrainingState
from mfsweep.train.world import World


class Validation(NamedTuple):
    """The validation set of one label method."""

    indices: np.ndarray
    """(S,) structures."""
    head: str
    """Readout head that predicts."""
    share: float
    """Probability of a batch of this method."""
    forces: bool
    """Whether forces are computed: those of a method that is trained on energies alone never are."""

    def quantities(self, view: DataView) -> list[Quantity]:
        """Return what it measures."""
        formula = view.structures.formula[self.indices]
        absent = set() if self.forces else {Quantity.FORCE_MAE, Quantity.FORCE_RMSE}
        if len(np.unique(formula)) == len(formula):
            absent.add(Quantity.ENERGY_MAE_WITHIN_FORMULA)
        return [quantity for quantity in Quantity if quantity not in absent]


def validation_of(training: Training, view: DataView, method: str) -> Validation:
    """Return a method's validation set: that of every subset on which the training uses it.

    Raises:
        DataError: it is empty.
    """
    sets = [labelled for labelled in training.sets if labelled.labels == method]
    subsets: list[SubsetName] = sorted({labelled.subset for labelled in sets})
    indices = view.validation(method, subsets)
    if not len(indices):
        raise DataError(
            f"no validation structures for {method}: the subset {' and '.join(subsets)} has none that carry its "
            f"labels. Expected some to choose the checkpoint by: set data.splits.{subsets[0]}.validation"
        )
    share = sum(labelled.probability or 0.0 for labelled in sets)
    return Validation(indices, training.head_of(method), share, learns_forces(training, method))


def validate(
    state: TrainingState, view: DataView, validations: Mapping[str, Validation], world: World
) -> dict[str, float]:
    """Return the validation metrics by full path, the same on every rank.

    Raises:
        TrainingError: one is not finite.
    """
    metrics: dict[str, float] = {}
    total = 0.0
    for method, validation in validations.items():
        predictions = predict(
            state.model,
            view,
            validation.indices,
            method,
            offsets=state.offsets[method],
            forces=validation.forces,
            head=validation.head,
            max_atoms=state.training.recipe.batch.max_atoms,
            max_edges=state.training.recipe.max_edges,
            world=world,
        )
        found = errors(predictions, state.training.recipe.loss[method])
        metrics |= {metric_path("validation", method, quantity): value for quantity, value in found.items()}
        total += validation.share * found[Quantity.LOSS]
    metrics[TOTAL_LOSS] = total
    wrong = sorted(path for path, value in metrics.items() if not np.isfinite(value))
    if wrong:
        raise TrainingError(
            f"{wrong[0]} is not finite at step {state.step}: lower the stage's learning_rate, "
            "or look at the validation set's labels"
        )
    return metrics
