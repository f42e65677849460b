"""Every command that README and docs/ show exists, with its options; every block is run, or says why not."""

from __future__ import annotations

import pytest
from blocks import Block, blocks, inline_commands
from command_line import calls, problem
from groups import GROUPS

BLOCKS = list(blocks())
CODE = [block for block in BLOCKS if block.is_code]
SHOWN = [(str(block), command) for block in BLOCKS for command in block.commands]


@pytest.mark.parametrize("block", CODE, ids=map(str, CODE))
def test_a_block_is_run_or_says_why_not(block: Block):
    assert block.reason or block.group, f"{block}: write `<!-- run: GROUP -->` or `<!-- not run: REASON -->` before it"


def test_every_group_has_something_to_run():
    assert {block.group for block in CODE} >= {name for name, group in GROUPS.items() if group.notebook is None}


def test_every_command_that_is_shown_is_one():
    wrong = [
        f"{place}: {command}: {said}"
        for place, command in [*SHOWN, *inline_commands()]
        for words in calls(command)
        if (said := problem(words))
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("mfsweep plan a.yaml --price 2 | head", None),
        ("FOO=1 mfsweep data import a.xyz b.h5 --labels dft=x  # why", None),
        ("mfsweep plann a.yaml", "no command"),
        ("mfsweep run a.yaml --wrokers 2", "No such option"),
        ("mfsweep run a.yaml && mfsweep fit --point x", "No such option"),
    ],
)
def test_a_wrong_command_would_be_seen(command, said):
    found = [one for words in calls(command) if (one := problem(words))]
    assert bool(found) == bool(said)
    assert said is None or said in found[0]
