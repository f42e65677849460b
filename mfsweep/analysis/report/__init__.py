"""A study -> one self-contained HTML page: what came out, in a sentence each; then what it rests on."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from mfsweep.analysis.drawn import Absent, DrawnFigure, Picture
from mfsweep.analysis.gallery import gallery
from mfsweep.analysis.page.blocks import PageBlock, Pictures, Section
from mfsweep.analysis.page.render import page
from mfsweep.analysis.records import Records
from mfsweep.analysis.report import (
    claims,
    data,
    decision,
    errors,
    figures,
    laws,
    physics,
    plan,
    provenance,
    results,
    search,
    training,
)
from mfsweep.analysis.report.summary import take_home
from mfsweep.analysis.study import Analysis, ReportStudy, analyse
from mfsweep.files import write_text
from mfsweep.store import StoreFolder, SweepFolder

DETAILS = "details"
"""Folder in a sweep's figures of the pictures that every report has: training, data, errors."""


def write_report(store: StoreFolder | Records, study: ReportStudy, folder: SweepFolder) -> Analysis:
    """Analyse a study, write its figures, its claims and its page into a sweep's folder, and return what it says."""
    analysis = analyse(store, study)
    write(folder, study, analysis, gallery(study, analysis))
    return analysis


def write(folder: SweepFolder, study: ReportStudy, analysis: Analysis, drawn: Sequence[DrawnFigure]) -> list[Path]:
    """Write the figures, the claims and the page of a study; return the paths, the page's last.

    What an earlier report drew and this one does not goes. The details have no path of their own here: they stand on
    the page.
    """
    shown = [one for one in drawn if not isinstance(one, Absent)]
    for stem in {one.stem for one in folder.drawn()} - {one.stem for one in shown}:
        for suffix in (".svg", ".png", ".csv"):
            (folder.figures / f"{stem}{suffix}").unlink(missing_ok=True)
    parts = sections(study, analysis, drawn)
    details = folder.figures / DETAILS
    shutil.rmtree(details, ignore_errors=True)
    written = [path for one in shown for path in one.save(folder.figures)]
    for one in _pictures(parts):
        if one not in shown:
            write_text(details / f"{one.stem}.svg", one.svg)
    folder.write_outcome([one.record() for one in shown], list(analysis.claims))
    write_text(folder.report, _page(study, analysis, parts))
    return [*written, folder.report]


def sections(study: ReportStudy, analysis: Analysis, drawn: Sequence[DrawnFigure]) -> list[Section]:
    """Return what the page says, part by part; those without anything to say are empty."""
    return [
        Section("Decision", decision.blocks(study, analysis)),
        Section("Plan", plan.blocks(study, analysis)),
        Section("Claims", claims.blocks(analysis)),
        Section("Figures", figures.blocks(drawn)),
        Section("Transfer laws", [block for law in analysis.laws for block in laws.blocks(law)]),
        *(Section(f"Results: {one.path}", results.blocks(one)) for one in analysis.results),
        *(Section(f"Errors: {one.path}", errors.blocks(study, analysis, one)) for one in analysis.results),
        Section("Training", training.blocks(study, analysis)),
        Section("Data", data.blocks(study)),
        Section("Physics", physics.blocks(study, analysis)),
        Section("Search", search.blocks(study)),
        Section("Provenance", provenance.blocks(study, analysis)),
    ]


def _page(study: ReportStudy, analysis: Analysis, parts: Sequence[Section]) -> str:
    return page(study.name, "report", parts, template="report.html", take_home=take_home(study, analysis))


def _pictures(parts: Sequence[Section]) -> list[Picture]:
    blocks: list[PageBlock] = [block for section in parts for block in section.blocks]
    return [one for block in blocks if isinstance(block, Pictures) for one in block.pictures]
