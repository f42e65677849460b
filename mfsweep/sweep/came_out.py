"""What a sweep's own run in MLflow is told at its end: laws and best cells as metrics, and the table of its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from mfsweep.analysis.study import Analysis
from mfsweep.plan.graph import StageGraph
from mfsweep.quantities import RESULT, MetricPath
from mfsweep.run.mlflow_names import FINISHED_STAGES, View, grouped, plain


@dataclass
class CameOut:
    """Numbers, texts and the table of runs."""

    metrics: dict[str, float] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    view: View | None = None
    sentences: list[str] = field(default_factory=list)
    """What the auxiliary labels did (analysis/conclusion.py)."""


def came_out(analysis: Analysis, graph: StageGraph, sentences: Sequence[str]) -> CameOut:
    """Return what came out of a sweep."""
    metrics: dict[str, float] = {}
    tags: dict[str, str] = {}
    for law in analysis.laws:
        for line in filter(None, (*law.lines, law.pooled, law.converged)):
            place = f"law/{plain(law.name)}.{plain(line.group)}"
            metrics |= {
                f"{place}.gradient": line.gradient,
                f"{place}.ci_low": line.interval.low,
                f"{place}.ci_high": line.interval.high,
                f"{place}.points": float(line.n),
            }
    for result in analysis.results:
        best = min(result.outcomes, key=lambda outcome: outcome.error)
        name = plain(str(result.path).replace("@", ":"))
        metrics[f"best/{name}"] = best.error
        tags[f"best.{name}"] = " ".join(f"{axis}={value}" for axis, value in best.cell.values.items())
    if sentences:
        tags["conclusion"] = " ".join(sentences)
    finite = {name: value for name, value in metrics.items() if math.isfinite(value)}
    return CameOut(finite, tags, _view(analysis, graph), list(sentences))


def _view(analysis: Analysis, graph: StageGraph) -> View:
    """Return the table of the results: their axes, their errors, and the errors that the laws set beside them."""
    results = {planned.cell.result for planned in graph.cells}
    own = next(iter(results)) if len(results) == 1 else None
    axes = dict.fromkeys(axis for planned in graph.cells for axis in planned.cell.values)
    paths = [result.path for result in analysis.results]
    paths += [
        MetricPath.parse(law.points.x)._replace(method=point.x_method)
        for law in analysis.laws
        for point in law.points.points[:1]
    ]
    names = dict.fromkeys(_on_the_run(path, own) for path in paths)
    only = f' and tags.stage = "{own}"' if own else ""
    return View(f"{FINISHED_STAGES}{only}", list(axes), list(names))


def _on_the_run(path: MetricPath, result: str | None) -> str:
    """Return a metric's name on the run of a result."""
    text = str(path)
    if path.stage not in (RESULT, result):
        return grouped(text)
    own = text.partition(".")[2]
    return f"kept/{own}".replace("@", ":") if path.part == "validation" else grouped(own)
