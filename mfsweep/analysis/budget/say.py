"""A decision in sentences and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mfsweep.analysis.budget.against import EarlierDecision
from mfsweep.analysis.budget.catalogue import Design
from mfsweep.analysis.budget.costs import CORE_TIME
from mfsweep.analysis.budget.decide import MORE, Decision, TrainedSetting
from mfsweep.analysis.budget.regret import TELLING
from mfsweep.analysis.budget.targets import Aim
from mfsweep.analysis.figures import metric_label
from mfsweep.analysis.measured_cells import Way
from mfsweep.quantities import MetricPath, count

SURE = 0.95
"""Probability from which on a design is said to beat the next, and not only to be ahead."""


def buy(decision: Decision) -> str:
    """Return what to buy, and what it gives."""
    best, unit = decision.best, decision.prices.unit
    said = f"Of {_amount(decision.budget)} {unit}, buy {_labels(best)}: {_way(best)}"
    return f"{said}, {_cost(best, decision)}. Predicted {_metric(decision.measured.path)}: {_error(best, decision)}."


def sure(decision: Decision, earlier: EarlierDecision | None = None) -> list[str]:
    """Return how sure that is, and what an earlier decision loses against it."""
    other, path = decision.runner_up, decision.measured.path
    found: list[str] = []
    if other is None or decision.probability is None:
        found.append("No other way of training is within the budget, so there is no runner-up.")
    else:
        gives = f"{_labels(other)}, {_way(other)}: {other.error:.3g} {path.quantity.unit}"
        word = "beats" if decision.probability >= SURE else "is ahead of"
        chance = "more than 0.99" if decision.probability > 0.99 else f"{decision.probability:.2f}"
        found.append(f"It {word} the runner-up ({gives}) with a probability of {chance}.")
    if decision.tells_regret:
        found.append(f"Expected loss against the best that this money buys: {decision.regret:,.1%} of the error.")
    else:
        freedom = count(decision.catalogue.model.fitted.freedom, "degree")
        found.append(
            f"Too few cells to tell the expected loss against the best that this money buys ({freedom} of freedom, "
            f"{TELLING} are needed): it is as likely as not below {decision.median_loss:,.1%} of the error."
        )
    if (trained := decision.best_trained) is not None:
        found.append(f"The best trained setting within the budget is {_trained(trained, decision)}.")
    else:
        found.append("No trained setting is within the budget.")
    if earlier is not None:
        auxiliary = f"{earlier.n_pre:,} {earlier.way.method} and " if earlier.n_pre else ""
        found.append(
            f"The decision in {earlier.origin} ({earlier.way} with {auxiliary}{earlier.n_ft:,} "
            f"{decision.measured.target} labels, predicted {earlier.predicted:.3g} {path.quantity.unit} then) is "
            f"predicted {earlier.error:.3g} {path.quantity.unit} now, {earlier.loss:+.1%} against this one."
        )
    return found


def more(decision: Decision) -> str:
    """Return what a larger budget gives."""
    design = decision.more
    said = f"{MORE:g} times the budget: {_labels(design)}, {_way(design)}: {_error(design, decision)}"
    less = 1 - design.error / decision.best.error
    return f"{said}, {less:.0%} less." if less > 0 else f"{said}: no less."


def change(decision: Decision) -> list[str]:
    """Return what would change the answer."""
    unit = decision.prices.unit
    found = [
        f"{_first_upper(str(one.way))} would be taken if a {one.method} label cost {one.price:.3g} {unit} "
        f"({one.factor:.3g} times its price)."
        for one in decision.changes
    ]
    if not found and len(decision.catalogue.ways) > 1:
        found.append("No price of one method, up to 100 times higher or lower, would change the way of training.")
    return found


def warnings(decision: Decision) -> list[str]:
    """Return what makes the answer doubtful."""
    found: list[str] = []
    for name, design in (("The answer", decision.best), (f"The answer for {MORE:g} times the budget", decision.more)):
        if design.beyond:
            far = " and ".join(
                f"{factor:.2g} times the largest {_SIZES[size]}" for size, factor in design.beyond.items()
            )
            found.append(
                f"{name} extrapolates: {far} that was trained; the nearest trained cell is {design.distance:.1f} "
                "decades of size away. Its interval supposes that errors go on as they did."
            )
    reach = decision.catalogue.reach
    if any(factor > 0.95 * reach for factor in decision.best.beyond.values()):
        left = decision.budget - decision.best.cost
        found.append(
            f"No size beyond {reach:g} times the trained ones is considered (--reach): "
            f"{_amount(left)} {decision.prices.unit} of the budget are left."
        )
    if decision.measured.cells.replicates == 1:
        found.append("One replicate: the interval is of that partition and seed, and says nothing of others.")
    return found


def rests_on(decision: Decision) -> list[str]:
    """Return what the answer rests on."""
    measured, prices = decision.measured, decision.prices
    cells = count(len(measured.cells.error), "converged cell")
    each = ", ".join(f"{method} {prices.of_labels(method):.3g}" for method in _methods(decision))
    found = [
        f"{cells}, {measured.replicates}: {'; '.join(map(str, decision.catalogue.ways))}.",
        *decision.catalogue.chosen.sentences,
        f"Cost of a label in {prices.unit}: {each} ({prices.origin}). As if no label had been bought yet.",
    ]
    device = "GPU" if measured.device == "cuda" else "core"
    price = prices.of_hour(measured.device)
    if price is None:
        rate = "a GPU-hour has no price" if prices.unit in CORE_TIME else f"an hour of a {device} has no price"
        found.append(f"Training is not counted: {rate} in {prices.unit} (--hour gives it one).")
    elif price > 0:
        found.append(
            f"Training is counted at {price:.3g} {prices.unit} for an hour of a {device}, as long as the cells took."
        )
    if free := [method for method in _methods(decision) if prices.of_labels(method) == 0]:
        found.append(f"Labels of {' and '.join(free)} cost nothing here.")
    return [*found, *measured.left_out]


def aims(decision: Decision, found: Sequence[Aim]) -> list[str]:
    """Return the cheapest way to each target error."""
    return [_aim(decision, one) for one in found]


def _aim(decision: Decision, aim: Aim) -> str:
    unit, own = decision.prices.unit, aim.decision
    path = own.measured.path
    named = f"{aim.target.method} {aim.target.written} ({aim.target.value:.3g} {path.quantity.unit})"
    if aim.even is None:
        least = own.catalogue.design(int(own.catalogue.mean.argmin()))
        return (
            f"Target {named}: no design within {own.catalogue.reach:g} times the trained sizes gets there. The least "
            f"is {_error(least, own)}, for {_labels(least)} ({_amount(least.cost)} {unit})."
        )
    even = f"Target {named}: {_bought(aim.even, decision)} reach it as likely as not"
    even += " (extrapolated)" if aim.even.beyond else ""
    if aim.sure is None:
        return f"{even}; within {own.catalogue.reach:g} times the trained sizes nothing does with 97.5 % confidence."
    if aim.sure == aim.even:
        return f"Target {named}: {_bought(aim.even, decision)} reach it with 97.5 % confidence."
    far = " (extrapolated)" if aim.sure.beyond else ""
    return f"{even}; {_bought(aim.sure, decision)} with 97.5 % confidence{far}."


def _bought(design: Design, decision: Decision) -> str:
    return f"{_amount(design.cost)} {decision.prices.unit} for {_labels(design)} ({_way(design)})"


def as_json(decision: Decision, found: Sequence[Aim]) -> dict[str, Any]:
    """Return everything as plain data."""
    chosen = decision.catalogue.chosen
    path = decision.measured.path
    return {
        "metric": str(path),
        "error_unit": path.quantity.unit,
        "budget": decision.budget,
        "unit": decision.prices.unit,
        "recommended": _plain(decision.best),
        "runner_up": None if decision.runner_up is None else _plain(decision.runner_up),
        "probability_to_beat_runner_up": decision.probability,
        "regret": decision.regret if decision.tells_regret else None,
        "median_loss": decision.median_loss,
        "best_trained": None if (best := decision.best_trained) is None else _plain(best),
        "ten_times": _plain(decision.more),
        "front": [_plain(one) for one in decision.front],
        "trained": [_plain(one) for one in decision.trained],
        "targets": [
            {
                "method": one.target.method,
                "written": one.target.written,
                "value": one.target.value,
                "unit": one.target.quantity.unit,
                "even": None if one.even is None else _plain(one.even),
                "sure": None if one.sure is None else _plain(one.sure),
            }
            for one in found
        ],
        "price_changes": [{**one._asdict(), "way": one.way._asdict()} for one in decision.changes],
        "model": {
            "form": chosen.model.form,
            "hidden_size_error": {one.form: one.error if one.hidden else None for one in chosen.scores},
            "cells": len(decision.measured.cells.error),
            "degrees_of_freedom": chosen.model.fitted.freedom,
            "replicates": decision.measured.cells.replicates,
        },
        "costs": {method: decision.prices.of_labels(method) for method in _methods(decision)},
        "reach": decision.catalogue.reach,
    }


_SIZES = {"n_pre": "number of auxiliary labels", "n_ft": "number of target labels"}


def _plain(one: Design | TrainedSetting) -> dict[str, Any]:
    return {name: value._asdict() if isinstance(value, Way) else value for name, value in one._asdict().items()}


def _methods(decision: Decision) -> list[str]:
    measured = decision.measured
    return list(dict.fromkeys([measured.target, *(method for own in measured.shares.values() for method in own)]))


def _labels(design: Design) -> str:
    return " and ".join(f"{number:,} {method}" for method, number in design.labels.items()) + " labels"


def _way(design: Design | TrainedSetting) -> str:
    return str(design.way)


def _trained(one: TrainedSetting, decision: Decision) -> str:
    auxiliary = f"{one.n_pre:,} {one.way.method} and " if one.n_pre else ""
    sizes = f"{auxiliary}{one.n_ft:,} {decision.measured.target} labels"
    unit = decision.measured.path.quantity.unit
    return f"{one.way} with {sizes}, measured {one.error:.3g} {unit} ({count(one.cells, 'cell')})"


def _cost(design: Design, decision: Decision) -> str:
    said = f"{_amount(design.cost)} {decision.prices.unit}"
    return f"{said}, of them {_amount(design.training)} of training" if design.training else said


def _metric(path: MetricPath) -> str:
    return metric_label(path, path.method)


def _error(design: Design, decision: Decision) -> str:
    unit = decision.measured.path.quantity.unit
    return f"{design.error:.3g} {unit}, 95 % interval of one training {design.low:.3g} to {design.high:.3g}"


def _amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]
