"""Sections -> a page, by the templates."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.page import vectors
from mfsweep.analysis.page.blocks import Pictures, Section


def page(title: str, what: str, sections: Sequence[Section], *, template: str = "page.html", **values: object) -> str:
    """Return a whole page.

    Args:
        title: its heading.
        what: the word for it, `report`.
        sections: its parts; those without blocks are left out.
        template: the file in templates/.
        values: what else that template shows.
    """
    shown = [section for section in sections if section.blocks]
    blocks = [block for section in shown for block in section.blocks]
    pictures = [one for block in blocks if isinstance(block, Pictures) for one in block.pictures]
    names = {id(one): f"figure{number}" for number, one in enumerate(pictures)}

    def drawn(picture: Picture) -> Markup:
        return Markup(vectors.inline(picture.svg, names[id(picture)], picture.caption))  # noqa: S704 (our own SVG)

    made = datetime.fromtimestamp(time.time(), UTC).strftime("%d %B %Y, %H:%M UTC")
    found = vectors.colours(picture.svg for picture in pictures)
    return (
        _templates()
        .get_template(template)
        .render(title=title, what=what, made=made, sections=shown, colours=found, drawn=drawn, **values)
    )


@cache
def _templates() -> Environment:
    loader = PackageLoader("mfsweep.analysis.page")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
