"""A tree with what is wrong in it set right as far as that is no guess, so that more errors are found at one reading.

A misspelt field takes the name nearest to it; a value that does not fit, in a field that need not be there, is left
out. Where what is left may be another experiment than the one that is meant, `is_guess` says so.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError

from mfsweep.spec.tree import Tree, below
from mfsweep.spec.wording import FieldPath, Problem, problems

_MEANINGFUL = frozenset(
    ("data", "axes", "result", "model", "train", "start_from", "heads", "evaluate", "search", "resources")
)
"""Fields without which, or with other values in which, a spec is another one."""
_DRAWN = ("fits", "figures", "claims")
"""Fields that refer to each other, and to which nothing else does."""


class Mended:
    """The tree of a spec, to be mended."""

    def __init__(self, tree: dict[str, Tree]) -> None:
        self.tree = copy.deepcopy(tree)
        self.is_guess = False

    def mend(
        self,
        kind: Any,
        place: FieldPath,
        skip: Callable[[Problem, Any], bool] | None = None,
        without: Sequence[str] = (),
    ) -> list[Problem]:
        """Compare the part of the tree at a place with what it should be, and mend it.

        Args:
            kind: the type of that part.
            place: where it stands.
            skip: whether a problem, given the value at its place, is none.
            without: fields that the part may have beside those of its type.

        Returns:
            What was wrong, at places of the whole tree.
        """
        found: list[Problem] = []
        while True:
            part = self.at(place)
            shown = {key: item for key, item in part.items() if key not in without} if without else part
            new = [one for one in _problems(kind, shown, without) if not (skip and skip(one, _at(shown, one.place)))]
            found += [one._replace(place=(*place, *one.place)) for one in new]
            for one in new:
                self._mend(one._replace(place=(*place, *one.place)))
            # What stands behind a misspelt name is looked at under the right one; nothing else leads to new errors.
            if not new or any(one.kind != "misspelt" for one in new):
                return found

    def at(self, place: FieldPath) -> Any:
        """Return what stands at a place."""
        return _at(self.tree, place)

    def put(self, place: FieldPath, value: Any) -> None:
        """Put something else at a place."""
        self.at(place[:-1])[place[-1]] = value

    def _mend(self, problem: Problem) -> None:
        place = problem.place
        if place and place[0] in _DRAWN:
            for name in _DRAWN:
                self.tree.pop(name, None)
            return
        if problem.kind == "misspelt":
            parent = self.at(place[:-1])
            value = parent.pop(place[-1])
            if problem.instead is not None:
                parent.setdefault(problem.instead, value)
            return
        self.is_guess |= problem.kind == "missing" or not place or bool(_MEANINGFUL & set(place))
        parent = self.at(place[:-1]) if place else None
        if isinstance(parent, dict) and place[-1] in parent and problem.kind == "value":
            del parent[place[-1]]


@functools.cache
def adapter(kind: Any) -> TypeAdapter[Any]:
    """Return what validates trees of a type."""
    return TypeAdapter(kind)


def _problems(kind: Any, tree: Any, also: Sequence[str]) -> list[Problem]:
    try:
        adapter(kind).validate_python(tree)
    except ValidationError as error:
        return problems(error.errors(), kind, tree, also)
    return []


def _at(tree: Any, place: FieldPath) -> Any:
    return functools.reduce(below, place, tree)
