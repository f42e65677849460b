"""What is wrong with the templates of a spec before anything is filled in: fields, types, `${axis}` of no axis.

A value with a reference may become anything: it is looked at once it is filled in (plan/expand.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from mfsweep.errors import nearest, nearest_of
from mfsweep.models.registry import Model
from mfsweep.spec.axes import AxisLabels, Distribution, references
from mfsweep.spec.mended import Mended
from mfsweep.spec.stage import FILE, Evaluation, Stage
from mfsweep.spec.tree import Tree
from mfsweep.spec.wording import FieldPath, Problem

CONTINUED_NEVER = ("start_from", "train", "continued", "evaluate", "resources")
"""Fields of a stage that hold with a parent and without."""
_REFERENCE = re.compile(r"\$\{([^{}]*)\}|\$\{[^}]*$|\$(\w[\w-]*)")
"""`${name}`, one that is not closed, or one without braces."""
TEMPLATES = ("model", "stages", "result", "evaluate")
"""Where references stand."""


def problems(mended: Mended) -> list[Problem]:
    """Return the fields and plain values of the templates that cannot be right, and mend them in the tree."""
    tree, found = mended.tree, list[Problem]()
    stages = tree.get("stages")
    for name, stage in stages.items() if isinstance(stages, dict) else ():
        if isinstance(stage, dict):
            found += mended.mend(Stage, ("stages", name), _may_be_filled, without=("continued",))
            if isinstance(stage.get("continued"), dict):
                found += _of_continued(mended, ("stages", name, "continued"))
    model = tree.get("model")
    if isinstance(model, dict) and nearest_of("architecture", model):
        found += mended.mend(Model, ("model",), _may_be_filled)
    if isinstance(tree.get("evaluate"), list):
        found += mended.mend(tuple[Evaluation, ...], ("evaluate",), _may_be_filled)
    return found + _stage_problems(mended)


def _stage_problems(mended: Mended) -> list[Problem]:
    """Return the places that name a stage which does not exist, and mend them in the tree."""
    stages = mended.tree.get("stages")
    if not isinstance(stages, dict):
        return []
    named: list[tuple[FieldPath, Tree]] = [(("result",), mended.tree.get("result"))]
    named += [
        (("stages", name, "start_from"), stage.get("start_from"))
        for name, stage in stages.items()
        if isinstance(stage, dict)
    ]
    found: list[Problem] = []
    for place, name in named:
        if not isinstance(name, str) or name in stages or "$" in name or name.startswith(FILE):
            continue
        near = nearest_of(name, stages)
        found.append(Problem(place, name, f"a stage: {', '.join(stages)}.{nearest(name, stages)}"))
        if near is None:
            mended.is_guess = True
        else:
            mended.put(place, near)
    return found


def reference_problems(mended: Mended, blocks: list[AxisLabels], searched: Mapping[str, Distribution]) -> list[Problem]:
    """Return the references to what is no axis, or no field of an axis's bundles, and mend them in the tree."""
    known: dict[str, set[str]] = {axis: set() for axis in searched}
    for block in blocks:
        for axis, labels in block.items():
            known.setdefault(axis, set()).update(*(value for value in labels.values() if isinstance(value, dict)))
    found: list[Problem] = []
    for place, text in _texts({name: mended.tree[name] for name in TEMPLATES if name in mended.tree}, ()):
        for match in _REFERENCE.finditer(text):
            if (wrong := _wrong(match, text, place, known)) is None:
                continue
            problem, instead = wrong
            found.append(problem)
            if instead is None:
                mended.is_guess = True
            else:
                mended.put(place, text.replace(match[0], f"${{{instead}}}"))
    return found


def _wrong(
    match: re.Match[str], text: str, place: FieldPath, known: Mapping[str, set[str]]
) -> tuple[Problem, str | None] | None:
    """Return what is wrong with a reference, if anything, and what stands for it."""
    bare = match[2]
    if bare is not None:
        near = nearest_of(bare, known)
        if near is None and match[0] != text:
            return None
        return Problem(place, text, f"braces around a reference: ${{{near or bare}}}"), near
    if match[1] is None:
        return Problem(place, text, "a reference that ends with }: ${axis}, or ${axis.field}"), None
    axis, _, field = (part.strip() for part in match[1].partition("."))
    if axis in known and (not field or field in known[axis]):
        return None
    expected, instead = _instead(axis, field, known)
    return Problem(place, text, f"{expected}. Did you mean ${{{instead}}}?" if instead else expected), instead


def _instead(axis: str, field: str, known: Mapping[str, set[str]]) -> tuple[str, str | None]:
    """Return what is expected in place of a reference that names nothing, and the one that was meant."""
    if axis not in known:
        near = nearest_of(axis, known)
        expected = f"${{...}} to name an axis: {', '.join(known)}" if known else "no ${...}: the spec has no axes"
        return expected, near and (f"{near}.{field}" if field else near)
    if not known[axis]:
        return f"${{{axis}}} alone, since {axis} has plain values and no bundles with fields", axis
    near = nearest_of(field, known[axis])
    return f"a field of the bundles of {axis}: {', '.join(sorted(known[axis]))}", near and f"{axis}.{near}"


def _texts(tree: Tree, place: FieldPath) -> Iterator[tuple[FieldPath, str]]:
    if isinstance(tree, str):
        yield place, tree
    elif isinstance(tree, Mapping):
        for key, item in tree.items():
            yield from _texts(item, (*place, key))
    elif isinstance(tree, list):
        for index, item in enumerate(tree):
            yield from _texts(item, (*place, index))


def _may_be_filled(problem: Problem, value: Any) -> bool:
    """Return whether what is wrong with a value may come right with the axes' values."""
    is_open = isinstance(value, str) and _REFERENCE.search(value) is not None
    return problem.kind == "value" and (is_open or bool(references(value)))


def _of_continued(mended: Mended, place: FieldPath) -> list[Problem]:
    own = mended.at(place)
    never = [
        Problem((*place, key), key, "a field of the recipe: this one holds for both cases")
        for key in CONTINUED_NEVER
        if key in own
    ]
    for problem in never:
        del own[problem.place[-1]]

    def is_of_the_stage(problem: Problem, value: Any) -> bool:
        return (problem.kind == "missing" and not problem.place) or _may_be_filled(problem, value)

    return [*never, *mended.mend(Stage, place, is_of_the_stage)]
