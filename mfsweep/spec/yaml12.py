"""YAML 1.2 with its core schema, as one tree of plain values, and plain words for what is wrong with a file.

PyYAML reads YAML 1.1, in which 020 is 16, `on` is true, 1:30 is 90 and 1e-3 a text. Here plain scalars are what
the core schema of YAML 1.2.2 (section 10.3.2) says. Beside it only `<<` is taken, which merges mappings.
"""

# pyright: reportUnknownMemberType=false, reportUnknownArgumentType=false
# PyYAML's types leave its nodes open; what comes out of here is typed.

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

import yaml

MOST_NODES = 1_000_000
"""Values of a file at most, with each alias counted as what it stands for."""
_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?(\.inf|\.Inf|\.INF)|\.nan|\.NaN|\.NAN")
_BOOL = re.compile(r"true|True|TRUE|false|False|FALSE")
_NULL = re.compile(r"null|Null|NULL|~|")
_SCALARS = (("null", _NULL), ("bool", _BOOL), ("int", _INT), ("float", _FLOAT))
_KINDS = {"null": "nothing", "bool": "true or false", "int": "a number", "float": "a number"}


class YamlProblem(NamedTuple):
    """Something wrong with a file, and its line, from 1."""

    line: int
    text: str


class YamlError(Exception):
    """A file that is not YAML as it is read here."""

    def __init__(self, problems: list[YamlProblem]) -> None:
        super().__init__("; ".join(problem.text for problem in problems))
        self.problems = problems


class Yaml(NamedTuple):
    """A file that was read."""

    tree: Any
    """Mappings, lists, texts, whole numbers, floats, booleans and None."""
    root: yaml.Node | None
    """The same with lines."""
    problems: list[YamlProblem]
    """Keys that stand twice in a mapping, of which `tree` has the last, and keys that are no texts."""


def parse(text: str) -> Yaml:
    """Read a text.

    Raises:
        YamlError: it is not YAML, or refers to itself.
    """
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
        if root is None:
            return Yaml(None, None, [])
        _refuse_endless(root)
        tree = loader.construct_document(root)
        # Merging has changed the nodes of the tree: lines are looked up in the file as it is written.
        return Yaml(tree, yaml.compose(text, _Loader), loader.problems)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise YamlError([YamlProblem(line, "a control character, which no text file should hold")]) from None
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise YamlError([YamlProblem(mark.line + 1 if mark else 1, _in_words(error))]) from None
    except RecursionError:
        raise YamlError([YamlProblem(1, "lists or mappings that are nested too deeply")]) from None


def line_of(node: yaml.Node | None, place: tuple[str | int, ...]) -> int:
    """Return the line, from 1, on which a place of a tree, or the nearest thing around it that is written, stands."""
    line = 1
    for step in place:
        child = _child(node, step)
        if child is None:
            break
        line, node = child[0].start_mark.line + 1, child[1]
    return line


def _child(node: yaml.Node | None, step: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    """Return where a part of a node begins, and the part: of a mapping its own first, then what it merges."""
    if isinstance(node, yaml.SequenceNode):
        if not isinstance(step, int) or step >= len(node.value):
            return None
        return node.value[step], node.value[step]
    if not isinstance(node, yaml.MappingNode):
        return None
    for key, value in node.value:
        if key.tag != _MERGE and key.value == str(step):
            return key, value
    for merged in (value for key, value in node.value if key.tag == _MERGE):
        for one in merged.value if isinstance(merged, yaml.SequenceNode) else [merged]:
            if found := _child(one, step):
                return found
    return None


class _Loader(yaml.SafeLoader):
    """A SafeLoader whose scalars are those of the core schema."""

    yaml_implicit_resolvers: dict[str | None, list[tuple[str, re.Pattern[str]]]] = {}
    yaml_constructors: dict[str | None, Any] = {}  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.problems: list[YamlProblem] = []

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[str, int] = {}
        for key, _ in node.value:
            line = key.start_mark.line + 1
            if key.tag == _MERGE:
                continue
            if key.tag != f"{_TAG}str":
                kind = _KINDS.get(key.tag.removeprefix(_TAG), "no text")
                shown = f"the key {key.value!r} is {kind} for YAML" if isinstance(key, yaml.ScalarNode) else "a key"
                self.problems.append(YamlProblem(line, f"{shown}: keys are texts. Write it in quotes"))
                key.tag = f"{_TAG}str"
            elif key.value in lines:
                again = f"the key {key.value!r} stands here again, after line {lines[key.value]}"
                self.problems.append(YamlProblem(line, again))
            lines.setdefault(str(key.value), line)
        node.value = [(_as_text(key), value) for key, value in node.value]
        return super().construct_mapping(node, deep)

    def scalar(self, node: yaml.Node) -> Any:
        """Return a scalar by its tag."""
        assert isinstance(node, yaml.ScalarNode)
        text, kind = self.construct_scalar(node), node.tag.removeprefix(_TAG)
        try:
            return _SCALAR_OF[kind](text)
        except (KeyError, ValueError):
            problem = f"{text[:40]!r} cannot be read as {_KINDS[kind]}"
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark) from None


