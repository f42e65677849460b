from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data import dataset
from mfsweep.data.importing import memory
from mfsweep.data.source import resolve
from mfsweep.errors import SpecError
from mfsweep.prepare.label_costs import measured, with_measured
from mfsweep.spec.data import LabelKeys
from mfsweep.spec.figures import Pareto
from mfsweep.spec.load import load

FIGURE = """\
figures:
  budget: {kind: pareto, y: test.cc.energy_mae, costs: {cc: 20.0, dft: measured}}
fits:
"""


@pytest.fixture
def labelled(tmp_path):
    """Make a data set of a few structures with dft labels that took 2 and 4 core-seconds."""
    source = memory.read(resolve("bundled:mini-ccx", tmp_path), {"dft": LabelKeys(energy="wb97x_631gd.energy")})
    first = slice(0, int(source.offsets[3]))
    path = tmp_path / "own.h5"
    with dataset.Writer(path, energies=["plain"]) as writer:
        positions, energy = source.positions[first], {"plain": np.zeros(3)}
        writer.add(dataset.Chunk(source.sizes[:3], source.species[first], positions, energy, {}))
        writer.finish({})
    made = dataset.Labelling(np.array([2.0, 4.0, np.nan], np.float32), {2: "no convergence"}, {})
    dataset.add_labels(path, "wb97x", dataset.NewLabels(np.array([0.0, 0.0, np.nan]), None, made))
    return path


def spec_with(write_spec, energy="wb97x.energy", figure=FIGURE):
    dft = 'energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"'
    return load(write_spec((dft, f'energy: "{energy}"'), ("fits:\n", figure)))


def test_measured_costs_are_the_mean_of_what_labels_took(write_spec, labelled):
    figure = with_measured(spec_with(write_spec), {"": labelled})["budget"]
    assert isinstance(figure, Pareto)
    assert figure.numbers == {"cc": 20.0, "dft": 3.0}


def test_labels_that_mfsweep_did_not_make_have_no_measured_cost(write_spec, labelled):
    with pytest.raises(SpecError, match=r"figures\.budget\.costs\.dft: got 'measured', expected a number: .*own\.h5"):
        with_measured(spec_with(write_spec, energy="plain.energy"), {"": labelled})


def test_measured_costs_are_in_core_seconds(write_spec, labelled):
    figure = FIGURE.replace("measured}", "measured}, unit: euro")
    with pytest.raises(SpecError, match=r"figures\.budget\.unit: got 'euro', expected core-seconds"):
        with_measured(spec_with(write_spec, figure=figure), {"": labelled})


def test_costs_of_several_stores_count_by_their_labels(labelled, tmp_path):
    other = tmp_path / "other.h5"
    other.write_bytes(labelled.read_bytes())
    made = dataset.Labelling(np.array([9.0, np.nan, np.nan], np.float32), {}, {})
    dataset.add_labels(other, "wb97x", dataset.NewLabels(np.array([0.0, np.nan, np.nan]), None, made), replace=True)
    keys = LabelKeys(energy="wb97x.energy")
    assert measured(keys, {"x": labelled, "y": other}) == 5.0
    assert measured(keys.but(source="y"), {"x": labelled, "y": other}) == 9.0
