"""What a data set is good for, before anything is trained: `mfsweep advise`.

Which methods are near the target, whether there are forces, how many groups there are and what they can decide, which
sizes a law needs, and a spec to start with (starter.py), with its cost.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mfsweep.analysis.comparison.compare import LabelPrices
from mfsweep.analysis.labels_used import labels_used
from mfsweep.analysis.reml import Estimate as Number
from mfsweep.analysis.verdicts import Statement, needed
from mfsweep.data import dataset
from mfsweep.data.structures import Structures
from mfsweep.data.survey.alignment import Alignment, alignment
from mfsweep.data.survey.composition import composition
from mfsweep.data.survey.describe import describe
from mfsweep.data.survey.info import plain
from mfsweep.data.survey.opening import open_file
from mfsweep.data.units import ASE_UNITS
from mfsweep.data.view import open_view
from mfsweep.errors import DataError, SpecError, nearest
from mfsweep.prepare import Plan, prepare
from mfsweep.prepare.label_costs import measured
from mfsweep.spec.data import LabelKeys, ResolvedData, Splits
from mfsweep.store import DEFAULT_STORE
from mfsweep.sweep.advice import DataSurvey, DecidedCut, FormulaGroups, SpecPartitions, sentences
from mfsweep.sweep.estimate import CostEstimate, EstimateOptions, estimate
from mfsweep.sweep.starter import fitting, start_of
from mfsweep.sweep.starter_text import Start

DEVIATION = 0.25
"""Standard deviation of the logarithm of a ratio of errors between partitions, as the bundled data have it."""
CUTS = (0.15, 0.5, 0.85)
NEARLY = 0.9
"""Share of the most auxiliary labels from which on a nearer method is the auxiliary one."""


@dataclass(frozen=True)
class DatasetAdvice:
    """What there is to say of a data set before it is trained on."""

    source: str
    data: DataSurvey
    sentences: Mapping[str, list[str]]
    """Topic -> what there is to say."""
    spec: Path | None
    """The spec that was written, or that was asked about; None where the data carry none."""
    estimate: CostEstimate | None
    labels: Mapping[str, int]
    """Labels that the spec's dearest cell trains on; without all costs, those of the cell with most."""
    label_cost: float | None
    unit: str
    without_cost: tuple[str, ...]
    """Label methods that the spec trains on and whose labels have no cost."""

    def as_json(self) -> dict[str, Any]:
        """Return everything that is printed as plain data."""
        data, info = self.data, self.data.info
        found = {
            "source": self.source,
            "structures": info.structures,
            "formulae": info.formulae,
            "atoms": info.sizes._asdict(),
            "target": data.target,
            "auxiliary": data.auxiliary,
            "methods": {
                name: {
                    "energy": data.keys[name].energy,
                    "forces": data.keys[name].forces,
                    "structures": own.structures,
                    "structures_with_forces": own.forces.structures if own.forces else 0,
                    "spread": 1000 * own.spread,
                }
                for name, own in info.methods.items()
            },
            "alignment": [one._asdict() | {"left": one.left} for one in data.alignments],
            "groups": data.groups,
            "power": data.power,
            "sentences": self.sentences,
            "spec": None if self.spec is None else str(self.spec),
            "cost": None if self.estimate is None else self.estimate.as_json()["cost"],
            "labels": self.labels,
            "label_cost": self.label_cost,
            "label_cost_unit": self.unit if self.label_cost is not None else None,
            "without_cost": self.without_cost,
        }
        made = plain(found)
        assert isinstance(made, dict)
        return made


class AdviceRequest(NamedTuple):
    """What the user may set."""

    target: str | None = None
    output: Path | None = None
    """Where the spec is to go; None: none is written."""
    label_costs: Mapping[str, float] | None = None
    unit: str = ""
    store: Path = DEFAULT_STORE
    """Whose measured seconds a batch the cost rests on, where it has some."""


