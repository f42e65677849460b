"""What `mfsweep data info` prints, and what it gives to be drawn."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mfsweep.analysis.data_figure import Drawing, Stairs
from mfsweep.data.dataset import Labelling
from mfsweep.data.survey.info import Histogram, Info, MethodSurvey
from mfsweep.data.survey.opening import Opened
from mfsweep.quantities import count
from mfsweep.spec.batching import Batching

ROWS = 12
"""Greatest number of rows of the table of sizes."""
RARE = 1e-3
"""Share of the largest structures that have a row of their own."""
BAR = 30
"""Characters of its longest bar."""
REASONS = 3
"""Reasons of failure named of each method."""


def costs(labellings: Mapping[str, Labelling]) -> dict[str, dict[str, Any]]:
    """Return what labels cost that mfsweep made: method -> numbers, core-seconds."""
    found: dict[str, dict[str, Any]] = {}
    for method, made in labellings.items():
        known = made.seconds[~np.isnan(made.seconds)].astype(np.float64)
        reasons = Counter(made.failures.values()).most_common(REASONS)
        found[method] = {
            "labels": len(known),
            "core_seconds": float(known.sum()),
            "core_seconds_per_label": float(known.mean()) if len(known) else math.nan,
            "failures": len(made.failures),
            "reasons": dict(reasons),
            "provenance": dict(made.provenance),
        }
    return found


def drawn(name: str, info: Info) -> Drawing:
    """Return what is drawn of a source."""
    return Drawing(
        name=name,
        sizes=info.sizes.histogram,
        energies={method: _stairs(own.histogram) for method, own in info.methods.items() if own.histogram},
        differences={pair.methods: (_stairs(pair.histogram), pair.mean_abs) for pair in info.pairs if pair.histogram},
    )


def _stairs(histogram: Histogram) -> Stairs:
    return Stairs(np.array(histogram.edges), np.array(histogram.density))


def print_info(console: Console, opened: Opened, info: Info, provenance: Mapping[str, Any] | None) -> None:
    """Print the tables.

    Args:
        console: where to.
        opened: the file.
        info: what is in it.
        provenance: of a data set; None for another file.
    """
    facts = _table(f"{opened.path}: {opened.layout}")
    facts.add_column()
    facts.add_column()
    for name, text in _facts(opened, info):
        facts.add_row(name, escape(text))
    tables = [facts, _sizes(info), _elements(info)]
    if info.methods:
        tables += [_methods(info), _offsets(info)]
    if info.pairs:
        tables.append(_pairs(info))
    for table in tables:
        console.print(table)
        console.print()
    for text in [*opened.notes, *_notes(info, provenance)]:
        console.print(f"[yellow]![/] {escape(text)}")


def print_origin(console: Console, costs: Mapping[str, Mapping[str, Any]], provenance: Mapping[str, Any]) -> None:
    """Print what a data set's labels cost, and where its structures come from."""
    if costs:
        table = _table("labels made by mfsweep", "method", "labels", "core-s", "core-s per label", "failed")
        for method, own in costs.items():
            numbers = f"{own['core_seconds']:,.1f}", f"{own['core_seconds_per_label']:.3g}", f"{own['failures']:,}"
            table.add_row(escape(method), f"{own['labels']:,}", *numbers)
        console.print(table)
        for method, own in costs.items():
            for reason, number in own["reasons"].items():
                console.print(f"[yellow]![/] {escape(f'{method}: {number} failed: {reason}')}")
    if provenance:
        table = _table("provenance")
        table.add_column()
        table.add_column(overflow="fold")
        for name, text in _flat(provenance):
            table.add_row(escape(name), escape(text))
        console.print(table)


def _table(title: str, *columns: str) -> Table:
    table = Table(box=None, pad_edge=False, title=escape(title), title_justify="left", show_header=bool(columns))
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=not place, overflow="fold")
    return table


def _facts(opened: Opened, info: Info) -> Iterator[tuple[str, str]]:
    yield "structures", f"{info.structures:,}, {info.atoms:,} atoms"
    own = info.sizes
    yield "atoms each", f"{own.least} to {own.most}, median {own.median:g}, mean {own.mean:.2f}"
    yield "largest", own.largest
    common = ", ".join(f"{formula} {number:,}" for formula, number in info.commonest)
    yield "formulae", f"{info.formulae:,}; most structures: {common}"
    if info.periodic:
        yield "periodic", f"{info.periodic:,} ({info.periodic / info.structures:.1%})"
    if info.charged is not None:
        yield "charged", f"{info.charged:,}"
    copies = "; ".join(f"{one} = {other}" for one, other in info.duplicates.first)
    yield "duplicates", f"{info.duplicates.structures:,}" + (f": {copies}" if copies else "")
    if info.columns:
        yield "columns", ", ".join(f"{name} ({count(number, 'value')})" for name, number in info.columns.items())
    if opened.other_keys:
        yield "other keys", ", ".join(opened.other_keys)


def _sizes(info: Info) -> Table:
    table = _table("sizes", "atoms", "structures", "")
    table.columns[2].justify = "left"
    for (first, last), number in (rows := size_rows(info.sizes.histogram)).items():
        name = f"{first}" if first == last else f"{first} to {last}"
        table.add_row(name, f"{number:,}", "█" * math.ceil(BAR * number / max(rows.values())))
    return table


