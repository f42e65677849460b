"""The advice of `mfsweep budget` where the truth is known, and where the largest trained sizes are hidden from it.

    python tests/evidence/budget.py                    # planted truths, then the recorded grids
    python tests/evidence/budget.py --draws 200        # more draws
    python tests/evidence/budget.py --record SPEC --store STORE --out CSV

Planted truths: errors of made-up studies, with replicates, pre-trainings and noise that spread as those of the bundled
data do. A design is taken for each budget (in costs of the dearest trained cell), and three things are asked of it: its
true error over that of the truly best design (regret), the same of the best trained cell, and whether one new training
falls into its 95 % prediction interval (coverage).

Recorded grids (budget_*.csv): cells of finished sweeps, as `Sweep.frame()` gives them. The cells of the largest sizes
are hidden; the model that is chosen on the others predicts each of them.
"""

from __future__ import annotations

import argparse
import csv
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep import Sweep
from mfsweep.analysis.budget.catalogue import Catalogue
from mfsweep.analysis.budget.costs import Prices
from mfsweep.analysis.budget.decide import decide
from mfsweep.analysis.budget.measured import DIRECT, MeasuredWays, measured
from mfsweep.analysis.error_forms import choose
from mfsweep.analysis.error_model import ErrorModel, Floats, fit
from mfsweep.analysis.measured_cells import MeasuredCells
from mfsweep.analysis.records import Records
from mfsweep.quantities import MetricPath
from mfsweep.sweep.budget import default_error

FIELDS = ("strategy", "method", "n_pre", "n_ft", "replicate", "pretraining", "error")
METRIC = MetricPath.parse("result.test.cc.energy_mae")
BUDGETS = (0.3, 1.0, 10.0)
"""In costs of the dearest trained cell."""
SPREAD = {"replicate": 0.25, "pretraining": 0.1, "rest": 0.08}
"""Standard deviations of log errors: sd of a log ratio of two folds of the bundled data is about 0.25."""
PRICES = Prices({"cc": 6.0, "dft": 1.0, "xtb": 0.05}, "core-hours")
AUXILIARY = {"dft": (1.4, 0.9), "xtb": (3.0, 0.6)}
"""Method -> size of its own error, and the share of its gain that reaches the target."""


class Grid(NamedTuple):
    """What is trained."""

    n_pre: Sequence[int]
    n_ft: Sequence[int]
    replicates: int
    methods: Sequence[str]


GRIDS = {
    "3 x 2 sizes, 5 folds, 2 methods (figS4)": Grid((60, 300, 1800), (60, 240), 5, ("dft", "xtb")),
    "4 x 2 sizes, 3 folds (quickstart)": Grid((12, 60, 300, 1800), (60, 240), 3, ("dft",)),
    "3 x 3 sizes, 1 seed, 2 methods": Grid((60, 300, 1800), (60, 120, 240), 1, ("dft", "xtb")),
    "5 x 3 sizes, 3 seeds, 2 methods": Grid((30, 100, 300, 1000, 3000), (30, 100, 300), 3, ("dft", "xtb")),
}

Truth = Callable[[str, Floats, Floats], Floats]
"""Auxiliary method (empty: direct), n_pre and n_ft -> true log error."""


def power_law(method: str, n_pre: Floats, n_ft: Floats) -> Floats:
    """Return what the model supposes: straight in both logarithms, with their product."""
    if not method:
        return 6.0 - 0.4 * np.log(n_ft)
    offset, share = AUXILIARY[method]
    return 5.0 + 0.2 * offset - 0.28 * np.log(n_ft) - (0.35 * share - 0.02 * np.log(n_ft)) * np.log(n_pre)


def floor(method: str, n_pre: Floats, n_ft: Floats) -> Floats:
    """Return the same above a floor that no label gets below: 3, where the largest trained cells have some 7 to 15."""
    return np.log(np.exp(power_law(method, n_pre, n_ft)) + 3.0)


def bent(method: str, n_pre: Floats, n_ft: Floats) -> Floats:
    """Return errors whose gain by pre-training is used up: what is left of the auxiliary error does not go to 0."""
    direct = power_law("", n_pre, n_ft)
    if not method:
        return direct
    offset, share = AUXILIARY[method]
    left = (1 + n_pre / 40) ** -0.5 + 0.06 * offset
    return direct + share * np.log(left / (1 + 0.06 * offset))


TRUTHS = {"power law": power_law, "floor": floor, "gain used up": bent}


