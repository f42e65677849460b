"""Errors are split up from the predictions that lie in the store."""

from __future__ import annotations

import numpy as np
import pytest

from mfsweep.analysis.facts import Facts
from mfsweep.analysis.leading import leading
from mfsweep.analysis.page.blocks import Pictures, SortableTable
from mfsweep.analysis.predicted import predicted
from mfsweep.analysis.report.errors import blocks
from mfsweep.analysis.study import ReportStudy, analyse
from mfsweep.quantities import MetricPath

Y = "result.test.cc.energy_mae"
FORMULAE = ("CH4", "H2O", "CH2O", "H3N")
ATOMS = (5, 3, 4, 4)
KINDS = {"CH4": (0, 1, 1, 1, 1), "H2O": (2, 1, 1), "CH2O": (0, 2, 1, 1), "H3N": (3, 1, 1, 1)}
ELEMENTS = ("C", "H", "O", "N")
CONFORMERS = 6


def write_predictions(world, off):
    """Give each result predictions that are wrong by `off` eV/atom for water, by a tenth of that for all else."""
    formula = np.repeat(np.arange(4), CONFORMERS)
    atoms = np.array(ATOMS)[formula]
    reference = np.linspace(-5, 5, len(formula))
    rng = np.random.default_rng(0)
    forces = rng.normal(size=(atoms.sum(), 3))
    for key, wrong in off.items():
        error = np.where(formula == 1, wrong, wrong / 10)
        path = world.store.stage(key).evaluation_paths({"labels": "cc", "subset": "t", "part": "test"})[1]
        np.savez(
            path, index=np.arange(len(formula)), formula=formula, atoms=atoms, energy_reference=reference,
            energy_predicted=reference + error * atoms, forces_reference=forces, forces_predicted=forces + 0.01,
        )  # fmt: skip


def look(cell, members, method):
    assert method == "cc"
    names = [FORMULAE[one // CONFORMERS] for one in members]
    kind = np.concatenate([KINDS[name] for name in names])
    rng = np.random.default_rng(1)
    forces = rng.normal(size=(len(kind), 3))
    return Facts(tuple(names), ELEMENTS, kind, forces, "dft", members / len(members))


@pytest.fixture
def told(world):
    world.grid({"dft": 0.8}, pretrain_sizes=(100, 1000), finetune_sizes=(30,), seeds=(0, 1))
    keys = {cell.stages["finetune"]: cell.values["pretrain_size"] for cell in world.cells}
    write_predictions(world, {key: 0.02 if size else 0.05 for key, size in keys.items()})
    study = ReportStudy("demo", "name: demo", world.cells, look=look)
    return study, analyse(world.store, study)


def test_the_best_setting_stands_beside_direct_training_of_its_labels(told):
    best, direct = leading(told[1].results[0].outcomes)
    assert best.values["pretrain_size"] == 1000
    assert direct.direct
    assert [len(side.outcomes) for side in (best, direct)] == [2, 2]


def test_replicates_stand_together_and_energies_are_per_atom(told):
    study, analysis = told
    best, _ = leading(analysis.results[0].outcomes)
    found = predicted(analysis.records, best, MetricPath.parse(Y), study.look)
    assert len(found.error) == 2 * 4 * CONFORMERS
    assert found.error[found.formula == "H2O"] == pytest.approx(20.0)
    assert found.force_error == pytest.approx(10.0)
    assert found.counts.sum() == found.atoms.sum() == len(found.kind)


def test_errors_are_split_by_element_and_formula(told):
    study, analysis = told
    made = blocks(study, analysis, analysis.results[0])
    elements, formulae = (one for one in made if isinstance(one, SortableTable))
    assert elements.head[1:4] == ["label method", "pretrain size", "finetune size"]
    assert elements.rows[0][:4] == ("best", "dft", "1,000", "30")
    rows = {(row[0], row[4]): row[3:] for row in elements.rows}
    assert rows["best", "N"][2:4] == ("12", "1")
    assert float(rows["direct", "O"][4]) == pytest.approx((50 + 5) / 2, rel=1e-2), "water and formaldehyde"
    assert float(rows["best", "O"][7]) == pytest.approx(10.0)
    assert formulae.rows[0][4] == "H2O", "the worst first"
    assert formulae.rows[0][-1] == "+20"


def test_there_is_a_picture_for_each_way_to_split(told):
    study, analysis = told
    made = blocks(study, analysis, analysis.results[0])
    (pictures,) = (one.pictures for one in made if isinstance(one, Pictures))
    assert [one.stem.partition(".")[0] for one in pictures] == [
        "parity", "elements", "sizes", "force", "distance", "parity_forces", "force_error",
    ]  # fmt: skip
    assert "</svg>" in pictures[0].svg
    assert "fingerprints" in pictures[4].caption


def test_without_predictions_there_is_no_section(world):
    world.grid({"dft": 1.35}, pretrain_sizes=(100,))
    study = ReportStudy("demo", "name: demo", world.cells, look=look)
    analysis = analyse(world.store, study)
    assert blocks(study, analysis, analysis.results[0]) == []
