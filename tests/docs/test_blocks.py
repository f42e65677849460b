"""The blocks of README and docs/ run as a reader would type them, group by group."""

from __future__ import annotations

import itertools
import os
import re
import sys
from pathlib import Path

import nbformat
import pytest
from blocks import PYTHON, ROOT, Block, blocks
from groups import GROUPS, NAMES, clone, group_of
from nbclient import NotebookClient

RUN = [
    pytest.param(name, id=name, marks=[pytest.mark.slow, pytest.mark.cluster] if group_of(name).slow else [])
    for name in NAMES
]

_SHELL = "%%bash\nset -euo pipefail\nunset FORCE_COLOR CLICOLOR_FORCE  # set by Jupyter\n"


@pytest.mark.parametrize("name", RUN)
@pytest.mark.filterwarnings("ignore")  # the kernel's own
def test_the_blocks_of_a_group_run_one_after_another(name, tmp_path, monkeypatch):
    """A group is a notebook: its shell blocks are `%%bash` cells, its Python blocks share their names."""
    clone(tmp_path)
    if (prepare := group_of(name).prepare) is not None:
        prepare(tmp_path)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("MFSWEEP_STORE", raising=False)
    book = nbformat.v4.new_notebook()
    book.cells = [_cell(block) for block in blocks() if block.group == name]
    _execute(book, tmp_path)
    absent = {line for cell in book.cells for line in cell.metadata["shown"] if line not in _output(cell)}
    assert not absent, "the page shows what the command does not print"
    if (notebook := group_of(name).notebook) is not None:
        _execute(nbformat.read(tmp_path / "notebooks" / notebook, as_version=4), tmp_path / "notebooks")


def _cell(block: Block) -> nbformat.NotebookNode:
    text = block.text if block.language in PYTHON else _SHELL + "\n".join(block.commands)
    return nbformat.v4.new_code_cell(f"{text}\n", metadata={"block": str(block), "shown": _shown(block)})


def _shown(block: Block) -> list[str]:
    """Return the lines without digits of the text blocks between this block and the next one of code."""
    after = itertools.dropwhile(lambda other: (other.page, other.line) != (block.page, block.line), blocks())
    texts = itertools.takewhile(
        lambda other: other.page == block.page and not other.is_code, itertools.islice(after, 1, None)
    )
    lines = [
        line
        for other in texts
        if other.language == "text" and "$ " not in other.text
        for line in other.text.splitlines()
    ]
    return [_plain(line) for line in lines if line.strip(" .") and not re.search(r"\d", line)]


def _output(cell: nbformat.NotebookNode) -> set[str]:
    return {_plain(line) for out in cell.outputs for line in out.get("text", "").splitlines()}


def _plain(line: str) -> str:
    return " ".join(line.split())


def _execute(book: nbformat.NotebookNode, folder: Path) -> None:
    where = {"metadata": {"path": str(folder)}}
    NotebookClient(book, timeout=3600, coalesce_streams=True, resources=where).execute()


@pytest.mark.parametrize("name", [group.notebook for group in GROUPS.values() if group.notebook])
def test_a_notebook_is_stored_with_small_outputs_of_no_machine(name):
    path = ROOT / "notebooks" / name
    book = nbformat.read(path, as_version=4)
    assert all(cell.execution_count for cell in book.cells if cell.cell_type == "code")
    assert path.stat().st_size < 150_000
    assert not re.search(r"/(tmp|home|root|work)/", path.read_text(encoding="utf-8"))