def draw(grid: Grid, truth: Truth, generator: np.random.Generator) -> tuple[MeasuredWays, float]:
    """Return the cells of one made-up study, and what its first replicate lies above the mean."""
    rows: list[tuple[float, float, str, float, int, str]] = []
    first = 0.0
    for replicate in range(grid.replicates):
        shift = generator.normal(0, SPREAD["replicate"])
        first = first if replicate else shift
        for method in ("", *grid.methods):
            for n_pre in grid.n_pre if method else (0,):
                shared = generator.normal(0, SPREAD["pretraining"]) if method else 0.0
                for n_ft in grid.n_ft:
                    mean = float(truth(method, np.array([float(n_pre)]), np.array([float(n_ft)]))[0])
                    error = math.exp(mean + shift + shared + generator.normal(0, SPREAD["rest"]))
                    key = f"{replicate} {method} {n_pre} {'' if method else n_ft}"
                    rows.append((n_pre, n_ft, method, error, replicate, key))
    n_pre, n_ft, method, error, replicates, keys = zip(*rows, strict=True)
    cells = MeasuredCells(
        n_pre=np.array(n_pre, dtype=np.float64),
        n_ft=np.array(n_ft, dtype=np.float64),
        method=method,
        strategy=["pre-training" if one else DIRECT for one in method],
        error=np.array(error),
        replicate=replicates,
        pretraining=keys,
    )
    return study(cells, f"{grid.replicates} replicates"), first


def study(cells: MeasuredCells, replicates: str) -> MeasuredWays:
    """Return some cells as those of a study; their training costs nothing."""
    shares = {way: {way.method: 1.0} if way.method else {} for way in cells.members}
    return MeasuredWays(METRIC, cells, "cc", shares, np.full(len(cells.error), 1e-9), "cpu", replicates)


def true_errors(catalogue: Catalogue, truth: Truth) -> Floats:
    """Return the true log errors of all designs."""
    errors = np.empty(len(catalogue.mean))
    for number, way in enumerate(catalogue.ways):
        here = catalogue.way == number
        errors[here] = truth(way.method, catalogue.n_pre[here], catalogue.n_ft[here])
    return errors


def planted(draws: int) -> Iterator[str]:
    """Yield the lines of the planted truths."""
    yield "| truth | trained | budget | regret, mean (90th percentile) | of the best trained cell | coverage | way right |"
    yield "|" + " --- |" * 7
    for truth_name, truth in TRUTHS.items():
        for grid_name, grid in GRIDS.items():
            generator = np.random.default_rng(0)
            found: dict[float, list[tuple[float, float, float, float]]] = {budget: [] for budget in BUDGETS}
            for _ in range(draws):
                drawn, shift = draw(grid, truth, generator)
                first = decide(drawn, PRICES)
                errors = true_errors(first.catalogue, truth)
                for budget in BUDGETS:
                    one = first.at(budget * first.budget)
                    paid = first.catalogue.cost <= one.budget * (1 + 1e-9)
                    least = float(errors[paid].min())
                    taken = float(errors[one.place])
                    trained = one.best_trained
                    assert trained is not None
                    sizes = np.array([float(trained.n_pre)]), np.array([float(trained.n_ft)])
                    cell = float(truth(trained.way.method, *sizes)[0])
                    # One replicate says nothing of others: its interval is of trainings on it.
                    other = shift if grid.replicates == 1 else generator.normal(0, SPREAD["replicate"])
                    new = taken + other + generator.normal(0, math.hypot(SPREAD["pretraining"], SPREAD["rest"]))
                    held = math.log(one.best.low) <= new <= math.log(one.best.high)
                    best_way = first.catalogue.way[np.flatnonzero(paid)[errors[paid].argmin()]]
                    right = best_way == first.catalogue.way[one.place]
                    found[budget].append(
                        (math.expm1(taken - least), math.expm1(cell - least), float(held), float(right))
                    )
            for budget, rows in found.items():
                regret, cell, held, right = np.array(rows).T
                told = f"{regret.mean():.1%} ({np.quantile(regret, 0.9):.1%})"
                share = f"{held.mean():.3f} | {right.mean():.2f}"
                yield f"| {truth_name} | {grid_name} | {budget:g} | {told} | {cell.mean():.0%} | {share} |"


def record(spec: Path, store: Path, out: Path) -> None:
    """Write the cells of a finished sweep as a table."""
    sweep = Sweep(spec, store)
    plan = sweep.plan()
    cells = plan.cells()
    found = measured(Records(plan.store, cells), cells, default_error(plan, cells)).cells
    with out.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(FIELDS)
        parents = {key: number for number, key in enumerate(dict.fromkeys(found.pretraining or ()))}
        for place in range(len(found.error)):
            writer.writerow(
                [
                    found.strategy[place],
                    found.method[place],
                    int(found.n_pre[place]),
                    int(found.n_ft[place]),
                    found.replicate[place],
                    parents[(found.pretraining or ())[place]],
                    f"{found.error[place]:.6g}",
                ]
            )


