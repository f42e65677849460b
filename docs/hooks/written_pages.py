"""MkDocs' hook: adds the pages that are written from the code."""

from __future__ import annotations

from typing import Any

import api_page
import commands_page
import spec_page
from mkdocs.structure.files import File, Files

PAGES = {
    "reference/spec-fields.md": spec_page.page,
    "reference/commands.md": commands_page.page,
    "reference/api.md": api_page.page,
}
"""Page -> what writes it."""


def on_files(files: Files, *, config: Any) -> Files:
    """Add the written pages."""
    for path, write in PAGES.items():
        files.append(File.generated(config, path, content=write()))
    return files