def advise_file(path: Path, source: str, name: str, asked: AdviceRequest) -> DatasetAdvice:
    """Look at a data set or a file that can be imported, and write a spec to start with.

    Args:
        path: the file.
        source: what a spec calls it.
        name: of the spec.
        asked: what the user has set.

    Raises:
        DataError: the file cannot be read, or has no labels.
        SpecError: a cost is of no method of the file.
    """
    opened = open_file(str(path))
    start = start_of(opened, path, source, name, asked.target)
    structures = start.data
    is_dataset = dataset.is_dataset(path)
    info = describe(structures, units=opened.units, stated=is_dataset)
    alignments = _alignments(structures, start.target)
    auxiliary = _auxiliary(start, alignments)
    if auxiliary != start.auxiliary:
        start = start_of(opened, path, source, name, asked.target, auxiliary)
    keys = {own.name: own.keys for own in start.methods.values()}
    costs = _label_costs(source, keys, {"": path}, asked)
    groups = _groups(structures, start.target, start.needs)
    data = DataSurvey(structures, info, keys, start.target, auxiliary, alignments, groups, _power(groups.replicates))
    told, plan = sentences(data), None
    if asked.output is not None:
        plan, failure = _written(start, asked, [sentence for said in told.values() for sentence in said], groups.folds)
        told |= {"spec": [f"No spec was written: {failure}"]} if failure else {}
    return _advice(source, data, told, plan, costs)


def advise_spec(plan: Plan, asked: AdviceRequest) -> DatasetAdvice:
    """Look at the data of a spec.

    Args:
        plan: of the spec, its data at hand.
        asked: what the user has set.

    Raises:
        SpecError: the target, or what a cost is of, is no method of the spec.
        DataError: a data file cannot be read.
    """
    experiment = plan.spec.experiment
    keys = experiment.data.labels
    scored = [one.labels for planned in plan.graph.cells for one in planned.cell.evaluations if one.labels in keys]
    target = asked.target or next(iter(scored), next(iter(keys)))
    if target not in keys:
        raise SpecError(f"{plan.spec.document.path}: no label method {target!r}: there are {', '.join(keys)}")
    costs = _label_costs(str(plan.spec.document.path), keys, plan.sources, asked)
    view = open_view(plan.sources, ResolvedData(digest=plan.content.digest, labels=keys, splits=Splits()))
    structures = view.structures
    info = describe(structures, units=ASE_UNITS, stated=True)
    alignments = _alignments(structures, target)
    trained = {name for node in plan.graph.nodes.values() for name in node.training.methods}
    near = [one.method for one in alignments if one.method in trained] or [one.method for one in alignments]
    auxiliary = near[0] if near else None
    both = (target, auxiliary) if auxiliary else (target,)
    groups = _of_spec(plan, target, _groups(structures, target, both))
    data = DataSurvey(structures, info, keys, target, auxiliary, alignments, groups, _power(groups.replicates))
    source = ", ".join(str(path) for path in plan.sources.values())
    return _advice(source, data, sentences(data), plan, costs)


def _alignments(structures: Structures, target: str) -> tuple[Alignment, ...]:
    made_of = composition(structures)
    others = [method for method in structures.labels if method != target]
    found = [one for method in others if (one := alignment(structures, made_of, target, method)) is not None]
    return tuple(sorted(found, key=lambda one: one.mean_abs))


def _auxiliary(start: Start, alignments: tuple[Alignment, ...]) -> str | None:
    """Return the nearest of the methods with about the most labels."""
    if start.auxiliary is None:
        return None
    most = start.methods[start.auxiliary].structures
    return next(
        (one.method for one in alignments if start.methods[one.method].structures >= NEARLY * most), start.auxiliary
    )


def _groups(structures: Structures, target: str, needs: tuple[str, ...]) -> FormulaGroups:
    has = structures.usable(target)
    whole = np.logical_and.reduce([structures.usable(method) for method in needs])
    numbers = np.bincount(structures.formula[has], minlength=len(structures.formulae))
    number = len(np.unique(structures.formula[whole]))
    folds = next((folds for folds, least in ((5, 25), (3, 9)) if number >= least), None)
    tested = None if folds is None else number // folds
    return FormulaGroups(int((numbers > 0).sum()), number, float(numbers.max() / max(1, numbers.sum())), folds, tested)


