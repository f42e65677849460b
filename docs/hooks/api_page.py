"""The reference of the Python API: what `mfsweep.__all__` names, and the records. mkdocstrings fills it in."""

from __future__ import annotations

import mfsweep

HEAD = """\
# API

What a program of yours may use: the names of `import mfsweep`, and the records that a store holds. Everything else may
change without notice.
"""
RECORDS = ("records.Record", "records.EvaluationRecord", "records.CellRecord", "report_records.ClaimRecord")
"""Records that a reader of a store meets first."""


def page() -> str:
    """Return the whole page as Markdown, with mkdocstrings' marks."""
    public = [name for name in mfsweep.__all__ if not name.startswith("_") and _is_there(name)]
    parts = [HEAD]
    parts += ["## The package", *(_entry(f"mfsweep.{name}") for name in public)]
    parts += ["## Records", *(_entry(f"mfsweep.{name}") for name in RECORDS)]
    return "\n\n".join(parts) + "\n"


def _is_there(name: str) -> bool:
    """Return whether a public name can be imported: `import mfsweep` itself looks at none of them."""
    try:
        getattr(mfsweep, name)
    except ImportError:
        return False
    return True


def _entry(path: str) -> str:
    return f"::: {path}\n    options:\n      heading_level: 3"
