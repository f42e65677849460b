"""What a reader should take home: a sentence for the best model, for each law, and for each claim."""

from __future__ import annotations

from collections.abc import Iterator

from mfsweep.analysis.budget import say
from mfsweep.analysis.figures import metric_label, only
from mfsweep.analysis.interval import Interval
from mfsweep.analysis.law import FittedLine, Law, Verdict
from mfsweep.analysis.leading import Leading, leading
from mfsweep.analysis.selection import text
from mfsweep.analysis.study import Analysis, ReportStudy, Result
from mfsweep.analysis.table import scalar
from mfsweep.quantities import RESULT, MetricPath, count
from mfsweep.report_records import ClaimRecord

CUT = 0.1
"""By how much the error of x falls in the sentence that says what a law makes of y."""
SAYS = {"agree": "These runs agree", "disagree": "These runs disagree", "cannot tell": "These runs cannot tell"}


def take_home(study: ReportStudy, analysis: Analysis) -> list[str]:
    """Return the sentences: what to buy, where that is known, the results, laws, claims and searches."""
    results = [_result(one) for one in analysis.results]
    return [
        *_decision(analysis),
        *(sentence for sentence in results if sentence),
        *map(_law, analysis.laws),
        *(_claim(one) for one in analysis.claims),
        *_search(study),
    ]


def _decision(analysis: Analysis) -> Iterator[str]:
    if not isinstance(analysis.advice, str):
        yield say.buy(analysis.advice.decision)


def _result(result: Result) -> str:
    found = leading(result.outcomes)
    if found is None:
        return ""
    best, direct = found
    unit = result.path.quantity.unit
    said = f"Least {metric_label(result.path, result.path.method)}: {_error(best, unit)}"
    where = [f"{axis.replace('_', ' ')} {text(scalar(value))}" for axis, value in best.values.items()]
    said += f" ({', '.join(where)})" if where else ""
    if direct is not None:
        change = best.error / direct.error - 1
        said += f", {abs(change):.0%} {'below' if change < 0 else 'above'} direct training with as many target labels"
        said += f" ({direct.error:.3g} {unit})"
    if result.offsets_only is not None:
        said += f"; energy offsets alone, without a model, give {result.offsets_only:.3g}"
    return f"{said}.{'' if best.converged else ' Not converged.'}"


def _error(best: Leading, unit: str) -> str:
    errors = list(best.of_replicates.values())
    if len(errors) == 1:
        return f"{best.error:.3g} {unit}, one replicate"
    return f"{best.error:.3g} {unit}, {min(errors):.3g} to {max(errors):.3g} over {count(len(errors), 'replicate')}"


def _law(law: Law) -> str:
    if law.pooled is None:
        return f"Law {law.name}: no line yet. {_first_upper(law.refusal or '')}."
    x, y = (MetricPath.parse(path) for path in (law.points.x, law.points.y))
    named = [_subject(x, only(law.points, "x_method")), _subject(y, only(law.points, "y_method"))]
    line = law.pooled
    short = f"gradient {line.gradient:.2f}, {line.interval}"
    gradient = f"gradient {line.gradient:.2f}, 95 % interval {line.interval}"
    if line.verdict is Verdict.CANNOT_TELL:
        return f"Law {law.name}: how {named[1]} follows {named[0]} cannot be told yet ({gradient}; {line.behind})."
    said = f"Law {law.name}: where {named[0]} falls by {CUT:.0%}, {named[1]} {_follows(line)} ({short})."
    return said if line.verdict is Verdict.LAW else f"{said} No claim: {_reason(line)}."


def _subject(path: MetricPath, method: str | None) -> str:
    of = "" if path.stage == RESULT else f" of {path.stage}"
    return f"{metric_label(path, path.method or method)}{of}"


def _follows(line: FittedLine) -> str:
    ends = Interval(*sorted(_fall(gradient) for gradient in line.interval))
    word = "falls" if line.gradient >= 0 else "rises"
    sign = 1 if line.gradient >= 0 else -1
    low, high = sorted((sign * ends.low, sign * ends.high))
    return f"{word} by {abs(_fall(line.gradient)):.1%}, 95 % interval {low:.1%} to {high:.1%}"


def _fall(gradient: float) -> float:
    return 1 - (1 - CUT) ** gradient


def _reason(line: FittedLine) -> str:
    if line.capped:
        return f"{line.capped} of {count(line.n, 'point')} have not converged"
    return "the points lie on a curve" if line.is_curved else "least squares give another gradient"


def _claim(claim: ClaimRecord) -> str:
    says = claim.says.rstrip(".")
    return f"“{says}”: {SAYS[claim.verdict].lower()} ({claim.came_out})."


def _search(study: ReportStudy) -> Iterator[str]:
    for found in study.search:
        name = f"Search {found.name}: " if found.name else "Search: "
        first, *others = found.sentences()
        # A Pareto front is a heading and its points, indented, each a line.
        points = [line.strip() for line in others if line.startswith("  ")]
        yield f"{name}{first} {'; '.join(points)}".strip()


def _first_upper(sentence: str) -> str:
    return sentence[:1].upper() + sentence[1:].rstrip(".")
