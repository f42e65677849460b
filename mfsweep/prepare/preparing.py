"""Spec file + data file + store -> a plan that can be run: what can be wrong is found here, before Ray starts."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from mfsweep.errors import DataError, SpecError
from mfsweep.plan.expand import expand
from mfsweep.plan.figures import check_figures
from mfsweep.plan.fits import check_fits, check_search
from mfsweep.plan.foresight import foreseen
from mfsweep.plan.graph import ModelFile, StageGraph, build
from mfsweep.prepare.checking import check_stages
from mfsweep.prepare.inventory import Inventory, take
from mfsweep.prepare.label_costs import with_measured
from mfsweep.prepare.model_files import model_files
from mfsweep.prepare.plan import Plan
from mfsweep.prepare.points import SearchPoint, asked, text, tried
from mfsweep.prepare.sources import Ways, find_sources
from mfsweep.spec.gathered import Gathered
from mfsweep.spec.load import Spec, read
from mfsweep.spec.resources import Resources
from mfsweep.store import StoreFolder


def prepare(
    source: Path | Spec,
    store: Path,
    resources: Mapping[str, Any] | None = None,
    *,
    allow_missing_data: bool = False,
    verify: bool = False,
    keep: bool = False,
    say: Callable[[str], object] = lambda _: None,
) -> Plan:
    """Read a spec, expand it, check it against its data, and look up what the store has of it.

    Of a search it plans the points that were asked for so far, and checks the ends and the middle of its axes too.

    Args:
        source: the spec, or the file that has it.
        store: the store; it need not exist.
        resources: in place of the spec's `resources` and of its stages', field by field.
        allow_missing_data: plan also where a data file is not at hand; then nothing is checked against it.
        verify: read every data file, whatever the store remembers of it.
        keep: keep what is made of the sources in the store also where it is not there yet.
        say: told what takes long: the import of a source.

    Raises:
        SpecError: the spec, and what it asks of the data: all that is found, each with its line.
        DataError: the data, or what the spec asks of them.
        TrainingError: a model file that cannot be read.
    """
    found = Gathered()
    spec = _spec(source, resources or {}, found)
    kept = StoreFolder(store.absolute())
    folder = spec.document.path.absolute().parent
    before = len(found)
    ways = Ways(allow_missing=allow_missing_data, verify=verify, keep=keep or kept.is_there, say=say)
    spec, sources, content, warnings = find_sources(spec, kept, found, ways)
    # A search is checked before it asks.
    at = spec.at(tried(spec)) if spec.searched else spec
    cells = expand(at, found)
    files: dict[str, tuple[ModelFile, Path]] = {}
    with found.errors():
        files = model_files(spec, cells, folder)
    heads = {name: file for name, (file, _) in files.items()}
    graph = build(spec, cells, content, heads, found)
    if len(found) == before:  # else fits and figures would seem to name what only the errors took away
        check_fits(spec, graph, found)
        with found.errors():
            check_search(spec, graph)
        check_figures(spec, graph, found)
    if not found:
        warnings += tuple(foreseen(spec, graph))
    warnings += tuple(check_stages(spec, sources, graph, found, kept.judged if kept.is_there else None))
    figures = dict(spec.experiment.figures)
    with found.errors():
        figures = with_measured(spec, sources) if sources else figures
    found.tell()
    paths = {file.digest: place for file, place in files.values()}
    plan = Plan(spec, kept, sources, content, paths, graph, take(kept, graph), warnings, heads=heads, figures=figures)
    return _at_asked_points(plan) if spec.searched else plan


def _spec(source: Path | Spec, resources: Mapping[str, Any], found: Gathered) -> Spec:
    """Return the spec, with some of its resources replaced; of a file as far as it can be read."""
    if isinstance(source, Spec):
        changed = source.experiment.resources.model_dump() | dict(resources)
        experiment = source.experiment.but(resources=source.document.build(Resources, changed, ("resources",)))
        return source._replace(experiment=experiment, forced={**source.forced, **resources})
    spec = read(source, {"resources": dict(resources)} if resources else {}, found)
    if spec is None:
        found.tell()
        raise AssertionError("what cannot be read has been told")
    return spec


def _at_asked_points(plan: Plan) -> Plan:
    """Return the plan of a search at the points it has asked for, given its plan where it was tried.

    A point that the spec has come to forbid since is left out with a warning: nobody wrote it.
    """
    nothing = replace(plan, graph=StageGraph({}, []), inventory=Inventory(), tried=plan.graph)
    points = asked(plan.spec, plan.store)
    with contextlib.suppress(SpecError, DataError):
        return nothing.extended(points)
    left, warnings = list[SearchPoint](), list[str]()
    for point in points:
        try:
            nothing.extended([point])
            left.append(point)
        except (SpecError, DataError) as error:
            warnings.append(f"{text(point)}, which the search asked for earlier, is left out: {error}")
    return replace(nothing, warnings=(*plan.warnings, *warnings)).extended(left)
