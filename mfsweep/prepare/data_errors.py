"""Errors that come from the data, at the lines of the spec that ask for what is not there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from mfsweep.data.check import check
from mfsweep.data.reading import read
from mfsweep.data.view import open_view
from mfsweep.errors import DataError
from mfsweep.plan.graph import Node
from mfsweep.spec.data import ResolvedData
from mfsweep.spec.load import FieldPath, Spec, dotted
from mfsweep.spec.stage import Evaluation, LabelledSet

_FIELD = re.compile(r"(?:^|: )(data(?:\.[A-Za-z_][\w-]*)+)\b")
"""A field of the spec with which a message begins, after the name of the file."""


def data_errors(spec: Spec, sources: Mapping[str, Path], data: ResolvedData, nodes: Sequence[Node]) -> list[DataError]:
    """Return what is wrong between the stages of one partition and its data, as far as it can be found together.

    Args:
        spec: it has the lines.
        sources: name of the source -> its file.
        data: the partition, and the labels of all methods.
        nodes: the stages.
    """
    # Each method by itself, then the partition: what stands on a wrong one has no error of its own.
    found = [
        at_place(spec, ("data", "labels", method), error)
        for method, keys in data.labels.items()
        if (error := _error_of(lambda keys=keys, method=method: read(sources, {method: keys})))
    ]
    if found:
        return found
    if error := _error_of(lambda: open_view(sources, data).partition):
        return [at_its_line(spec, error)]
    view = open_view(sources, data)
    for node in nodes:
        of_sets = [
            at_place(spec, set_place(spec, node.name, own), error)
            for own in node.training.sets
            if (error := _error_of(lambda own=own, node=node: check(view, [node.training.but(sets=(own,))], [])))
        ]
        if not of_sets and (error := _error_of(lambda node=node: check(view, [node.training], []))):
            of_sets = [at_place(spec, ("stages", node.name, "train"), error)]
        found += of_sets
        if of_sets:
            continue
        for own in node.evaluations:
            if error := _error_of(lambda own=own, node=node: check(view, [], [(node.training, own)])):
                found.append(at_place(spec, evaluation_place(spec, node.name, own), error))
    return found


def at_its_line(spec: Spec, error: DataError) -> DataError:
    """Return an error with the line of the field of `data:` that it begins with; as it is where there is none."""
    field = _FIELD.search(str(error))
    return at_place(spec, tuple(field[1].split(".")) if field else ("data",), error)


def at_place(spec: Spec, place: FieldPath, error: DataError) -> DataError:
    """Return an error of the data at a place of the spec."""
    line, name = spec.document.line(place), dotted(place)
    there = type(error)(f"{spec.document.path}:{line}: {name}: {str(error).removeprefix(f'{name}: ')}")
    there.line = line
    return there


def set_place(spec: Spec, stage: str, own: LabelledSet) -> FieldPath:
    """Return where a labelled set stands in the spec, as far as its labels and subset are written there."""
    written = spec.experiment.stages[stage].get("train")
    size = "range" if own.range else "size"
    for index, one in enumerate(written if isinstance(written, list) else []):
        is_it = isinstance(one, dict) and one.get("labels") == own.labels and one.get("subset") == own.subset
        if is_it or (isinstance(written, list) and len(written) == 1):
            return ("stages", stage, "train", index, *([size] if isinstance(one, dict) and size in one else []))
    return ("stages", stage, "train")


def evaluation_place(spec: Spec, stage: str, own: Evaluation) -> FieldPath:
    """Return where an evaluation of a stage stands in the spec, as far as its labels and subset are written there."""
    for place, written in (
        (("stages", stage, "evaluate"), spec.experiment.stages[stage].get("evaluate")),
        (("evaluate",), spec.experiment.evaluate),
    ):
        for index, one in enumerate(written if isinstance(written, list) else []):
            if isinstance(one, dict) and (one.get("labels"), one.get("subset")) == (own.labels, own.subset):
                return (*place, index)
    return ("evaluate",)


def _error_of(work: Callable[[], object]) -> DataError | None:
    try:
        work()
    except DataError as error:
        return error
    return None
