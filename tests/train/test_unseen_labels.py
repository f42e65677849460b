"""No label of a test structure is in any weight: all of them are changed, and the weights stay bit for bit."""

from __future__ import annotations

import copy

import numpy as np
import pytest

from mfsweep.data.structures import Column, Labels
from mfsweep.data.view import DataView
from mfsweep.spec.data import Difference, Shuffled, Splits, Subset
from mfsweep.spec.stage import LabelledSet, LossWeights
from mfsweep.train import load_weights
from mfsweep.train.checkpoint import load

NEEDS = ("cc", "dft")
PLAIN = LabelledSet(labels="dft", subset="b", size=40, probability=1.0)
METHODS = [None, Difference(target="cc", minus="dft"), Shuffled(shuffled="dft"), Shuffled(shuffled="cc")]


@pytest.mark.parametrize("by", [None, "family"])
@pytest.mark.parametrize("method", METHODS, ids=lambda own: own.name if own else "its own")
def test_changing_every_test_label_moves_no_weight(view, tiny, run, tmp_path, by, method):
    structures = view.structures
    codes = np.random.default_rng(1).integers(50, size=len(structures.formula)).astype(np.int32)
    structures = structures._replace(columns={"family": Column(codes, tuple(f"{code:02d}" for code in range(50)))})
    data = view.data.but(
        derived={method.name: method} if method else None,
        splits=Splits(
            by=by,
            a=Subset(size=60, validation=12, needs=NEEDS),
            b=Subset(size=80, validation=15, needs=NEEDS),
            t=Subset(size=60, needs=NEEDS),
        ),
    )

    def opened(labels) -> DataView:
        source = copy.copy(view._source)
        source.structures, source._derived = structures._replace(labels=labels), {}
        return DataView(source, data)

    name = method.name if method else "dft"
    energies_only = name.startswith("cc")
    training = tiny(
        (PLAIN.but(labels=name),),
        data=data,
        max_steps=4,
        validate_every=2,
        loss={name: LossWeights(energy=10.0, forces=0.0) if energies_only else LossWeights()},
    )
    test = opened(structures.labels).partition.train["t"]
    changed = {}
    for label, own in structures.labels.items():
        energy, forces = own.energy.copy(), None if own.forces is None else own.forces.copy()
        energy[test] += 50.0
        if forces is not None:
            forces[structures.atoms_of(test)] *= -3.0
        changed[label] = Labels(energy, forces)
    for folder, labels in (("before", structures.labels), ("after", changed)):
        run(training, folder, on=opened(labels))
    before, after = (tmp_path / folder / "checkpoints" for folder in ("before", "after"))
    ours, theirs = (load_weights(folder / "selected.pt") for folder in (before, after))
    assert ours.offsets == theirs.offsets
    assert all(ours.state[key].equal(theirs.state[key]) for key in ours.state)
    assert load(before / "last.pt")["parameters"].equal(load(after / "last.pt")["parameters"])
