"""The rules of fairness: what code and pages refer to is there."""

from __future__ import annotations

import re

import pytest
import rule_links
from blocks import PAGES, ROOT

RULES = re.findall(r"\{ #(rule-\d+) \}", (ROOT / "docs" / "fairness.md").read_text())
SOURCES = [*ROOT.glob("mfsweep/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("search_spaces/**/*.yaml"), *PAGES]


def test_rules_are_numbered_from_one_on():
    assert [f"rule-{number}" for number in range(1, len(RULES) + 1)] == RULES


def test_every_reference_is_to_a_rule_that_is_there():
    wrong = [
        (str(path.relative_to(ROOT)), found[1])
        for path in SOURCES
        for found in re.finditer(r"fairness\.md#(rule-\d+)", path.read_text(encoding="utf-8"))
        if found[1] not in RULES
    ]
    assert not wrong


def test_no_code_names_a_rule_without_its_place():
    loose = [
        f"{path.relative_to(ROOT)}: {found[0]}"
        for path in ROOT.glob("mfsweep/**/*.py")
        for found in re.finditer(r"README rules?\s+\d+|\(rules? \d+\)", path.read_text(encoding="utf-8"))
    ]
    assert not loose, "write docs/fairness.md#rule-N"


@pytest.mark.parametrize("text", ["(docs/fairness.md#rule-4)", "docs/fairness.md#rule-12."])
def test_a_reference_becomes_a_link(text):
    number = re.findall(r"\d+", text)[0]
    assert f"[rule {number}](../fairness.md#rule-{number})" in rule_links.linked(text)
