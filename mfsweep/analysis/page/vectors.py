"""matplotlib's SVG as a part of a page: ids of its own, and colours that follow the page into the dark.

Each colour becomes a CSS variable, which the page's style sets for a light page, a dark one, and paper.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from html import escape

from mfsweep.analysis.colours import on_dark

_COLOUR = re.compile(r"(?<=[:\"] )#([0-9a-f]{6})\b|(?<=[:\"])#([0-9a-f]{6})\b")
_PAPER = "ffffff"


def inline(picture: str, name: str, label: str) -> str:
    """Return a matplotlib SVG for a page: no metadata or namespaces, ids of its own, a text for screen readers.

    Args:
        picture: the SVG.
        name: that its ids begin with.
        label: the text.
    """
    picture = picture[picture.index("<svg") :]
    picture = re.sub(r"<metadata>.*?</metadata>", "", picture, flags=re.DOTALL)
    picture = re.sub(r'\sxmlns(:xlink)?="[^"]*"', "", picture).replace("xlink:href", "href")
    picture = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{name}-", picture)
    picture = _COLOUR.sub(lambda found: f"var(--{_variable(found[1] or found[2])})", picture)
    return picture.replace("<svg", f'<svg role="img" aria-label="{escape(label)}"', 1)


def colours(pictures: Iterable[str]) -> list[tuple[str, str, str]]:
    """Return the colours of some SVGs: name of the variable, on a light page, on a dark one."""
    found = {one or other for picture in pictures for one, other in _COLOUR.findall(picture)}
    return [
        (_variable(one), f"#{one}", "var(--paper)" if one == _PAPER else on_dark(f"#{one}")) for one in sorted(found)
    ]


def _variable(digits: str) -> str:
    return f"c-{digits}"
