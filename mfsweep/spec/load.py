"""YAML -> Experiment, and the wording of everything that can be wrong with it.

An error names the file, the line, the path in the YAML, what was got, what was expected and the nearest right name.
"""

from __future__ import annotations

import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import ValidationError

from mfsweep.errors import SpecError, nearest
from mfsweep.masking import masked
from mfsweep.spec import axes, templates
from mfsweep.spec.axes import SEEDS, AxesError, AxisLabels, Distribution, Value
from mfsweep.spec.data import LabelKeys
from mfsweep.spec.experiment import Experiment
from mfsweep.spec.gathered import Gathered
from mfsweep.spec.mended import Mended, adapter
from mfsweep.spec.tree import Tree
from mfsweep.spec.wording import FieldPath, Problem, problems
from mfsweep.spec.yaml12 import YamlError, line_of, parse

__all__ = ["Document", "FieldPath", "Spec", "dotted", "load", "read", "shown"]

_T = TypeVar("_T")
_SHOWN = 80
"""Characters of a value that an error shows."""
_SHOWN_PLACE = 160
"""And of its place."""


class Document:
    """One spec file as it was read: the tree, and where in the file each part of it stands."""

    def __init__(self, path: Path) -> None:
        """Read a file; of keys that stand twice in a mapping, `repeated` tells.

        Raises:
            SpecError: it cannot be read, or is not YAML.
        """
        self.path = path
        self.text = _read(path)
        try:
            read = parse(self.text)
        except YamlError as error:
            first = error.problems[0]
            raise SpecError(f"{path}:{first.line}: not YAML: {first.text}", first.line) from None
        self.tree: Any = read.tree
        self._nodes = read.root
        self.repeated = [SpecError(f"{path}:{line}: {text}", line) for line, text in read.problems]
        if not isinstance(self.tree, dict):
            raise self.error((), self.tree, "a mapping with name, data, model, stages and result")

    def error(self, place: FieldPath, got: Any, expected: str) -> SpecError:
        """Return the error for something wrong at a place."""
        line = self.line(place)
        where = _cut(dotted(place) or "the top level", _SHOWN_PLACE)
        error = SpecError(f"{self.path}:{line}: {where}: got {shown(got)}, expected {expected}", line)
        error.place, error.got, error.expected = place, got, expected
        return error

    def line(self, place: FieldPath) -> int:
        """Return the line, from 1, on which a place (or the nearest thing around it that is written) stands."""
        return line_of(self._nodes, place)

    def build(self, kind: type[_T] | Any, tree: Any, place: FieldPath) -> _T:
        """Return the tree as a validated model.

        Raises:
            SpecError: all that is wrong with it, a line each.
        """
        try:
            return adapter(kind).validate_python(tree)
        except ValidationError as error:
            found = Gathered()
            for problem in problems(error.errors(), kind, tree):
                found.add(self.error((*place, *problem.place), problem.got, problem.expected))
            found.tell()
            raise


class Spec(typing.NamedTuple):
    """A spec that was read: what it says, and the file that says it."""

    experiment: Experiment
    blocks: list[AxisLabels]
    """The axes but the searched ones; of a search, after `at`, with the values that were asked for."""
    document: Document
    searched: dict[str, Distribution] = {}
    """The axes that are distributions."""
    forced: Mapping[str, Any] = {}
    """Fields of `resources` from the command line: all stages have them, whatever the spec says of one."""

    def studies(self) -> list[dict[str, Value]]:
        """Return what a search is made for, one study each: the combinations of the other axes but the seeds."""
        plain = [{axis: labels for axis, labels in block.items() if axis not in SEEDS} for block in self.blocks]
        return list(axes.cells(plain))

    def with_labels(self, labels: Mapping[str, LabelKeys]) -> Spec:
        """Return this spec with other keys of its label methods, as the data sets have them that its sources became."""
        if dict(labels) == self.experiment.data.labels:
            return self
        data = self.experiment.data.but(labels=dict(labels))
        return self._replace(experiment=self.experiment.but(data=data))

    def at(self, points: Sequence[Mapping[str, Value]]) -> Spec:
        """Return this search as a plain grid at some points.

        Args:
            points: values of all axes, searched ones too, but the seeds, which are gridded as they are written.
        """
        (block,) = self.blocks
        seeds = {axis: labels for axis, labels in block.items() if axis in SEEDS}
        blocks: list[AxisLabels] = [
            {axis: {label: block[axis][label] if axis in block else label} for axis, label in point.items()} | seeds
            for point in points
        ]
        return self._replace(blocks=blocks)


