"""Holds a shell command of the docs against the command lines of mfsweep and Ray: command and options exist."""

from __future__ import annotations

import shlex

import click
from ray.scripts.scripts import cli as ray

from mfsweep.cli.main import cli as mfsweep

PROGRAMS: dict[str, click.Command] = {"mfsweep": mfsweep, "ray": ray}
_ENDS = {"|", ">", ">>", "<", "&", "&&", "||", ";"}
_PLACEHOLDERS = {"...", "COMMAND"}
_OTHERS = {"install", "import", "pip", "cd", "-m"}
"""Words after which a program's name is no call of it."""


def calls(command: str) -> list[list[str]]:
    """Return each call of one of the programs in a line of shell, as words, up to a pipe or the like."""
    lexer = shlex.shlex(command, posix=True, punctuation_chars="|&;<>")
    lexer.commenters, lexer.whitespace_split = "#", True
    found, words = [], list(lexer)
    for index, word in enumerate(words):
        if word in PROGRAMS and (index == 0 or words[index - 1] not in _OTHERS):
            end = next((at for at in range(index + 1, len(words)) if words[at] in _ENDS), len(words))
            found.append(words[index:end])
    return found


def problem(call: list[str]) -> str | None:
    """Return what is wrong with a call, None where its program takes it."""
    command, words = PROGRAMS[call[0]], call[1:]
    while isinstance(command, click.Group) and words:
        if words[0].startswith("-") or words[0] in _PLACEHOLDERS:
            break
        name = words.pop(0)
        if name not in command.commands:
            return f"no command {name!r}: there are {', '.join(command.commands)}"
        command = command.commands[name]
    context = click.Context(command, info_name=call[0], **command.context_settings)
    try:
        command.make_parser(context).parse_args([word for word in words if word not in _PLACEHOLDERS])
    except click.NoSuchOption as error:
        return error.format_message()
    except click.UsageError:
        return None  # an argument that the text leaves out
    return None
