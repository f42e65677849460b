"""Where the errors are: parity plots, and errors by element, formula, size, force and distance from the training set.

Of the setting with the least error and of direct training with its labels, from the predictions in the store.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from mfsweep.analysis.breakdown import Mean, by_group, by_number, mean_of
from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.facts import Floats, Integers
from mfsweep.analysis.leading import Leading, leading
from mfsweep.analysis.page.blocks import PageBlock, Paragraph, Pictures, SortableTable
from mfsweep.analysis.palette import INK, Palette
from mfsweep.analysis.plotting import PlotFigure
from mfsweep.analysis.predicted import PredictedStructures, predicted
from mfsweep.analysis.report.rows import axes_of, fields, names
from mfsweep.analysis.selection import text
from mfsweep.analysis.split_figures import Shown, over_bins, over_groups, parity
from mfsweep.analysis.study import Analysis, ReportStudy, Result
from mfsweep.analysis.table import scalar
from mfsweep.quantities import count

ENERGY, FORCE = "energy MAE (meV/atom)", "force MAE (meV/Å)"
DISTANCE = (
    "Distance of a structure from the nearest one that any stage of the cell was trained on: Euclidean, between "
    "fingerprints that count neighbours by element pair and distance, per atom; 0 for a structure trained on."
)
BARS = "Dots: means of equally many structures; error bars: 95 % interval over formulae."


class Side(NamedTuple):
    """One setting of the comparison."""

    shown: Shown
    values: Mapping[str, Any]
    """Axis values, seeds left out."""
    found: PredictedStructures


def blocks(study: ReportStudy, analysis: Analysis, result: Result) -> list[PageBlock]:
    """Return the section of one metric."""
    found = leading(result.outcomes)
    if found is None:
        return []
    if study.look is None:
        return [Paragraph("The data are not at hand: errors are not split up.")]
    method = (result.path.method or "").partition("@")[0]
    sides = [
        Side(_shown(setting, study.palette, method), setting.values, own)
        for setting in found
        if setting and (own := predicted(analysis.records, setting, result.path, study.look))
    ]
    if not sides:
        return []
    said = f"Of the setting with the least {result.path}, {_named(found[0])}"
    said += f", beside direct training with the same labels ({_named(found[1])})" if len(sides) > 1 else ""
    prefix = str(result.path).partition(".")[2]
    text_of = Paragraph(f"{said}. {_replicates(found[0])}")
    return [text_of, Pictures(_pictures(prefix, sides)), _elements(sides), _formulae(sides)]


def _pictures(prefix: str, sides: list[Side]) -> list[Picture]:
    first = sides[0].found
    founds = [side.found for side in sides]
    clouds = [(side.shown, side.found.reference, side.found.predicted) for side in sides]
    elements = [(side.shown, _with_element(side.found)) for side in sides]
    made = [
        Picture(
            f"parity.{prefix}",
            "Predicted against reference energy per atom, less an energy for each element fitted to the references.",
            parity(clouds, "energy", "meV/atom"),
        ),
        Picture(
            f"elements.{prefix}",
            "Error of the structures that contain an element; error bars: 95 % interval over formulae.",
            over_groups(elements, first.elements, "element", ENERGY),
        ),
        Picture(
            f"sizes.{prefix}", f"Error by number of atoms. {BARS}", _by(sides, [one.atoms for one in founds], "atoms")
        ),
    ]
    forces = [force for one in founds if (force := one.structure_force) is not None]
    if len(forces) == len(sides):
        x = f"root mean square {first.forces_of} force of a structure (eV/Å)"
        said = f"Error by the size of the forces, which are those of {first.forces_of}. {BARS}"
        made.append(Picture(f"force.{prefix}", said, _by(sides, forces, x)))
    distances = [one.distance for one in founds if one.distance is not None]
    if len(distances) == len(sides):
        picture = _by(sides, distances, "distance from the training set")
        made.append(Picture(f"distance.{prefix}", f"{DISTANCE} {BARS}", picture))
    return [*made, *_of_forces(prefix, sides)]


def _of_forces(prefix: str, sides: list[Side]) -> list[Picture]:
    """Return the pictures of a method with forces."""
    pairs = [(side, side.found.forces) for side in sides]
    known = [(side, forces) for side, forces in pairs if forces is not None]
    if len(known) < len(sides):
        return []
    clouds = [(side.shown, one.ravel(), other.ravel()) for side, (one, other) in known]
    by_force = [
        (side.shown, by_number(own.force_error, own.formula[own.structure], own.force))
        for side in sides
        if (own := side.found).force is not None
    ]
    return [
        Picture(
            f"parity_forces.{prefix}",
            "Predicted against reference force components.",
            parity(clouds, "force component", "eV/Å"),
        ),
        Picture(
            f"force_error.{prefix}",
            f"Error of an atom's force by its magnitude. {BARS}",
            over_bins(by_force, "reference force of an atom (eV/Å)", FORCE),
        ),
    ]


def _by(sides: list[Side], values: Sequence[Floats | Integers], x: str) -> PlotFigure:
    """Return the energy error over bins of a number that each structure has, (S,) for each side."""
    bins = [
        (side.shown, by_number(side.found.error, side.found.formula, own))
        for side, own in zip(sides, values, strict=True)
    ]
    return over_bins(bins, x, ENERGY)


def _with_element(own: PredictedStructures) -> dict[str, Mean]:
    means: dict[str, Mean] = {}
    for place, element in enumerate(own.elements):
        has = own.counts[:, place] > 0
        if has.any():
            means[element] = mean_of(own.error[has], own.formula[has])
    return means


def _elements(sides: list[Side]) -> SortableTable:
    axes = axes_of(side.values for side in sides)
    head = ["setting", *names(axes), "element", "structures with it", "formulae", "energy MAE, meV/atom"]
    forces = all(side.found.forces is not None for side in sides)
    head += ["95 % interval", *(["atoms", "force MAE, meV/Å"] if forces else [])]
    rows: list[tuple[str, ...]] = []
    for shown, values, own in sides:
        named = [shown.text, *fields(values, axes)]
        for element, mean in _with_element(own).items():
            row = [*named, element, f"{mean.number:,}", str(mean.formulae), f"{mean.value:.3g}", _interval(mean)]
            if forces:
                atoms = own.kind == own.elements.index(element)
                row += [f"{int(atoms.sum()):,}", f"{own.force_error[atoms].mean():.3g}"]
            rows.append(tuple(row))
    caption = "Errors by element: of the structures that contain it"
    return SortableTable(caption, head, rows, frozenset({0, len(axes) + 1}), fold="By element")


def _formulae(sides: list[Side]) -> SortableTable:
    axes = axes_of(side.values for side in sides)
    head = ["setting", *names(axes), "formula", "atoms", "structures", "energy MAE, meV/atom", "signed mean, meV/atom"]
    rows: list[tuple[str, ...]] = []
    for shown, values, own in sides:
        formulae = own.formula.tolist()
        means, signed = (by_group(of, own.formula, formulae) for of in (own.error, own.predicted - own.reference))
        size = dict(zip(formulae, own.atoms.tolist(), strict=True))
        for name in sorted(means, key=lambda name: -means[name].value):
            numbers = f"{means[name].number:,}", f"{means[name].value:.3g}", f"{signed[name].value:+.3g}"
            rows.append((shown.text, *fields(values, axes), name, str(size[name]), *numbers))
    caption = f"Errors by formula, the worst first ({count(len(rows), 'row')})"
    return SortableTable(caption, head, rows, frozenset({0, len(axes) + 1}), fold="By formula")


def _shown(setting: Leading, palette: Palette, method: str) -> Shown:
    return Shown("direct", INK, "o") if setting.direct else Shown("best", palette.method(method), "s")


def _named(setting: Leading | None) -> str:
    if setting is None:
        return ""
    return ", ".join(f"{axis.replace('_', ' ')} {text(scalar(value))}" for axis, value in setting.values.items())


def _replicates(setting: Leading) -> str:
    number = len(setting.of_replicates)
    together = f"The predictions of {number} replicates stand together. " if number > 1 else ""
    return f"{together}Conformers of a formula err alike: intervals are over formulae."


def _interval(mean: Mean) -> str:
    return "" if mean.low is None or mean.high is None else f"{mean.low:.3g} to {mean.high:.3g}"