def recorded(path: Path) -> MeasuredCells:
    """Return the cells of such a table."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    columns = {name: [row[name] for row in rows] for name in FIELDS}
    return MeasuredCells(
        n_pre=np.array(columns["n_pre"], dtype=np.float64),
        n_ft=np.array(columns["n_ft"], dtype=np.float64),
        method=columns["method"],
        strategy=columns["strategy"],
        error=np.array(columns["error"], dtype=np.float64),
        replicate=columns["replicate"],
        pretraining=columns["pretraining"],
    )


def hidden(path: Path) -> Iterator[str]:
    """Yield the lines of one recorded grid: each of its sizes hidden where it is the largest of some way."""
    cells = recorded(path)
    for name, sizes in (("n_pre", cells.n_pre), ("n_ft", cells.n_ft)):
        gone = np.zeros(len(sizes), dtype=bool)
        for members in cells.members.values():
            known = np.unique(sizes[members])
            gone[members] = (sizes[members] == known[-1]) & (len(known) > 2)
        if gone.any():
            yield _predicted(path, cells, name, gone)


def _predicted(path: Path, cells: MeasuredCells, name: str, gone: NDArray[np.bool_]) -> str:
    kept = cells.only(~gone)
    model, straight = choose(kept).model, fit(kept)
    held: list[bool] = []
    off: dict[tuple[float, float, str, str], list[tuple[float, float]]] = {}
    for place in np.flatnonzero(gone).tolist():
        at = float(cells.n_pre[place]), float(cells.n_ft[place]), cells.method[place], cells.strategy[place]
        found, measured_log = model.predict(*at), math.log(cells.error[place])
        low, high = found.interval()
        held.append(bool(low[0] <= measured_log <= high[0]))
        off.setdefault(at, []).append((found.mean[0] - measured_log, straight.predict(*at).mean[0] - measured_log))
    means = np.array([np.mean(each, axis=0) for each in off.values()])
    typical, lines = np.expm1(np.sqrt((means**2).mean(axis=0)))
    lost = list(_lost(cells, model, set(off)))
    told = f"{np.mean(lost):.1%} ({max(lost):.0%})" if lost else "no other choice"
    sizes = f"{len(off)} settings, {len(held)} cells"
    return f"| {path.stem} | {name} | {sizes} | {typical:.0%} | {lines:.0%} | {np.mean(held):.2f} | {told} |"


def _lost(cells: MeasuredCells, model: ErrorModel, hidden: set[tuple[float, float, str, str]]) -> Iterator[float]:
    """Yield for each budget the measured error of the setting that is predicted best over that of the truly best, less 1.

    Settings that were not hidden compete by what was measured of them.
    """
    settings: dict[tuple[float, float, str, str], list[float]] = {}
    for place, error in enumerate(cells.error.tolist()):
        at = float(cells.n_pre[place]), float(cells.n_ft[place]), cells.method[place], cells.strategy[place]
        settings.setdefault(at, []).append(math.log(error))
    truth = {at: float(np.mean(logs)) for at, logs in settings.items()}
    guess = {at: float(model.predict(*at).mean[0]) if at in hidden else truth[at] for at in truth}
    cost = {at: PRICES.labels["cc"] * at[1] + PRICES.labels.get(at[2], 0.0) * at[0] for at in truth}
    for budget in sorted(set(cost.values())):
        paid = [at for at in truth if cost[at] <= budget]
        if any(at in hidden for at in paid):
            taken = min(paid, key=lambda at: guess[at])
            yield math.expm1(truth[taken] - min(truth[at] for at in paid))


def main() -> None:
    """Print the tables as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=40)
    parser.add_argument("--only", choices=("planted", "recorded"))
    parser.add_argument("--record", type=Path, help="spec of a finished sweep")
    parser.add_argument("--store", type=Path, default=Path("mfsweep-store"))
    parser.add_argument("--out", type=Path, help="table to be written by --record")
    given = parser.parse_args()
    if given.record:
        record(given.record, given.store, given.out)
        return
    if given.only != "recorded":
        for text in planted(given.draws):
            print(text, flush=True)
    if given.only != "planted":
        print(
            "\n| recorded grid | hidden | of it | typical error | of straight lines | coverage | regret, mean (largest) |"
        )
        print("|" + " --- |" * 7)
        for path in sorted(Path(__file__).parent.glob("budget_*.csv")):
            for text in hidden(path):
                print(text, flush=True)


if __name__ == "__main__":
    main()
