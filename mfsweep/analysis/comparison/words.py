"""A comparison in sentences that a chemist reads, and the words of its numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from mfsweep.analysis.comparison.blocks import ComparedBlock, ComparedRow, told
from mfsweep.analysis.comparison.label_words import labels_text
from mfsweep.analysis.comparison.settings import StrategySetting
from mfsweep.analysis.interval import span
from mfsweep.analysis.replicates import by_partition, label, text
from mfsweep.analysis.suite import needed_text
from mfsweep.report_records import ClaimRecord

_UNITS = ((3600.0, "h"), (60.0, "min"), (1.0, "s"))


def duration(seconds: float, *, is_gpu: bool) -> str:
    """Return device-seconds in words, `12 core-min`."""
    size, unit = next((one for one in _UNITS if seconds >= 2 * one[0]), _UNITS[-1])
    return f"{seconds / size:,.3g} {'GPU' if is_gpu else 'core'}-{unit}"


def sentences(blocks: Sequence[ComparedBlock], unit: str) -> list[str]:
    """Return what each block says, a sentence or two."""
    return [_sentence(block, unit) for block in blocks if any(row.claim for row in block.rows)]


def ratio_text(claim: ClaimRecord | None) -> str:
    """Return a ratio with its interval; empty without one."""
    if claim is None or claim.estimate is None:
        return ""
    interval = "" if claim.low is None else f" ({span(claim.low, claim.high)})"
    return f"{claim.estimate:.2f}{interval}"


def verdict_text(row: ComparedRow) -> str:
    """Return what a row's comparison says."""
    if row.claim is None:
        return ""
    return told(row.claim) if row.claim.usable else "no claim"


def _sentence(block: ComparedBlock, unit: str) -> str:
    reference = block.rows[0]
    others = [row for row in block.rows if row.claim is not None]
    place = {
        "labels": f"With {block.budget}",
        "label cost": f"For the same cost of labels, {block.budget}",
        "compute": f"For the same training time, {block.budget}",
    }[block.basis]
    place += f" ({block.family})" if block.family else ""
    beside = reference.strategy + (_alone(reference, others) if block.basis == "labels" else "")
    if len(others) == 1:
        return f"{place}, {others[0].strategy} has {_against(others[0], reference, beside, unit)}."
    lead = min((row for row in block.rows if row.error), key=_lowest)
    if lead.claim is None:
        ratios = ", ".join(f"{row.strategy} {ratio_text(row.claim)}" for row in others)
        said = f"{place}, {lead.strategy} comes out lowest, at {_lowest(lead):.3g} {unit}. Times its error: {ratios}"
    else:
        said = f"{place}, {lead.strategy} comes out lowest: it has {_against(lead, reference, beside, unit)}"
    if rivals := [row.strategy for row in block.rows if row.may_be_best and row is not lead]:
        said += f". {_list(rivals)} cannot be told from the lowest"
    worse = [f"{row.strategy} {ratio_text(row.claim)}" for row in others if row.claim and told(row.claim) == "higher"]
    if worse and lead.claim is not None:
        said += f". Worse than {reference.strategy}: {', '.join(worse)}"
    return f"{said}."


def _against(row: ComparedRow, reference: ComparedRow, beside: str, unit: str) -> str:
    """Return what a strategy's error is beside the reference's, in words."""
    claim = row.claim
    assert claim is not None
    if claim.estimate is None:
        return f"no replicate in common with {beside}"
    errors = f"{_lowest(row):.3g} against {_lowest(reference):.3g} {unit}"
    said = f"{ratio_text(claim)} times the error of {beside}, {errors}"
    if not claim.usable:
        return f"{said}; no claim: {claim.detail}"
    if claim.verdict == "cannot tell":
        return f"{said}: no difference can be told ({needed_text(claim)})"
    return said


def _lowest(row: ComparedRow) -> float:
    return row.error.value if row.error else math.inf


def _alone(reference: ComparedRow, others: Sequence[ComparedRow]) -> str:
    """Return that the reference has fewer labels, in words, where it has."""
    if any(sum(row.labels.values()) > sum(reference.labels.values()) for row in others):
        return f" with {labels_text(reference.labels)} labels alone"
    return ""


def notes(settings: Sequence[StrategySetting], blocks: Sequence[ComparedBlock]) -> list[str]:
    """Return what there is to know of the numbers."""
    said = ["Labels are those of training; each counts once a strategy, however many of its stages use it."]
    if any(block.basis != "labels" for block in blocks):
        said.append(
            "Between two sizes the error is read off a straight line in logarithms, within each replicate; nothing is "
            "said beyond the cheapest and the dearest size."
        )
    if any(block.basis == "compute" for block in blocks):
        said.append(
            "Training time is that of the result and of all that it starts from, as it was measured (a busy machine "
            "takes longer), validations included, and as if nothing were shared with another strategy."
        )
    if any(row.may_be_best for block in blocks for row in block.rows):
        said.append("*: the lowest error of its budget, or one that cannot be told from it (Hsu, 95 %).")
    machines = frozenset(name for setting in settings for name in setting.work.machines)
    if len(machines) > 1:
        said.append(f"Training times are of different machines ({', '.join(sorted(machines))}): compare with care.")
    for method in dict.fromkeys(method for setting in settings for method in setting.needs):
        names = dict.fromkeys(setting.strategy for setting in settings if method in setting.needs)
        said.append(f"{_list(names)} needs {method} for every structure that is predicted, too.")
    converged = [result.converged for setting in settings for result in setting.outcomes]
    if capped := converged.count(False):
        said.append(
            f"{capped} of {len(converged)} results had not converged (max_steps, or a head still improving) and carry "
            "no claim."
        )
    return [*said, _intervals(blocks)]


def _intervals(blocks: Sequence[ComparedBlock]) -> str:
    """Return over what the intervals are."""
    claims = [row.claim for block in blocks for row in block.rows if row.claim and row.claim.low is not None]
    if not claims:
        return "One replicate: no interval over trainings. Add values of `fold`, `split_seed` or `seed` to the spec."
    over: dict[str, None] = {}
    for block in blocks:
        for row in block.rows:
            if row.claim in claims:
                replicates = {member.replicate for member in row.members}
                partitions = by_partition(replicates)
                over[text([label(replicate, partitions) for replicate in replicates], partitions)] = None
    suite = max(claim.suite for claim in claims)
    borrowed = f", with the variances of {suite} results together (Smyth)" if suite else ""
    return f"Ratios are paired within replicates; their 95 % intervals are over {' or '.join(over)}{borrowed}."


def _list(names: Iterable[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
