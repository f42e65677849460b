"""What `mfsweep advise` says of a data set, in sentences by topic."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from mfsweep.data.structures import Structures
from mfsweep.data.survey.alignment import Alignment
from mfsweep.data.survey.info import Info
from mfsweep.quantities import MINIMUM_PRETRAININGS, MINIMUM_X, count
from mfsweep.spec.data import LabelKeys

SPAN = 10
"""Ratio of the largest to the smallest pre-training below which a gradient is hard to tell."""
DOMINANT = 0.25
"""Share of one formula from which on it decides what comes out."""


class DecidedCut(NamedTuple):
    """How many replicates decide a cut of the error."""

    cut: float
    """0.5 halves the error."""
    replicates: int | None
    """None: more than 1,000."""
    decided: bool
    """Whether there are as many."""


class SpecPartitions(NamedTuple):
    """The partitions of a spec that is there already."""

    number: int
    """0: of a search that has proposed no cell yet."""
    drawn: bool
    """Whether the spec draws them, so that there could be folds."""


class FormulaGroups(NamedTuple):
    """Formulae, which a partition keeps whole."""

    with_target: int
    shared_out: int
    """Formulae of the structures that carry what training and test need."""
    largest: float
    """Share of the target's structures that are of one formula."""
    folds: int | None
    """Folds; None: too few formulae for any, or a spec that has other partitions."""
    tested: int | None
    """Formulae that are tested in each fold or partition, about; None: none with the target's labels."""
    spec: SpecPartitions | None = None
    """None: there is no spec yet."""

    @property
    def replicates(self) -> int:
        """Return how many folds or partitions there are."""
        return self.spec.number if self.spec else self.folds or 1


class DataSurvey(NamedTuple):
    """A data set as it was looked at."""

    structures: Structures
    """Labels by the names of `keys`."""
    info: Info
    keys: Mapping[str, LabelKeys]
    """Label method -> its keys in the file."""
    target: str
    """Label method whose error counts."""
    auxiliary: str | None
    """The method to pre-train on; None: there is none."""
    alignments: tuple[Alignment, ...]
    """The other methods beside the target, the nearest first."""
    groups: FormulaGroups
    power: tuple[DecidedCut, ...]
    """What the folds decide."""


def sentences(of: DataSurvey) -> dict[str, list[str]]:
    """Return topic -> sentences; a topic without any is not there."""
    made = {
        "methods": _methods(of.info, of.target, of.auxiliary, of.alignments),
        "forces": _forces(of.info, of.target, of.auxiliary),
        "groups": _groups(of.target, of.groups, of.power),
        "sizes": _sizes(of.structures, of.target, of.auxiliary),
        "data": _data(of.structures, of.info, of.target, of.auxiliary),
    }
    return {topic: said for topic, said in made.items() if said}


def _methods(info: Info, target: str, auxiliary: str | None, alignments: Sequence[Alignment]) -> list[str]:
    if len(info.methods) == 1:
        alone = (
            f"{target} is the only label method: there is nothing to transfer from. `mfsweep data label` adds a cheap"
        )
        return [
            f"{alone} one, gfn2-xtb for example; until then a curve of error against size is all there is to learn."
        ]
    said = [_beside(target, one, is_nearest=one is alignments[0] and len(alignments) > 1) for one in alignments]
    absent = [method for method in info.methods if method not in {target, *(one.method for one in alignments)}]
    said += [
        f"No two structures have both {target} and {method} labels: how near they are cannot be told, and "
        f"delta-learning on {method} is not possible. `mfsweep data label` can add one to the structures of the other."
        for method in absent
    ]
    near = next((one for one in alignments if one.method == auxiliary), None)
    if near is not None and near.left < 1:
        said.append(
            f"Delta-learning on {near.method} would have {near.mean_abs:.3g} meV/atom to learn in place of "
            f"{near.target_mean_abs:.3g}, but needs {near.method} for every structure that it predicts."
        )
    if near is not None and near.left >= 1:
        said.append(
            f"{near.method} is no nearer to {target} than energy offsets alone: check its keys and units before it is "
            "pre-trained on."
        )
    return said


def _beside(target: str, one: Alignment, *, is_nearest: bool) -> str:
    said = f"{one.method}{f' is nearest to {target}' if is_nearest else ''}: after energy offsets it differs from "
    said += f"{target} by {one.mean_abs:.3g} meV/atom on average (standard deviation {one.spread:.3g})"
    if not math.isnan(one.left):
        said += f", {_percent(one.left)} of the {one.target_mean_abs:.3g} that offsets leave of {target} itself"
    if not math.isnan(one.pearson):
        said += f"; correlation {one.pearson:.3f}"
    if not math.isnan(one.pearson_within):
        said += f", between conformers of a formula {one.pearson_within:.3f}"
    return f"{said}."


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _forces(info: Info, target: str, auxiliary: str | None) -> list[str]:
    def with_forces(method: str) -> int:
        own = info.methods[method].forces
        return own.structures if own else 0

    said = []
    values = 3 * info.sizes.mean
    if auxiliary and with_forces(auxiliary):
        said.append(
            f"{auxiliary} has forces on {with_forces(auxiliary):,} structures: pre-train on them too, about "
            f"{values:.0f} numbers a structure beside one energy."
        )
    elif auxiliary:
        said.append(f"{auxiliary} has no forces: a pre-training learns from one number a structure, and needs more.")
    if not with_forces(target):
        said.append(
            f"{target} has energies only: its errors are of energies, and a fine-tuning keeps no force in check."
        )
    return said


