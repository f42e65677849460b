"""The code blocks of README and docs/, and what a comment before each says of it.

A block of shell or Python has one of these comments on the line before it:

    <!-- run: GROUP -->           the blocks of a group are run in order, in one folder (groups.py)
    <!-- run -->                  the same, of the group of quick commands that need nothing
    <!-- not run: REASON -->      it cannot be run here; its commands are still held against the command line

Blocks of text that follow one that is run show its output, in part: lines without a digit must be in it.
Commands in other blocks, after a `$`, and `mfsweep ...` in running text are held against the command line too.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
_FIRST = ("README.md", "CONTRIBUTING.md", "docs/tutorial.md")
"""Pages whose blocks come first, as a reader meets them."""
PAGES = list(dict.fromkeys([*(ROOT / name for name in _FIRST), *sorted(ROOT.glob("docs/**/*.md"))]))
QUICK = "quick"
SHELL, PYTHON = ("bash", "sh", "shell", "console"), ("python", "py")

_BLOCK = re.compile(
    r"(?:^[ ]*<!-- (?P<mark>run|not run)(?:: (?P<said>.*?))? -->\s*\n)?"
    r"^(?P<indent>[ ]*)```(?P<language>\w*)[^\n]*\n(?P<text>.*?)^[ ]*```[ ]*$",
    re.MULTILINE | re.DOTALL,
)
_INLINE = re.compile(r"`(mfsweep [^`\n]+)`")
_SNIPPET = re.compile(r'^--8<-- "(.+)"$', re.MULTILINE)


class Block(NamedTuple):
    """One fenced block of a page."""

    page: str
    line: int
    language: str
    text: str
    group: str | None
    """Group that it is run in."""
    reason: str | None
    """Why it is not run."""

    @property
    def is_code(self) -> bool:
        """Return whether a reader would type it."""
        return self.language in SHELL + PYTHON

    @property
    def commands(self) -> list[str]:
        """Return the shell commands in it: all lines of a shell block, of another those after a `$`."""
        if self.language in PYTHON:
            return []
        lines = self.text.replace("\\\n", " ").splitlines()
        if self.language in SHELL and not any(line.startswith("$ ") for line in lines):
            return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
        return [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]

    def __str__(self) -> str:
        """Return where it stands, for a test's name."""
        return f"{self.page}:{self.line}"


def blocks() -> Iterator[Block]:
    """Yield every block of every page, with the snippets that it includes."""
    for path in PAGES:
        text = path.read_text(encoding="utf-8")
        for found in _BLOCK.finditer(text):
            inside = _SNIPPET.sub(lambda one: _snippet(one[1]), found["text"])
            indent = found["indent"]
            yield Block(
                page=str(path.relative_to(ROOT)),
                line=text.count("\n", 0, found.start("language")) + 1,
                language=found["language"],
                text="\n".join(line.removeprefix(indent) for line in inside.splitlines()) + "\n",
                group=(found["said"] or QUICK) if found["mark"] == "run" else None,
                reason=found["said"] if found["mark"] == "not run" else None,
            )


def inline_commands() -> Iterator[tuple[str, str]]:
    """Yield page and command of each `mfsweep ...` in running text."""
    for path in PAGES:
        text = _BLOCK.sub("", path.read_text(encoding="utf-8"))
        for found in _INLINE.finditer(text):
            yield str(path.relative_to(ROOT)), found[1]


def _snippet(name: str) -> str:
    """Return a snippet, or the section of it that is named after a colon, as pymdownx.snippets does."""
    file, _, section = name.partition(":")
    text = (ROOT / "docs" / file).read_text(encoding="utf-8")
    if section:
        text = text.partition(f"--8<-- [start:{section}]\n")[2].partition(f"# --8<-- [end:{section}]")[0]
    return text.rstrip("\n")
