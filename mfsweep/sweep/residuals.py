"""What label methods differ by from a target after energy offsets: the data's own part of an experiment."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mfsweep.analysis.drawn import Absent
from mfsweep.analysis.gallery import gallery
from mfsweep.analysis.study import Differences, ReportStudy, analyse
from mfsweep.data.residuals import residuals
from mfsweep.data.view import open_view
from mfsweep.prepare import Plan
from mfsweep.spec.data import ResolvedData, Splits
from mfsweep.spec.figures import Residuals

MEV = 1000.0


class WrittenResiduals(NamedTuple):
    """What figures of residuals show, and where they lie."""

    differences: Mapping[str, Differences]
    """Name of the figure -> its data, meV/atom."""
    files: list[Path]

    def as_json(self) -> dict[str, Any]:
        """Return plain data, meV/atom."""
        return {"figures": _plain(self.differences), "files": [str(path) for path in self.files]}


def asked(plan: Plan) -> dict[str, Residuals]:
    """Return the spec's figures of residuals."""
    return {name: figure for name, figure in plan.figures.items() if isinstance(figure, Residuals)}


def wanted(plan: Plan) -> dict[str, Residuals]:
    """Return the spec's figures of residuals; without any, one of the result's target against all other methods.

    Raises:
        SpecError: the spec names no target, or has no other method.
    """
    if found := asked(plan):
        return found
    experiment = plan.spec.experiment
    evaluations = [evaluation for planned in plan.graph.cells for evaluation in planned.cell.evaluations]
    target = next(
        (evaluation.labels for evaluation in evaluations if evaluation.labels in experiment.data.labels), None
    )
    others = tuple(method for method in experiment.data.labels if method != target)
    if target is None or not others:
        expected = "a figure of kind residuals, with its target and methods: the spec's `evaluate:` names none"
        raise plan.spec.document.error(("figures",), None, expected)
    return {"residuals": Residuals(kind="residuals", target=target, methods=others)}


def differences(plan: Plan, figures: Mapping[str, Residuals]) -> dict[str, Differences]:
    """Return the data of figures of residuals, in meV/atom, over all structures that carry a figure's methods.

    Raises:
        SpecError: a figure names an unknown method.
        DataError: too few structures carry its methods.
    """
    experiment = plan.spec.experiment
    # The partition does not matter here: no stage is trained, no subset looked at.
    view = open_view(
        plan.sources, ResolvedData(digest=plan.content.digest, labels=experiment.data.labels, splits=Splits())
    )
    found = {}
    for name, figure in figures.items():
        made = residuals(view, figure.target, figure.methods)
        found[name] = Differences(made.target, made.methods, MEV * made.values, made.pearson)
    return found


def write(plan: Plan, out: Path | None = None) -> WrittenResiduals:
    """Write the histograms of a plan.

    Args:
        plan: of a spec whose data are at hand.
        out: a folder in place of that of the sweep's figures.

    Raises:
        SpecError: the spec names no target, or a figure an unknown method.
        DataError: too few structures carry the methods.
    """
    figures = wanted(plan)
    found = differences(plan, figures)
    study = ReportStudy(plan.name, plan.spec.document.text, (), figures=figures, differences=found)
    drawn = gallery(study, analyse(plan.store, study))
    folder = out or plan.store.sweep(plan.name).figures
    return WrittenResiduals(found, [path for one in drawn if not isinstance(one, Absent) for path in one.save(folder)])


def _plain(found: Mapping[str, Differences]) -> dict[str, Any]:
    return {
        name: {
            "target": one.target,
            "structures": one.values.shape[1],
            "mean_abs": dict(zip(one.methods, abs(one.values).mean(axis=1).tolist(), strict=True)),
            "pearson": {
                method: dict(zip(one.methods, row, strict=True))
                for method, row in zip(one.methods, one.pearson.tolist(), strict=True)
            },
        }
        for name, one in found.items()
    }
