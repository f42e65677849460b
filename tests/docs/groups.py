"""The groups of blocks that are run: which are quick, what they need beforehand, which notebook comes after them.

A group runs in a folder of its own that looks like a fresh clone. Its blocks run in the order of the pages, in one
store, so that one sweep serves many pages. A group that is not named here is slow, and needs nothing.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from blocks import QUICK, ROOT, blocks

COPIED, LINKED = ("search_spaces", "docs", "notebooks"), ("mfsweep", "cluster.yaml", "constraints.txt")
"""What of the repository the pages refer to by path; into the copies something may be written."""


class Group(NamedTuple):
    """Some blocks that share a folder."""

    slow: bool
    """Whether it trains or labels, for more than some seconds."""
    prepare: Callable[[Path], None] | None = None
    """Puts into the folder what a reader brings along."""
    notebook: str | None = None
    """Notebook that is run after the blocks, on their store."""


def clone(folder: Path) -> None:
    """Put what a fresh clone has into a folder."""
    for name in COPIED:
        shutil.copytree(ROOT / name, folder / name)
    for name in LINKED:
        (folder / name).symlink_to(ROOT / name)


def _own_data_set(folder: Path) -> None:
    """Put there the data set that the page imports first, in another group."""
    labels = ["--labels", "cc=ccsd(t)_631gd.energy", "--labels", "dft=wb97x_631gd.energy,wb97x_631gd.forces"]
    command = ["data", "import", "mfsweep/data/bundled/mini-ccx.h5", "own.h5", *labels]
    subprocess.run([sys.executable, "-m", "mfsweep", *command], cwd=folder, check=True, capture_output=True)


def _foundation_model(folder: Path) -> None:
    """Put there a small MACE that mace-torch makes, with two heads, as its foundation models have."""
    script = Path(__file__).with_name("make_foundation_model.py")
    path = folder / "docs" / "snippets" / "foundation.model"
    subprocess.run([sys.executable, "-W", "ignore", script, path], check=True, capture_output=True)


def _short_quickstart(folder: Path) -> None:
    """Cut the quickstart to one fold and a few steps: its pages show how to go about it, and numbers are not compared."""
    path = folder / "search_spaces" / "quickstart.yaml"
    text = path.read_text(encoding="utf-8")
    for long, short in (("fold: [0, 1, 2]", "fold: [0]"), ("max_steps: 5000", "max_steps: 100")):
        assert text.count(long) == 1, f"the quickstart has no {long!r} any more"
        text = text.replace(long, short)
    path.write_text(text, encoding="utf-8")


GROUPS = {
    QUICK: Group(slow=False),
    "quickstart": Group(slow=True, prepare=_short_quickstart),
    "own data": Group(slow=False),
    "own data in a notebook": Group(slow=True, notebook="02_own_data.ipynb"),
    "labels": Group(slow=True, prepare=_own_data_set),
    "foundation": Group(slow=True, prepare=_foundation_model),
    "alpha": Group(slow=True, notebook="03_alpha_search.ipynb"),
}
NAMES = sorted({block.group for block in blocks() if block.is_code and block.group} | set(GROUPS))


def group_of(name: str) -> Group:
    """Return what is known of a group."""
    return GROUPS.get(name, Group(slow=True))
