"""How the trainings went: learning curves, validation error over steps, tables of checkpoints and of mixtures."""

from __future__ import annotations

from mfsweep.analysis.checkpoints import CHECKPOINTS_HEAD, two_checkpoints
from mfsweep.analysis.checkpoints import TEXT as CHECKPOINT_TEXT
from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.histories import histories
from mfsweep.analysis.learning import learning_curves
from mfsweep.analysis.page.blocks import Heading, PageBlock, Pictures, SortableTable
from mfsweep.analysis.report.rows import axes_of, fields, names, stage_values
from mfsweep.analysis.shares import MIXTURES_HEAD, TEXT, realised
from mfsweep.analysis.study import Analysis, ReportStudy
from mfsweep.analysis.training_figures import learning_figure, training_figure
from mfsweep.quantities import count


def blocks(study: ReportStudy, analysis: Analysis) -> list[PageBlock]:
    """Return the section."""
    found: list[PageBlock] = []
    pictures = [
        Picture(
            f"learning.{name}.{method}",
            f"Learning curve of stage {name}: validation error at the selected checkpoint; the line is the geometric "
            "mean of the trainings of a size. Hollow: not converged.",
            learning_figure(own, method, study.palette),
        )
        for (name, method), own in learning_curves(analysis.records, study.cells).items()
    ]
    pictures += [
        Picture(
            f"training.{name}.{method}",
            f"Stage {name}: validation error against {method} by optimiser step ({count(len(own), 'training')}). Dot: "
            "the selected checkpoint, hollow where the training has not converged.",
            training_figure(own, method, study.palette),
        )
        for (name, method), own in histories(analysis.records, study.cells).items()
    ]
    if pictures:
        found.append(Pictures(pictures))
    return [*found, *_checkpoints(study, analysis), *_mixtures(study, analysis)]


def _checkpoints(study: ReportStudy, analysis: Analysis) -> list[PageBlock]:
    found = two_checkpoints(analysis.records, study.cells)
    if not found:
        return []
    values = stage_values(study.cells)
    axes = axes_of(values[one.key] for one in found)
    rows = [(one.stage, *fields(values[one.key], axes), *one.row()[1:]) for one in found]
    head = [CHECKPOINTS_HEAD[0], *names(axes), *CHECKPOINTS_HEAD[1:]]
    text = {0, *range(1, len(axes) + 1), *(place + len(axes) for place in CHECKPOINT_TEXT if place)}
    said = "Validation energy MAE at the selected checkpoint, of which all numbers here are, and at the head's own best"
    fold = "Heads that were best at another step, or still improving"
    return [Heading("Checkpoints"), SortableTable(said, head, rows, frozenset(text), fold=fold)]


def _mixtures(study: ReportStudy, analysis: Analysis) -> list[PageBlock]:
    rows = [one.row() for one in realised(analysis.records, study.cells)]
    if not rows:
        return []
    said = "Shares of each training's batches, structures and atoms, least to greatest over the trainings"
    fold = "Labelled sets of trainings that mix several"
    return [Heading("Mixtures"), SortableTable(said, MIXTURES_HEAD, rows, frozenset(TEXT), fold=fold)]