def _of_spec(plan: Plan, target: str, groups: FormulaGroups) -> FormulaGroups:
    """Return the groups with the folds or other partitions of a spec, and what these test."""
    splits = [plan.graph.nodes[planned.keys[planned.cell.result]].training.data.splits for planned in plan.graph.cells]
    drawn = all(own.given is None for own in splits)
    number = len({(own.seed, own.fold) if drawn else None for own in splits})
    are_folds = number > 1 and len({(own.seed, own.folds) for own in splits}) == 1 and splits[0].folds is not None
    return groups._replace(
        folds=number if are_folds else None, tested=_tested(plan, target), spec=SpecPartitions(number, drawn)
    )


def _tested(plan: Plan, target: str) -> int | None:
    """Return how many formulae the first partition tests with the target's labels; None: none."""
    for planned in plan.graph.cells:
        asked = [one for one in planned.cell.evaluations if one.labels == target and one.part == "test"]
        if asked:
            view = plan.view(plan.graph.nodes[planned.keys[planned.cell.result]])
            members = np.concatenate([view.partition.train[one.subset] for one in asked])
            return len(np.unique(view.structures.formula[members]))
    return None


def _power(replicates: int) -> tuple[DecidedCut, ...]:
    """Return how many replicates decide cuts of an error (80 % power, Student's t)."""
    made = []
    for cut in CUTS:
        number = needed(Number(math.log(1 - cut), DEVIATION, 1.0), Statement("lower"), 1)
        made.append(DecidedCut(cut, number, number is not None and replicates >= number))
    return tuple(made)


def _written(start: Start, asked: AdviceRequest, said: list[str], folds: int | None) -> tuple[Plan | None, str | None]:
    """Write a spec that the data can fill; return its plan, or why there is none."""
    output, failure = asked.output, None
    assert output is not None
    for number in dict.fromkeys((folds, None)):
        try:
            output.write_text(fitting(start, output, number, said), encoding="utf-8")
        except DataError as error:
            failure = failure or str(error)
            continue
        return prepare(output, asked.store.absolute()), None
    return None, failure


def _label_costs(
    place: str, keys: Mapping[str, LabelKeys], sources: Mapping[str, Path], asked: AdviceRequest
) -> LabelPrices | None:
    for method in asked.label_costs or ():
        if method not in keys:
            raise SpecError(
                f"--label-cost {method}: {place} has no such label method: there are {', '.join(keys)}."
                f"{nearest(method, keys)}"
            )
    if asked.label_costs:
        return LabelPrices(asked.label_costs, asked.unit or "units")
    costs = {name: cost for name, own in keys.items() if (cost := measured(own, sources)) is not None}
    return LabelPrices(costs, "core-seconds") if costs else None


def _advice(
    source: str, data: DataSurvey, told: Mapping[str, list[str]], plan: Plan | None, costs: LabelPrices | None
) -> DatasetAdvice:
    cells = [] if plan is None else [labels_used(cell) for cell in plan.cells()]
    numbers = {} if costs is None else costs.numbers
    methods = dict.fromkeys(method for used in cells for method in used)
    absent = tuple(method for method in methods if method not in numbers)

    def price(used: Mapping[str, int]) -> float:
        return sum((1 if absent else numbers[method]) * number for method, number in used.items())

    used = max(cells, key=price, default={})
    return DatasetAdvice(
        source=source,
        data=data,
        sentences=told,
        spec=None if plan is None else plan.spec.document.path,
        estimate=None if plan is None else estimate([plan], EstimateOptions()),
        labels={method: used[method] for method in sorted(used, key=lambda method: method != data.target)},
        label_cost=price(used) if used and not absent else None,
        unit=costs.unit if costs else "",
        without_cost=absent,
    )
