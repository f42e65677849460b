"""The reference of the spec language says every field of every model, with its default and its meaning."""

from __future__ import annotations

import inspect
from typing import Annotated, Literal

import pytest
import spec_page
from pydantic import Field, ValidationError

from mfsweep.spec.base import Frozen, Name, PositiveInt, Seed
from mfsweep.spec.experiment import Experiment
from mfsweep.spec.load import load

SECTIONS = spec_page.sections()
PAGE = spec_page.page()


@pytest.mark.parametrize("model", [section.model for section in SECTIONS], ids=lambda model: model.__name__)
def test_every_field_stands_there_with_its_meaning_and_default(model):
    own = PAGE.partition(f"{{ #{model.__name__.lower()} }}")[2].partition("\n## ")[0]
    rows = {line.split("`")[1]: line for line in own.splitlines() if line.startswith("| `")}
    fields = spec_page.fields(model)
    assert list(rows) == list(fields)
    for name, field in fields.items():
        text = spec_page.meaning(model, name)
        assert text, f"{model.__name__}.{name} has no text under it in mfsweep/spec"
        assert spec_page.linked(text.replace("\n", " ").replace("|", "\\|")) in rows[name]
        assert f"| {spec_page.default(field)} |" in rows[name]


def test_every_model_stands_there_once_with_its_own_text():
    names = [section.model.__name__ for section in SECTIONS]
    assert len(names) == len(set(names))
    assert {"Experiment", "Stage", "MixtureSet", "Mace", "Claim", "Subset", "Distribution"} <= set(names)
    for section in SECTIONS:
        assert inspect.cleandoc(section.model.__doc__ or "") in PAGE


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        (PositiveInt, "whole number above 0"),
        (Seed, "whole number at least 0"),
        (Annotated[float, Field(gt=0, lt=1)] | None, "number above 0 and below 1 or null"),
        (Literal["a", 2], "`a` or `2`"),
        (tuple[Name, ...], "list of: name"),
        (tuple[int, int], "[whole number, whole number]"),
        (dict[Name, bool], "mapping: name → true or false"),
    ],
)
def test_types_are_told_in_words(kind, said):
    assert spec_page.words(kind) == said


def test_a_default_is_what_the_model_takes():
    class Small(Frozen):
        must: int
        may: tuple[int, ...] = (1, 2)

    required, optional = (spec_page.default(field) for field in Small.model_fields.values())
    assert (required, optional) == ("*required*", "`[1, 2]`")
    with pytest.raises(ValidationError):
        Small()  # pyright: ignore[reportCallIssue] (that is the point)


def test_places_are_those_of_a_spec():
    places = {section.model.__name__: section.places for section in SECTIONS}
    assert "stages.NAME.train[]" in places["MixtureSet"]
    assert places["Subset"] == [f"data.splits.{name}" for name in "abct"]
    assert load.__module__ == Experiment.__module__.replace("experiment", "load")
