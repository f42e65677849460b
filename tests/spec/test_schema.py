"""The JSON Schema of specs takes what the loader takes, and refuses misspelt fields and values of a wrong type."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import jsonschema
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from mutations import misspelt, spots, wrong_type
from test_messages import USER_NAMES

from mfsweep.errors import SpecError
from mfsweep.spec.load import load
from mfsweep.spec.schema import json_schema
from mfsweep.spec.yaml12 import parse

SPECS = sorted((Path(__file__).parents[2] / "search_spaces").glob("**/*.yaml"))


@cache
def validator() -> jsonschema.Draft202012Validator:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize("path", SPECS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_ready_spec_is_one(path):
    assert [error.message for error in validator().iter_errors(parse(path.read_text()).tree)] == []


@st.composite
def mutated(draw):
    text = draw(st.sampled_from(SPECS)).read_text()
    kind = draw(
        st.sampled_from(
            [
                misspelt,
                wrong_type,
                lambda text, spot: wrong_type(text, spot, "true"),
                lambda text, spot: wrong_type(text, spot, "-3"),
                lambda text, spot: wrong_type(text, spot, "[1]"),
            ]
        )
    )
    made = [mutation for spot in spots(text) if (mutation := kind(text, spot))]
    assume(made)
    return draw(st.sampled_from(made))


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(mutated())
def test_what_the_schema_refuses_the_loader_refuses(tmp_path_factory, mutation):
    path = tmp_path_factory.mktemp("s") / "spec.yaml"
    path.write_text(mutation.text)
    is_valid = validator().is_valid(parse(mutation.text).tree)
    said = ""
    try:
        load(path)
    except SpecError as error:
        said = str(error)
    if not said:
        assert is_valid, mutation
        return
    parents = [step for step in mutation.place[:-1] if isinstance(step, str)]
    is_name = bool(parents) and (parents[-1] in USER_NAMES or parents[0] == "axes")
    if mutation.now not in ("true", "-3", "[1]", "{wrong: 1}") and not is_name:
        assert not is_valid, (mutation, said)


def test_fields_are_described_and_those_of_the_plan_are_not_there():
    schema = json_schema()
    stage = schema["$defs"]["stage"]["properties"]
    assert stage["max_steps"]["description"].startswith("Optimiser steps at most")
    assert {"start_from", "train", "continued"} <= stage.keys()
    assert "train" not in stage["continued"]["properties"]
    evaluation = schema["$defs"]["template.Evaluation"]["properties"]
    assert not {"keys", "contents", "own"} & evaluation.keys()
    assert "from" in schema["$defs"]["template.Head"]["properties"]
