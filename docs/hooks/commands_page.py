"""The reference of the command line, written from the click commands."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
from rule_links import linked

from mfsweep.cli.main import cli

HEAD = """\
# Commands

This page is written from the commands themselves when the site is built; `mfsweep COMMAND --help` prints the same.

Exit codes: 0 all done; 1 a stage failed (the others went on, and its log is named) or the disk is full; 2 the input is
wrong; 130 interrupted (Ctrl-C, SIGTERM, SIGHUP). A reader that leaves (`mfsweep run ... | head`) changes none of that.
"""


class Command(NamedTuple):
    """One command that does something, and the words that call it."""

    words: tuple[str, ...]
    command: click.Command


def page() -> str:
    """Return the whole page as Markdown."""
    found = list(commands())
    table = ["| command | what it does |", "| --- | --- |"]
    for words, command in found:
        table.append(f"| [`mfsweep {' '.join(words)}`](#{'-'.join(words)}) | {_first_sentence(command)} |")
    return linked("\n".join([HEAD, *table, "", *(_section(one) for one in found)]))


def commands(group: click.Group = cli, words: tuple[str, ...] = ()) -> Iterator[Command]:
    """Yield every command of the command line, in alphabetical order."""
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, (*words, name))
        else:
            yield Command((*words, name), command)


def _section(one: Command) -> str:
    words, command = one
    context = click.Context(command, info_name=f"mfsweep {' '.join(words)}")
    arguments = " ".join(command.collect_usage_pieces(context))
    lines = [f"## mfsweep {' '.join(words)} {{ #{'-'.join(words)} }}", "", "```text"]
    lines += [f"mfsweep {' '.join(words)} {arguments}", "```", "", *_prose(command.help or ""), ""]
    lines += ["| option | default | meaning |", "| --- | --- | --- |"]
    for option in command.params:
        if isinstance(option, click.Option):
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in _row(option)) + " |")
    return "\n".join([*lines, ""])


def _row(option: click.Option) -> tuple[str, str, str]:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    if not option.is_flag:
        names += f" {option.make_metavar(click.Context(click.Command('mfsweep')))}"
    default = "*required*" if option.required else ""
    if isinstance(option.show_default, str):
        default = option.show_default
    elif not option.is_flag and isinstance(option.default, str | int | float | Path):
        default = f"`{option.default}`"
    help_text = " ".join((option.help or "").split())
    variable = f" Environment: `{option.envvar}`." if option.envvar and str(option.envvar) not in help_text else ""
    return names, default, (help_text + variable).strip()


def _prose(text: str) -> Iterator[str]:
    r"""Yield a command's help as Markdown: what click keeps as it is, after its mark \b, becomes a block."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        if paragraph.startswith("\b"):
            yield "\n".join(["```text", *paragraph.splitlines()[1:], "```", ""])
        else:
            yield re.sub(r"(?<![\w`])<(?=\w)", r"\\<", paragraph) + "\n"


def _first_sentence(command: click.Command) -> str:
    text = " ".join(inspect.cleandoc(command.help or "").split("\n\n")[0].split())
    return text.partition(". ")[0].rstrip(".").replace("|", "\\|")
