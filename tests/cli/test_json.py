"""What `--json` prints, of every command: JSON alone, without the numbers that JSON does not have."""

from __future__ import annotations

import ast
import inspect
import json
import math
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

import mfsweep.cli
from mfsweep.cli.main import cli
from mfsweep.cli.options import print_json
from mfsweep.passport import Passport

FILES = sorted(Path(mfsweep.cli.__file__).parent.rglob("*.py"))
WRITERS = {"json", "dumps", "dump", "to_json", "model_dump_json"}


def commands(group, name="mfsweep"):
    for command in group.commands.values():
        if isinstance(command, click.Group):
            yield from commands(command, f"{name} {command.name}")
        else:
            yield f"{name} {command.name}", command


WITH_JSON = [
    pytest.param(command, id=name)
    for name, command in commands(cli)
    if any("--json" in option.opts for option in command.params)
]


def test_nothing_but_print_json_makes_json_in_the_command_line():
    used = {
        (path.name, node.attr if isinstance(node, ast.Attribute) else node.name)
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Attribute) and node.attr in WRITERS)
        or (isinstance(node, ast.alias) and node.name in WRITERS)
    }
    assert used == set()


@pytest.mark.parametrize("command", WITH_JSON)
def test_each_command_that_prints_json_prints_it_so(command):
    text = inspect.getsource(inspect.getmodule(inspect.unwrap(command.callback)))
    assert "print_json(" in text or "passport.text()" in text
    assert Passport.model_config["allow_inf_nan"] is False


_NUMBERS = st.floats() | st.floats().map(np.float64) | st.integers() | st.booleans() | st.none() | st.text(max_size=3)
_PLAIN = st.recursive(
    _NUMBERS,
    lambda own: st.lists(own) | st.lists(own).map(tuple) | st.dictionaries(st.text(max_size=3), own),
    max_leaves=8,
)


def with_null(value):
    """Return what a reader is to find for plain data."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {name: with_null(own) for name, own in value.items()}
    return list(map(with_null, value)) if isinstance(value, list | tuple) else value


@given(_PLAIN, st.sampled_from([1, None]))
def test_what_is_no_number_is_null(value, indent):
    def refuse(text):
        raise AssertionError(text)

    shown = CliRunner().invoke(click.Command("show", callback=lambda: print_json(value, indent)), [])
    assert json.loads(shown.stdout, parse_constant=refuse) == with_null(value)
    assert indent or "\n" not in shown.stdout.rstrip("\n")
