"""Energies of a model from outside, moved to the energy offsets of this training's labels.

A foundation model gives energies relative to its own E0, and ours have the E0 of each label method subtracted
(docs/fairness.md#rule-5). The two differ by an energy per atom of each element, which is a constant and nothing to
learn: least squares find it on the structures on which the method's E0 were fitted.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import torch

from mfsweep.data.view import DataView
from mfsweep.models.base import Potential
from mfsweep.spec.stage import Training
from mfsweep.train.evaluate import predict
from mfsweep.train.world import World


def refer(
    model: Potential,
    heads: Collection[str],
    view: DataView,
    training: Training,
    offsets: Mapping[str, Mapping[int, float]],
    world: World,
) -> None:
    """Set the shifts of some heads so that label - offsets - prediction has no part per element left.

    Args:
        model: on its device, its `shifts` zero; changed.
        heads: those that started from the model from outside; the labels of all methods of a head count together.
        view: its data.
        training: says which methods a head learns.
        offsets: label method -> atomic number -> E0, eV.
        world: ranks that share the work; all of them have the same shifts afterwards.
    """
    elements = model.shape.elements
    for head in heads:
        counts, residuals = [], []
        for method in training.methods:
            if training.head_of(method) != head:
                continue
            indices, _ = view.fit_set(method, training.sets)
            predictions = predict(
                model,
                view,
                indices,
                method,
                offsets=offsets[method],
                forces=False,
                head=head,
                max_atoms=training.recipe.batch.max_atoms,
                max_edges=training.recipe.max_edges,
                world=world,
            )
            counts.append(view.structures.counts(indices, elements).astype(np.float64))
            residuals.append(predictions.energy_reference - predictions.energy_predicted)
        # Of least length: an element that no structure holds gets 0.
        solution = np.linalg.lstsq(np.concatenate(counts), np.concatenate(residuals), rcond=None)[0]
        model.shifts[model.shape.heads.index(head)] = torch.from_numpy(solution).to(model.shifts)
    world.share_(model.shifts)