def _as_text(key: yaml.Node) -> yaml.Node:
    """Return a key of a mapping that a tree can have: of what is no scalar, a text in its place."""
    return key if isinstance(key, yaml.ScalarNode) else yaml.ScalarNode(f"{_TAG}str", "?", key.start_mark, key.end_mark)


def _int(text: str) -> int:
    return int(text[2:], {"0o": 8, "0x": 16}[text[:2]]) if text[:2] in ("0o", "0x") else int(text)


def _float(text: str) -> float:
    lower = text.lower()
    if lower.endswith((".inf", ".nan")):
        return float(lower.replace(".", ""))
    return float(text)


def _bool(text: str) -> bool:
    return {"true": True, "false": False}[text.lower()]


def _null(text: str) -> None:
    if not _NULL.fullmatch(text):
        raise ValueError(text)


_SCALAR_OF: dict[str, Callable[[str], int | float | bool | None]] = {
    "null": _null,
    "bool": _bool,
    "int": _int,
    "float": _float,
}
for _name, _pattern in _SCALARS:
    _Loader.add_implicit_resolver(f"{_TAG}{_name}", re.compile(f"(?:{_pattern.pattern})\\Z"), None)
    _Loader.add_constructor(f"{_TAG}{_name}", _Loader.scalar)
_Loader.add_implicit_resolver(_MERGE, re.compile(r"<<\Z"), ["<"])
_Loader.add_constructor(_MERGE, yaml.SafeLoader.construct_yaml_str)
_Loader.add_constructor(f"{_TAG}str", yaml.SafeLoader.construct_yaml_str)
_Loader.add_constructor(f"{_TAG}seq", yaml.SafeLoader.construct_yaml_seq)
_Loader.add_constructor(f"{_TAG}map", yaml.SafeLoader.construct_yaml_map)
_Loader.add_constructor(None, yaml.SafeLoader.construct_undefined)


def _inside(node: yaml.Node) -> list[yaml.Node]:
    if isinstance(node, yaml.MappingNode):
        return [part for pair in node.value for part in pair]
    return node.value if isinstance(node, yaml.SequenceNode) else []


def _refuse_endless(root: yaml.Node) -> None:
    """Refuse a node that holds itself, or aliases that stand for more than any spec holds."""
    sizes: dict[int, int] = {}

    def size(node: yaml.Node) -> int:
        known = sizes.get(id(node))
        if known is None:
            sizes[id(node)] = 0
            known = 1 + sum(map(size, _inside(node)))
            sizes[id(node)] = known
        if known == 0 or known > MOST_NODES:
            problem = "holds itself" if known == 0 else f"stands for more than {MOST_NODES:,} values"
            raise yaml.MarkedYAMLError(problem=f"what begins here {problem}", problem_mark=node.start_mark)
        return known

    size(root)


_WORDS: tuple[tuple[str, str], ...] = (
    (r"found character '\\t'", "a tab: indent with spaces"),
    (r"found character '(.+)' that cannot start", "a text that begins with {0}: write it in quotes"),
    (r"mapping values are not allowed", "a colon that does not fit: indent the line like those beside it, or quote it"),
    (r"could not find expected ':'", "a line without `key: value`, or a quote or bracket above it that is not closed"),
    (r"expected ',' or ']'", "the list that opens with [ on line {context} is not closed, or a comma is missing in it"),
    (r"expected ',' or '}'", "what opens with {{ on line {context} is not closed, or a comma is missing in it"),
    (r"expected <block end>", "this line belongs to nothing: indent it like the lines from line {context} on"),
    (r"found undefined alias '?(.+?)'?$", "*{0} stands for nothing: there is no &{0} above it"),
    (r"found duplicate anchor", "a name after & that stands for something else already"),
    (r"found unexpected end of stream", "a text in quotes that begins on line {context} and does not end"),
    (r"found unexpected document separator", "a text in quotes that begins on line {context} and does not end"),
    (r"expected the node content", "a value is missing, or a bracket is not closed"),
    (r"but found another document", "a second document: a spec is one, without `---` between"),
    (r"could not determine a constructor for the tag '(.+)'", "a tag ({0}): write the plain value"),
    (r"expected a mapping( node| or list of mappings)", "<< takes a mapping, or a list of mappings"),
    (r"found unhashable key", "a key that is no text"),
    (r"while scanning a simple key", "a line without `key: value`"),
    (r"expected alphabetic or numeric character", "a name is missing after & or *"),
    (r"unknown escape|expected escape sequence", "a \\ in double quotes: write it twice, or use single quotes"),
    (r"^(.*cannot be read as .*|what begins here .*)$", "{0}"),
)  # fmt: skip
"""What PyYAML says -> what a user is told."""


def _in_words(error: yaml.MarkedYAMLError) -> str:
    said = f"{error.problem or ''}"
    context = error.context_mark.line + 1 if error.context_mark else "?"
    for pattern, words in _WORDS:
        if found := re.search(pattern, said):
            return words.format(*found.groups(), context=context)
    return "this line cannot be read: look for a bracket, quote, comma or colon that is missing here or above"