def load(path: str | Path, overrides: Mapping[str, Mapping[str, Any]] | None = None) -> Spec:
    """Read a spec.

    Args:
        path: the file.
        overrides: top-level field -> entries that replace the file's, from the command line.

    Raises:
        SpecError: the file cannot be read, is not YAML, or does not say what a spec says: all of it, a line each.
    """
    found = Gathered()
    spec = read(Path(path), overrides, found)
    found.tell()
    assert spec is not None, "what cannot be read has been told"
    return spec


def read(path: Path, overrides: Mapping[str, Mapping[str, Any]] | None, found: Gathered) -> Spec | None:
    """Read a spec as far as it goes, and keep what is wrong with it.

    Args:
        path: the file.
        overrides: as of `load`.
        found: takes the errors.

    Returns:
        The spec, in which misspelt fields stand for those nearest to them and what does not fit is left out; so a plan
        may be made of it, in search of further errors, that is not what was meant. None: that would be guessing.

    Raises:
        SpecError: the file cannot be read, or is not YAML.
    """
    document = Document(path)
    for error in document.repeated:
        found.add(error)
    mended = Mended(document.tree)
    for name, entries in (overrides or {}).items():
        written = mended.tree.get(name)
        mended.tree[name] = {**written, **entries} if isinstance(written, dict) else dict(entries)
    wrong = [*mended.mend(Experiment, ()), *templates.problems(mended)]
    blocks: list[AxisLabels] = []
    searched: dict[str, Distribution] = {}
    try:
        blocks, searched = axes.parse(mended.tree.get("axes", {}))
        if not any(problem.place[:1] == ("axes",) for problem in wrong):
            wrong += templates.reference_problems(mended, blocks, searched)
    except AxesError as errors:
        mended.is_guess = True
        wrong += [Problem(("axes", *error.place), error.got, error.expected) for error in errors.found]
    for problem in wrong:
        is_out = "${" in str(problem.got) and problem.place[:1] and problem.place[0] not in templates.TEMPLATES
        note = f"; ${{...}} is filled in within {', '.join(templates.TEMPLATES)} only" if is_out else ""
        found.add(document.error(problem.place, problem.got, problem.expected + note))
    try:
        experiment = adapter(Experiment).validate_python(mended.tree)
    except ValidationError:
        assert found, "what is wrong has been said"
        return None
    if not mended.is_guess and bool(searched) != bool(experiment.search):
        place, got = (("axes", next(iter(searched))), "a distribution") if searched else (("search",), "a search")
        other = "a `search:` block beside it (objective, trials)" if searched else "an axis that is a distribution"
        found.add(document.error(place, got, other))
        return None
    forced = (overrides or {}).get("resources", {})
    return None if mended.is_guess else Spec(experiment, blocks, document, searched, forced)


def shown(value: Any) -> str:
    """Return a value as an error shows it: as YAML has it, and short."""
    text = "nothing" if value is None else repr(value) if isinstance(value, str) else _flow(value)
    return _cut(masked(text), _SHOWN)


def _flow(value: Tree | tuple[Tree, ...]) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_flow, value)) + "]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else text[: length - 3] + "..."


def dotted(place: FieldPath) -> str:
    """Return a place as people write it: `stages.pretrain.train[0].size`."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in place).lstrip(".")


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        siblings = [str(other) for other in sorted(path.parent.glob("*.y*ml"))] if path.parent.is_dir() else []
        raise SpecError(f"{path}: no such file.{nearest(str(path), siblings)}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: cannot be read as text: {error}") from error