def size_rows(histogram: Mapping[int, int]) -> dict[tuple[int, int], int]:
    """Return the rows of the table of sizes: first and last size -> structures, ROWS of equal width at most.

    What lies above the size that all but RARE of the structures keep has one row more: a single large structure must
    not hide the sizes of the others.
    """
    sizes = sorted(histogram)
    reached = np.cumsum([histogram[size] for size in sizes])
    usual = sizes[int(np.searchsorted(reached, (1 - RARE) * reached[-1]))]
    width = max(1, math.ceil((usual - sizes[0] + 1) / ROWS))
    starts = range(sizes[0], usual + 1, width)
    bounds = [(start, min(start + width - 1, usual)) for start in starts]
    bounds += [(usual + 1, sizes[-1])] if sizes[-1] > usual else []
    return {
        (first, last): sum(number for size, number in histogram.items() if first <= size <= last)
        for first, last in bounds
    }


def _elements(info: Info) -> Table:
    table = _table("elements", "element", "atoms", "share", "structures")
    for symbol, own in info.elements.items():
        table.add_row(symbol, f"{own.atoms:,}", f"{own.atoms / info.atoms:.1%}", f"{own.structures:,}")
    return table


def _methods(info: Info) -> Table:
    title = "label methods; spread of energies after the offsets, meV/atom; root mean square force, eV/Å; outliers"
    columns = ("energies", "NaN", "forces", "spread", "force", "of E", "of F")
    table = _table(title, "method", *columns)
    for name, own in info.methods.items():
        forces = own.forces
        table.add_row(
            escape(name),
            f"{own.structures:,}",
            f"{info.structures - own.structures:,}",
            f"{forces.structures:,}" if forces else "-",
            _number(1000 * own.spread),
            _number(forces.rms) if forces else "-",
            f"{own.far.structures:,}",
            f"{forces.far.structures:,}" if forces else "-",
        )
    return table


def _offsets(info: Info) -> Table:
    table = _table("energy offsets by least squares, eV", "method", *info.elements)
    for name, own in info.methods.items():
        values = [f"{own.offsets[symbol]:,.3f}" if symbol in own.offsets else "-" for symbol in info.elements]
        table.add_row(escape(name), *values)
    return table


def _pairs(info: Info) -> Table:
    title = "differences of methods on common structures, each after its own energy offsets"
    table = _table(title, "methods", "structures", "mean abs, meV/atom", "Pearson")
    for pair in info.pairs:
        name = escape(" − ".join(pair.methods))
        table.add_row(name, f"{pair.structures:,}", _number(pair.mean_abs), _number(pair.pearson, ".4f"))
    return table


def _notes(info: Info, provenance: Mapping[str, Any] | None) -> Iterator[str]:
    """Yield what looks wrong, or should be known before training."""
    for what, number in info.flaws.items():
        yield f"{count(number, 'structure')}: {what}"
    yield from info.duplicates.conflicts
    default = Batching().max_atoms
    if info.sizes.most > default:
        above = sum(number for size, number in info.sizes.histogram.items() if size > default)
        yield f"{count(above, 'structure')} with more than {default} atoms: batch.max_atoms must be {info.sizes.most}"
    if info.odd_electrons:
        number = count(info.odd_electrons, "structure")
        yield f"{number} with an odd number of electrons: radicals or ions, which no sweep takes"
    if info.charged:
        yield f"{count(info.charged, 'charged structure')}: the models know no charge"
    for method, own in info.methods.items():
        yield from _notes_on(method, own)
        trusted = bool(provenance and provenance.get("units_trusted"))
        doubt = ". They were imported with --trust-units: make sure that they are right" if trusted else ""
        yield from (text + doubt for text in own.judgement)


def _notes_on(method: str, own: MethodSurvey) -> Iterator[str]:
    for what, number in own.flaws.items():
        yield f"{method}: {count(number, 'structure')} with {what}"
    if own.rounding:
        yield f"{method}: {own.rounding.sentence}"
    if not own.determined:
        yield f"{method}: the compositions do not fix all energy offsets: those shown are the smallest that fit"
    kinds = {"energy per atom after the offsets": own.far} | ({"largest force": own.forces.far} if own.forces else {})
    for what, far in kinds.items():
        if far.structures:
            shown = ", ".join(f"{name} z = {score:+.1f}" for name, score in far.first)
            yield f"{method}: {count(far.structures, 'outlier')} by {what} (robust |z| > {far.threshold:g}): {shown}"


def _number(value: float, form: str = ".3g") -> str:
    return "-" if math.isnan(value) else format(value, form)


def _flat(value: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    for name, own in value.items():
        if isinstance(own, list) and own and isinstance(own[0], Mapping):
            own = dict(enumerate(own)) if len(own) > 1 else own[0]  # noqa: PLW2901 (the same, with names)
        if isinstance(own, Mapping):
            yield from _flat(own, f"{before}{name}.")
        elif own not in (None, "", []):
            yield before + name, ", ".join(map(str, own)) if isinstance(own, list) else str(own)
