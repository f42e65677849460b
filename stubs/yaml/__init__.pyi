# What mfsweep calls of PyYAML, whose stubs elsewhere leave nodes and constructors open. tests/test_stubs.py holds each
# name against PyYAML.
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from yaml import reader as reader

_LoaderT = TypeVar("_LoaderT", bound=SafeLoader)

class Mark:
    line: int

class Node:
    tag: str
    value: Any
    start_mark: Mark
    end_mark: Mark

class ScalarNode(Node):
    value: str
    def __init__(self, tag: str, value: str, start_mark: Mark | None = None, end_mark: Mark | None = None) -> None: ...

class SequenceNode(Node):
    value: list[Node]

class MappingNode(Node):
    value: list[tuple[Node, Node]]

class YAMLError(Exception): ...

class MarkedYAMLError(YAMLError):
    context_mark: Mark | None
    problem: str | None
    problem_mark: Mark | None
    def __init__(
        self,
        context: str | None = None,
        context_mark: Mark | None = None,
        problem: str | None = None,
        problem_mark: Mark | None = None,
    ) -> None: ...

class SafeLoader:
    def __init__(self, stream: str) -> None: ...
    def get_single_node(self) -> Node | None: ...
    def construct_document(self, node: Node) -> Any: ...
    def construct_scalar(self, node: ScalarNode) -> str: ...
    def construct_mapping(self, node: MappingNode, deep: bool = False) -> dict[Any, Any]: ...
    def construct_yaml_str(self, node: Node) -> Any: ...
    def construct_yaml_seq(self, node: Node) -> Any: ...
    def construct_yaml_map(self, node: Node) -> Any: ...
    def construct_undefined(self, node: Node) -> Any: ...
    @classmethod
    def add_constructor(cls, tag: str | None, constructor: Callable[[_LoaderT, Node], Any]) -> None: ...
    @classmethod
    def add_implicit_resolver(cls, tag: str, regexp: re.Pattern[str], first: Sequence[str] | None) -> None: ...

def compose(stream: str, Loader: type[SafeLoader]) -> Node | None: ...
def safe_load(stream: str) -> Any: ...
def safe_dump(data: object, *, default_flow_style: bool, sort_keys: bool, width: int) -> str: ...
