from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from pydantic import TypeAdapter

from mfsweep.analysis.figures import Residual
from mfsweep.analysis.report import write_report
from mfsweep.analysis.search import searched
from mfsweep.analysis.study import ReportStudy
from mfsweep.analysis.transfer import FitRequest
from mfsweep.spec.figures import Claim, Figure
from mfsweep.store import SweepFolder

Y = "result.test.cc.energy_mae"
VOID = {"meta", "br", "link", "img", "input", "hr"}


class Outline(HTMLParser):
    """Checks that tags balance; keeps ids, headings and addresses."""

    def __init__(self):
        super().__init__()
        self.open, self.ids, self.links, self.headings = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.ids += [value for name, value in attrs if name == "id"]
        self.links += [value for name, value in attrs if name in {"href", "src"}]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in {"h2", "h3"}:
            self.headings.append(data)


@pytest.fixture
def page(world, tmp_path):
    world.grid({"dft": 1.35, "xtb": 0.8}, seeds=(0, 1), noise=0.05, capped=(25,))
    world.cell({"finetune_size": 500}, {"finetune": "0" * 20}, {"finetune": {"cc": 500}})
    fits = [FitRequest("transfer", "pretrain.validation.energy_mae", "result.test.cc.energy_mae", ("finetune_size",))]
    study = ReportStudy(
        name="dft & xtb <transfer>",
        spec_text="name: demo  # <script>alert(1)</script>",
        cells=world.cells,
        fits=fits,
        plan={"stages_without_sharing": 77},
        residuals=[Residual("dft", "cc", 18.2)],
        commands=["mfsweep run spec.yaml", "mfsweep report spec.yaml"],
        warnings=["free: H +1, O -2 <of water>"],
    )
    folder = world.store.sweep("demo")
    write_report(world.store, study, folder)
    return folder.report


def test_the_page_is_well_formed_and_needs_nothing_from_outside(page):
    text = page.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert len(outline.ids) == len(set(outline.ids))
    assert {link.removeprefix("#") for link in outline.links} <= set(outline.ids)
    assert all(link.startswith("#") for link in outline.links)
    assert not re.search(r"https?:|@import|<script |<link", text)
    assert text.count("<script>") == 1
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(outline.ids)


def test_the_page_says_what_was_planned_fitted_and_where_it_comes_from(page, world):
    text = page.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.headings == [
        "Plan",
        "Figures",
        "Transfer laws",
        "transfer",
        "Results: result.test.cc.energy_mae",
        "Errors: result.test.cc.energy_mae",
        "Training",
        "Provenance",
        "To make this again",
        "The spec",
    ]
    assert "<b>77</b> stages without sharing" in text
    assert "<li>free: H +1, O -2 &lt;of water&gt;</li>" in text
    assert "1 cell not finished" in text
    assert text.count('<svg role="img" aria-label=') == 4
    assert "points of one pre-training count as one" in text
    assert "No claim is made" in text
    assert "give 110 meV/atom" in text
    assert "meV/atom" in text
    assert all(key in text for cell in world.cells for key in cell.stages.values())
    assert "torch 2.13.0" in text
    best, law = re.findall(r"<li>(.*?)</li>", text[text.index('class="take-home"') : text.index("<h2>")], re.DOTALL)
    assert best.startswith(
        "Least cc test energy MAE: 10.2 meV/atom, 9.91 to 10.6 over 2 replicates (label method xtb, "
    )
    assert best.endswith("energy offsets alone, without a model, give 110.")
    assert law.startswith(
        "Law transfer: how cc test energy MAE follows validation energy MAE of pretrain cannot be told "
    )


def test_every_row_of_a_stage_has_its_axis_values(page):
    text = page.read_text(encoding="utf-8")
    stages = text[text.index("Every stage") :]
    heads = re.findall(r"<th [^>]*>(.*?)</th>", stages)
    assert heads[:5] == ["stage", "label method", "pretrain size", "finetune size", "seed"]
    rows = [re.findall(r"<td[^>]*>(.*?)</td>", row) for row in re.findall(r"<tr>(.*?)</tr>", stages, re.DOTALL)[1:]]
    finetuned = [row for row in rows if row[0] == "finetune" and row[-1]]
    assert finetuned
    assert all(row[3] in {"30", "120"} and row[4] in {"0", "1"} for row in finetuned)


def test_what_users_wrote_is_text_not_markup(page):
    text = page.read_text(encoding="utf-8")
    assert "<title>dft &amp; xtb &lt;transfer&gt;</title>" in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_study_without_records_has_a_page_too(world, tmp_path):
    world.cell({"n": 1}, {"pretrain": "0" * 20, "finetune": "1" * 20}, {})
    fits = [FitRequest("transfer", "pretrain.validation.energy_mae", "result.test.cc.energy_mae")]
    write_report(world.store, ReportStudy("empty", "name: empty", world.cells, fits), SweepFolder(tmp_path))
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "is refused" in text
    assert "not trained" in text


def test_claims_mixtures_tables_and_what_cannot_be_drawn_have_their_place(world):
    world.mixtures()
    figures = {
        "alpha": {"kind": "curve", "x": "alpha", "y": [Y], "lines": ["aux"]},
        "errors": {"kind": "table", "rows": ["strategy"], "columns": [Y], "title": "Table 1"},
        "missing": {"kind": "residuals", "target": "cc", "methods": ["dft"]},
    }
    claim = {
        "says": "<b>alpha</b> matters", "y": Y, "this": {"alpha": 0.5}, "against": {"alpha": 0.99},
        "expect": "lower", "recommends": "draw evenly",
    }  # fmt: skip
    study = ReportStudy(
        "fig10", "name: fig10", world.cells, figures=TypeAdapter(dict[str, Figure]).validate_python(figures),
        claims={"one": Claim.model_validate(claim)},
    )  # fmt: skip
    folder = world.store.sweep("fig10")
    write_report(world.store, study, folder)
    text = folder.report.read_text(encoding="utf-8")
    outline = Outline()
    outline.feed(text)
    assert outline.open == []
    assert outline.headings[:4] == ["Plan", "Claims", "Figures", f"Results: {Y}"]
    assert "Mixtures" in outline.headings
    assert "&lt;b&gt;alpha&lt;/b&gt; matters" in text
    assert "<td>agree</td>" in text
    assert "draw evenly" in text
    assert "<caption><span>Table 1. Geometric mean" in text
    assert "missing: the labels of the data file are not at hand." in text
    assert '<td class="number">99.0%</td>' in text
    assert {path.name for path in folder.figures.iterdir()} == {"alpha.svg", "alpha.png", "errors.csv"}
    assert [one.verdict for one in folder.claims()] == ["agree"]


def test_what_a_search_found_is_told_with_its_points(world):
    world.mixtures()
    cells = [cell for cell in world.cells if "alpha" in cell.values]
    found = searched(world.store, cells, ["alpha"], ["test.cc.energy_mae"])
    folder = world.store.sweep("search")
    write_report(world.store, ReportStudy("search", "name: search", world.cells, search=found), folder)
    text = folder.report.read_text(encoding="utf-8")
    assert "<h2>Search</h2>" in text
    assert "flat region" in text
    assert text.count("the best first</span></caption>") == 2
