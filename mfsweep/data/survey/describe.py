"""Look at a source: sizes, elements, labels and how they agree, and what looks wrong. Nothing is trained.

Everything is found in passes over flat arrays, in blocks where these are as long as the atoms, so that half a million
structures take seconds and little memory beyond the arrays themselves. Shapes: `S` structures, `A` atoms.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import NDArray

from mfsweep.data.judging import flaws_of, sample_of
from mfsweep.data.rounding import float32_rounding
from mfsweep.data.structures import SYMBOLS, Structures
from mfsweep.data.survey.blocks import blocks
from mfsweep.data.survey.composition import Composition, OffsetFit, composition, left
from mfsweep.data.survey.duplicates import conflicts, duplicates, structure_hashes, told
from mfsweep.data.survey.info import (
    TAIL,
    Copies,
    Element,
    Far,
    Forces,
    Histogram,
    Info,
    MethodPair,
    MethodSurvey,
    StructureSizes,
)
from mfsweep.data.survey.outliers import THRESHOLD, outliers
from mfsweep.data.units import ANI_UNITS, Units

EXAMPLES = 5
"""Structures, pairs or formulae named of each kind."""
BINS = 60
"""Greatest number of bins of a histogram; n values get 2 n^(1/3) (the Rice rule)."""


def describe(
    structures: Structures, threshold: float = THRESHOLD, units: Units = ANI_UNITS, *, stated: bool = False
) -> Info:
    """Look at a source.

    Args:
        structures: with the labels to look at.
        threshold: robust z-score from which on a value is called an outlier.
        units: of the source: of a data set those of ASE.
        stated: whether somebody has said so, or judged the labels before, as of a data set.
    """
    made_of = composition(structures)
    lefts = {
        method: left(structures, made_of, labels.energy, np.isfinite(labels.energy))
        for method, labels in structures.labels.items()
    }
    electrons = (made_of.counts @ np.array(made_of.elements, np.int64))[structures.formula]
    charge = structures.charge
    if charge is not None:
        electrons = electrons - charge
    odd = electrons % 2 == 1
    if structures.pbc is not None:
        odd &= ~structures.pbc.any(axis=1)
    commonest = np.argsort(-made_of.structures, kind="stable")[:EXAMPLES].tolist()
    geometry, filled = _flaws(structures)
    everyone = np.ones(len(structures.formula), np.bool_)
    judgement = {
        method: [
            one.text
            for one in sample_of(structures, method, everyone).findings({method: units}, [method] if stated else ())
        ]
        for method in structures.labels
    }
    return Info(
        structures=len(structures.formula),
        atoms=len(structures.species),
        sizes=_sizes(structures),
        formulae=len(structures.formulae),
        commonest=[(structures.formulae[i], int(made_of.structures[i])) for i in commonest],
        elements=_elements(made_of),
        periodic=0 if structures.pbc is None else int(structures.pbc.any(axis=1).sum()),
        charged=None if charge is None else int(np.count_nonzero(charge)),
        odd_electrons=int(odd.sum()),
        columns={name: len(column.values) for name, column in structures.columns.items()},
        methods={
            method: _method(structures, method, own, threshold, judgement[method], filled.get(method, 0))
            for method, own in lefts.items()
        },
        pairs=[_pair(structures, made_of, one, other) for one, other in itertools.combinations(structures.labels, 2)],
        duplicates=_copies(structures),
        flaws=geometry,
    )


def _sizes(structures: Structures) -> StructureSizes:
    sizes = structures.sizes
    counts = np.bincount(sizes)
    return StructureSizes(
        least=int(sizes.min()),
        median=float(np.median(sizes)),
        mean=float(sizes.mean()),
        most=int(sizes.max()),
        largest=structures.describe(int(sizes.argmax())),
        histogram={size: int(counts[size]) for size in np.flatnonzero(counts).tolist()},
    )


def _elements(made_of: Composition) -> dict[str, Element]:
    atoms = made_of.structures @ made_of.counts
    holding = made_of.structures @ (made_of.counts > 0)
    return {
        SYMBOLS[z]: Element(int(own), int(among))
        for z, own, among in zip(made_of.elements, atoms, holding, strict=True)
    }


def _method(
    structures: Structures, method: str, own: OffsetFit, threshold: float, judgement: list[str], filled: int
) -> MethodSurvey:
    energy = structures.labels[method].energy
    known = np.flatnonzero(np.isfinite(own.per_atom))
    flaws = {"energies that are not finite": int(np.isinf(energy).sum())}
    forces = None
    if structures.labels[method].forces is not None:
        strongest, squares, partly = _strongest(structures, method)
        with_forces = np.isfinite(strongest)
        flaws["forces on a part of the atoms"] = int(partly.sum())
        flaws["forces that are not finite"] = int(np.isinf(strongest).sum())
        flaws["forces that are all exactly zero, as in another shape of the same atoms: filled in"] = filled
        flaws["forces but no energy"] = int((with_forces & np.isnan(energy)).sum())
        components = 3 * int(structures.sizes[with_forces].sum())
        rms = float(np.sqrt(squares[with_forces].sum() / components)) if components else np.nan
        forces = Forces(int(with_forces.sum()), rms, _far(structures, strongest, threshold))
    return MethodSurvey(
        structures=len(known),
        forces=forces,
        flaws={what: count for what, count in flaws.items() if count},
        offsets={SYMBOLS[z]: value for z, value in own.offsets.items()},
        determined=own.determined,
        spread=float(own.per_atom[known].std()) if len(known) else np.nan,
        judgement=judgement,
        rounding=float32_rounding(np.asarray(energy), structures.sizes),
        far=_far(structures, own.per_atom, threshold),
        histogram=_histogram(1000 * own.per_atom[known]),
    )


def _pair(structures: Structures, made_of: Composition, one: str, other: str) -> MethodPair:
    energies = [structures.labels[method].energy for method in (one, other)]
    both = np.isfinite(energies[0]) & np.isfinite(energies[1])
    count = int(both.sum())
    if count < 2:
        return MethodPair((one, other), count, np.nan, np.nan, None)
    # Offsets of the common structures alone, so that no difference is left that offsets could explain.
    first, second = (left(structures, made_of, energy, both).per_atom[both] for energy in energies)
    difference = 1000 * (first - second)
    deviations = [values - values.mean() for values in (first, second)]
    lengths = [float(np.sqrt(values @ values)) for values in deviations]
    pearson = float(deviations[0] @ deviations[1]) / (lengths[0] * lengths[1]) if all(lengths) else np.nan
    return MethodPair((one, other), count, float(np.abs(difference).mean()), pearson, _histogram(difference))


def _copies(structures: Structures) -> Copies:
    pairs = duplicates(structure_hashes(structures))
    named = zip(pairs.first[:EXAMPLES].tolist(), pairs.other[:EXAMPLES].tolist(), strict=True)
    first = [(structures.describe(one), structures.describe(other)) for one, other in named]
    return Copies(len(pairs.other), first, told(structures, conflicts(structures, pairs)))


def _far(structures: Structures, values: NDArray[np.floating], threshold: float) -> Far:
    found = outliers(values, threshold)
    first = zip(found.index[:EXAMPLES].tolist(), found.scores[:EXAMPLES].tolist(), strict=True)
    named = [(structures.describe(index), score) for index, score in first]
    return Far(len(found.index), threshold, found.median, found.spread, named)


def _strongest(
    structures: Structures, method: str
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Return of each structure the largest force, the sum of squares, and whether a part of its forces is missing."""
    forces = structures.labels[method].forces
    assert forces is not None, "asked of methods with forces only"
    strongest, squares = np.empty(len(structures.formula)), np.empty(len(structures.formula))
    partly = np.zeros(len(structures.formula), np.bool_)
    for block in blocks(structures):
        square = np.square(forces[block.atoms], dtype=np.float64).sum(axis=1)
        missing = np.isnan(square)
        strongest[block.structures] = np.sqrt(np.maximum.reduceat(square, block.starts))
        squares[block.structures] = np.add.reduceat(square, block.starts)
        some, every = (reduce.reduceat(missing, block.starts) for reduce in (np.logical_or, np.logical_and))
        partly[block.structures] = some & ~every
    return strongest, squares, partly


def _flaws(structures: Structures) -> tuple[dict[str, int], dict[str, int]]:
    """Return what is wrong with geometries -> structures, and method -> structures whose forces were filled in."""
    geometry, filled = dict[str, int](), dict[str, int]()
    every, methods = np.arange(len(structures.formula)), list(structures.labels)
    for flaw, bad in flaws_of(structures, every, methods):
        if flaw.method is not None:
            filled[flaw.method] = filled.get(flaw.method, 0) + len(bad)
        elif flaw.geometry:
            geometry[flaw.what] = geometry.get(flaw.what, 0) + len(bad)
    return geometry, filled


def _histogram(values: NDArray[np.float64]) -> Histogram | None:
    if not len(values):
        return None
    low, high = np.quantile(values, [TAIL, 1 - TAIL])
    if not low < high:
        return None
    counts, edges = np.histogram(values, min(BINS, math.ceil(2 * len(values) ** (1 / 3))), (low, high))
    return Histogram(edges.tolist(), (counts / len(values) / np.diff(edges)).tolist())