def _groups(target: str, groups: FormulaGroups, power: Sequence[DecidedCut]) -> list[str]:
    said = [f"{_formulae(groups.with_target)} have {target} labels."]
    if groups.spec is None and groups.folds is None:
        said.append(
            f"{groups.shared_out} formulae are too few to be shared out to folds: one or two would be tested "
            "at a time. Add molecules, or split by structure (`by: structure`), which tells of these molecules only."
        )
    elif groups.spec is not None and groups.replicates == 1:
        tests = f", which tests {_formulae(groups.tested)}" if groups.tested else ""
        said.append(
            f"The spec has one partition{tests}: there is no interval that holds for other formulae."
            + (" An axis `fold`, with `folds` in `data.splits`, makes one." if groups.spec.drawn else "")
        )
    elif groups.replicates:
        each = f" with about {_formulae(groups.tested)} tested in each" if groups.tested else ""
        has = "The spec has" if groups.spec else "That makes"
        said.append(f"{has} {_replicates(groups)}{each}. {_decided(groups, power)}")
    if groups.largest >= DOMINANT:
        said.append(
            f"{_percent(groups.largest)} of the structures with {target} labels are of one formula: the "
            f"{'partition' if groups.folds is None else 'fold'} that tests it will stand apart."
        )
    return said


def _decided(groups: FormulaGroups, power: Sequence[DecidedCut]) -> str:
    """Return which cuts of the error the folds or partitions decide."""
    decided = [_percent(one.cut) for one in power if one.decided]
    undecided = [f"{_percent(one.cut)}, which takes {one.replicates}" for one in power if not one.decided]
    said = "They decide no cut"
    if decided:
        said = f"{_replicates(groups)} decide a cut of the error by {' or by '.join(decided)}"
    said += f", not by {' or by '.join(undecided)}" if undecided else ""
    between = "partitions" if groups.folds is None else "folds"
    return (
        f"{said} (four times in five, where ratios of errors vary between {between} by 25 %, as in the bundled data)."
    )


def _replicates(groups: FormulaGroups) -> str:
    return count(groups.replicates, "partition" if groups.folds is None else "fold")


def _formulae(number: int) -> str:
    return count(number, "formula").replace("formulas", "formulae")


def _sizes(structures: Structures, target: str, auxiliary: str | None) -> list[str]:
    if auxiliary is None:
        return [f"A curve needs at least {MINIMUM_X} sizes, each about three times the one before."]
    has, other = structures.usable(target), structures.usable(auxiliary)
    pool = int(other.sum())
    law = f"A law needs {MINIMUM_X} pre-training sizes and {MINIMUM_PRETRAININGS} pre-trainings at least"
    said = [f"{law}, over a factor of {SPAN} in size or more: {pool:,} structures have {auxiliary} labels."]
    if pool < SPAN * SPAN:
        said.append(
            f"{pool} {auxiliary} labels are few for that: expect an interval of the gradient that tells little."
        )
    if int(has.sum()) >= pool:
        said.append(
            f"{target} labels are as many as those of {auxiliary}: the spec takes few of them, as if they were dear, "
            "and leaves the rest to the pre-training."
        )
    return said


def _data(structures: Structures, info: Info, target: str, auxiliary: str | None) -> list[str]:
    said = []
    if copies := info.duplicates.structures:
        said.append(
            f"{count(copies, 'structure')} stand in it twice (the first: {info.duplicates.first[0][0]}): a partition "
            "by formula keeps copies together, but each counts as one more label."
        )
        said += info.duplicates.conflicts
    for method in (target, auxiliary):
        if method is None:
            continue
        own = info.methods[method]
        missing = info.structures - own.structures
        if missing:
            said.append(f"{missing:,} of {info.structures:,} structures have no {method} energy.")
        said += [f"{method}: {number:,} structures have {what}." for what, number in own.flaws.items()]
        said += [f"{method}: {text}" for text in own.judgement]
    said += [f"{number:,} structures: {what}." for what, number in info.flaws.items()]
    if auxiliary is not None:
        both = int(np.count_nonzero(structures.usable(target) & structures.usable(auxiliary)))
        if 0 < both < min(info.methods[target].structures, info.methods[auxiliary].structures):
            said.append(f"{both:,} structures have both {target} and {auxiliary} labels.")
    return said
