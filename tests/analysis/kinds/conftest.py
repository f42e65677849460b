"""A figure of a spec, drawn of a synthetic world."""

from __future__ import annotations

import pytest
from pydantic import TypeAdapter

from mfsweep.analysis.drawn import Picture
from mfsweep.analysis.gallery import gallery
from mfsweep.analysis.study import ReportStudy, analyse
from mfsweep.spec.figures import Figure


@pytest.fixture
def draw(world):
    """Give a function that draws one figure, written as in a spec, and renders it."""

    def drawn(laws=(), differences=None, **fields):
        figures = TypeAdapter(dict[str, Figure]).validate_python({"one": fields})
        study = ReportStudy("demo", "name: demo", world.cells, laws, figures=figures, differences=differences or {})
        (made,) = gallery(study, analyse(world.store, study, resamples=200))
        if isinstance(made, Picture):
            assert "</svg>" in made.svg
        return made

    return drawn


@pytest.fixture
def legend():
    """Give a function that reads a picture's legend."""
    return lambda picture: [text.get_text() for text in picture.figure.legends[0].get_texts()]
