"""The reference of the command line says every command and every option."""

from __future__ import annotations

import click
import commands_page
import pytest

COMMANDS = list(commands_page.commands())
PAGE = commands_page.page()


@pytest.mark.parametrize("one", COMMANDS, ids=[" ".join(one.words) for one in COMMANDS])
def test_a_command_stands_there_with_all_its_options(one):
    own = PAGE.partition(f"## mfsweep {' '.join(one.words)} {{")[2].partition("\n## ")[0]
    for option in one.command.params:
        if isinstance(option, click.Option):
            assert option.help, f"{option.name} has no help"
            assert f"| `{option.opts[0]}`" in own
    assert "```text\nmfsweep" in own


def test_the_default_of_a_store_is_said():
    assert "| `--store` DIRECTORY | `mfsweep-store` |" in PAGE
