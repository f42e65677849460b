"""The specs that come with mfsweep, which a checkout has in search_spaces/ and an installed package beside itself."""

from __future__ import annotations

from pathlib import Path

_FOLDER = Path(__file__).parents[1] / "search_spaces"


def ready() -> dict[str, Path]:
    """Return the ready specs: their names, `quickstart` or `mini/fig3`, -> the files."""
    found = sorted(_FOLDER.rglob("*.yaml"), key=lambda path: (len(path.parts), path))
    return {path.relative_to(_FOLDER).with_suffix("").as_posix(): path for path in found}
