from __future__ import annotations

from mfsweep.analysis.histories import histories
from mfsweep.analysis.records import Records
from mfsweep.analysis.report.training import blocks
from mfsweep.analysis.study import ReportStudy, analyse
from mfsweep.metrics_file import append, line, pack


def test_a_history_is_read_once_a_stage_and_a_step_written_twice_counts_as_it_was_last(world):
    world.grid({"dft": 1.35}, pretrain_sizes=(25, 100), finetune_sizes=(30,))
    (parent, _) = {cell.stages["pretrain"]: None for cell in world.cells if "pretrain" in cell.stages}
    folder = world.store.stage(parent)
    path = "validation.dft.energy_mae"
    append(
        folder.metrics, [line(step, {path: error}, 1.0) for step, error in ((20, 9.0), (40, 8.0), (40, 7.0), (80, 5.0))]
    )
    pack(folder.metrics)
    (own,) = histories(Records(world.store, world.cells), world.cells).values()
    assert [(one.steps, one.errors, one.selected) for one in own] == [((20, 40, 80), (9.0, 7.0, 5.0), 80)]
    assert own[0].values["pretrain_size"] == 25


def test_trainings_of_a_stage_are_one_picture(world):
    world.grid({"dft": 1.35}, pretrain_sizes=(25, 100), finetune_sizes=(30,), capped=(25,))
    for cell in world.cells:
        for name, method in (("pretrain", "dft"), ("finetune", "cc")):
            if name in cell.stages:
                folder = world.store.stage(cell.stages[name])
                folder.metrics.unlink(missing_ok=True)
                lines = [line(step, {f"validation.{method}.energy_mae": 100 / step}, 1.0) for step in (20, 40, 80)]
                append(folder.metrics, lines)
    study = ReportStudy("demo", "name: demo", world.cells)
    (pictures, *_) = blocks(study, analyse(world.store, study))
    assert [one.stem for one in pictures.pictures] == ["training.finetune.cc", "training.pretrain.dft"]
    labels = [text.get_text() for text in pictures.pictures[1].figure.legends[0].get_texts()]
    assert labels == ["25", "100", "not converged"]
