"""One name has one meaning, and a docstring says what the thing is."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import mfsweep

PACKAGE = Path(mfsweep.__file__).parent
TREES = {path.relative_to(PACKAGE): ast.parse(path.read_text("utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}


def meanings(tree: ast.Module) -> Iterator[tuple[str, str | None]]:
    """Yield the public names of a module's classes, and of its type aliases with what they stand for."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield node.name, None
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if name[0].isupper() and not name.isupper():
                yield name, ast.unparse(node.value)


def texts(tree: ast.AST) -> Iterator[ast.Constant]:
    """Yield the docstrings of modules, classes and functions, and the texts that stand under a field or a constant."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def test_a_class_or_an_alias_has_a_name_of_its_own():
    places: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    for path, tree in TREES.items():
        for name, meaning in meanings(tree):
            places[name].append((str(path), meaning))
    # The same alias in several modules has one meaning: `Floats = NDArray[np.float64]`.
    several = {
        name: [path for path, _ in found]
        for name, found in places.items()
        if len(found) > 1 and (len({meaning for _, meaning in found}) > 1 or None in {meaning for _, meaning in found})
    }
    assert not several


@pytest.mark.parametrize("path", TREES, ids=str)
def test_a_docstring_is_a_sentence_of_its_own(path):
    for text in texts(TREES[path]):
        assert not text.value.lower().lstrip().startswith("of "), f"{path}:{text.lineno}: {text.value}"
