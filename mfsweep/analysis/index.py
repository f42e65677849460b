"""One page of all reports of a store, and what came out for every claim and recommendation in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote

from mfsweep.analysis.page.blocks import LargeNumbers, PageBlock, Paragraph, Section, SortableTable
from mfsweep.analysis.page.render import page
from mfsweep.analysis.suite import p_text, rests_on, settled, summary
from mfsweep.errors import StoreError
from mfsweep.files import write_text
from mfsweep.quantities import count
from mfsweep.records import CellRecord
from mfsweep.report_records import ClaimRecord, FigureRecord
from mfsweep.store import StoreFolder

CLAIMS_HEAD = ("experiment", "stated", "came out here", "p (adjusted)", "verdict")
ADVICE_HEAD = ("recommendation", "tested by", "came out here", "verdict")


class ReportEntry(NamedTuple):
    """One report."""

    name: str
    cells: tuple[CellRecord, ...]
    trained: int
    """How many of its distinct stages are trained."""
    stages: int
    figures: tuple[FigureRecord, ...]
    claims: tuple[ClaimRecord, ...]


def write_index(store: StoreFolder, names: Iterable[str] = ()) -> Path:
    """Write `sweeps/index.html`, and its two tables as Markdown, `sweeps/claims.md`; return the page's path.

    Args:
        store: its sweeps have reports.
        names: of sweeps, in the order of the page. Default: every one that has a report, by name.

    Raises:
        StoreError: no report of a name.
    """
    entries = reported(store, names or _names(store))
    target = store.sweeps / "index.html"
    write_text(target, html(entries))
    write_text(store.sweeps / "claims.md", markdown(entries))
    return target


def reported(store: StoreFolder, names: Iterable[str]) -> list[ReportEntry]:
    """Return the reports of some sweeps, in that order, with their claims as one suite.

    Raises:
        StoreError: no report of a name.
    """
    return together([_entry(store, name) for name in names])


def together(entries: Sequence[ReportEntry]) -> list[ReportEntry]:
    """Return the reports with their claims as one suite; what is stated of one result again says so."""
    own = [(entry.name, one) for entry in entries for one in entry.claims]
    first: dict[str, str] = {}
    made: list[ClaimRecord] = []
    for (name, _), one in zip(own, settled([one for _, one in own]), strict=True):
        earlier = first.setdefault(one.evidence, name) if one.evidence else name
        again = f"{one.detail}; the same result as in {earlier}" if earlier != name else one.detail
        made.append(one.model_copy(update={"detail": again}))
    left = iter(made)
    return [entry._replace(claims=tuple(next(left) for _ in entry.claims)) for entry in entries]


def html(entries: Sequence[ReportEntry]) -> str:
    """Return the page."""
    stages = {key for entry in entries for cell in entry.cells for key in cell.stages.values()}
    counts = [
        (len(entries), "experiments"),
        (sum(len(entry.cells) for entry in entries), "cells"),
        (len(stages), "stages"),
        (sum(len(cell.stages) for entry in entries for cell in entry.cells), "stages without sharing"),
    ]
    said = _summary(entries)
    advice = advice_rows(entries)
    advised = [_table("What the source advises, and its test", ADVICE_HEAD, advice)] if advice else []
    sections = [
        Section("Claims", _claims(entries, said)),
        Section("Recommendations", advised),
    ]
    return page(
        "Experiments",
        "index of reports",
        sections,
        template="index.html",
        counts=LargeNumbers(counts),
        reports=[_report(entry) for entry in entries],
    )


def markdown(entries: Sequence[ReportEntry]) -> str:
    """Return the tables of claims and of recommendations as Markdown."""
    tables: list[tuple[str, Sequence[str], Sequence[Sequence[str]]]] = [
        ("Claims", CLAIMS_HEAD, claim_rows(entries)),
        ("Recommendations", ADVICE_HEAD, advice_rows(entries)),
    ]
    made = "\n".join(f"## {title}\n\n{_markdown_table(head, rows)}" for title, head, rows in tables if rows)
    return f"{made}\n{said}\n" if (said := _summary(entries)) else made


def claim_rows(entries: Sequence[ReportEntry]) -> list[tuple[str, ...]]:
    """Return a row for each claim, in the order of the reports."""
    return [
        (entry.name, one.says, _came_out(one), p_text(one), one.verdict) for entry in entries for one in entry.claims
    ]


def advice_rows(entries: Sequence[ReportEntry]) -> list[tuple[str, ...]]:
    """Return a row for each claim that recommends something, those of one advice together."""
    advice: dict[str, list[tuple[str, ...]]] = {}
    for entry in entries:
        for one in entry.claims:
            if one.recommends:
                row = (one.recommends, f"{entry.name}: {one.says}", _came_out(one), one.verdict)
                advice.setdefault(one.recommends, []).append(row)
    return [row for rows in advice.values() for row in rows]


def _came_out(claim: ClaimRecord) -> str:
    return f"{claim.came_out} ({said})" if (said := rests_on(claim)) else claim.came_out


def _summary(entries: Sequence[ReportEntry]) -> str:
    claims = [one for entry in entries for one in entry.claims]
    return summary(claims) if claims else ""


def _names(store: StoreFolder) -> list[str]:
    return [path.parent.name for path in sorted(store.sweeps.glob("*/report.html"))]


def _entry(store: StoreFolder, name: str) -> ReportEntry:
    folder = store.sweep(name)
    if not folder.report.exists():
        raise StoreError(f"{folder.report}: no such file: run `mfsweep report` on the spec named {name!r} first")
    cells = tuple(folder.cells())
    keys = {key for cell in cells for key in cell.stages.values()}
    trained = sum(store.stage(key).record_path.exists() for key in keys)
    return ReportEntry(name, cells, trained, len(keys), tuple(folder.drawn()), tuple(folder.claims()))


class _Shown(NamedTuple):
    """A report as the page links to it."""

    name: str
    link: str
    counts: str
    pictures: list[tuple[str, str]]
    """Address and caption."""


def _report(entry: ReportEntry) -> _Shown:
    done = "" if entry.trained == entry.stages else f", {entry.trained} of them trained"
    verdicts = [one.verdict for one in entry.claims]
    said = ", ".join(f"{verdicts.count(one)} {one}" for one in dict.fromkeys(verdicts))
    claims = f"; {count(len(verdicts), 'claim')}: {said}" if verdicts else ""
    counts = f"{count(len(entry.cells), 'cell')}, {count(entry.stages, 'stage')}{done}{claims}"
    folder = quote(entry.name)
    pictures = [
        (f"{folder}/figures/{quote(one.stem)}.png", one.caption) for one in entry.figures if one.kind == "picture"
    ]
    return _Shown(entry.name, f"{folder}/report.html", counts, pictures)


def _claims(entries: Sequence[ReportEntry], said: str) -> list[PageBlock]:
    rows = claim_rows(entries)
    if not rows:
        return []
    table = _table("What the source states, and what came out", CLAIMS_HEAD, rows)
    return [table, Paragraph(said)] if said else [table]


def _table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> SortableTable:
    return SortableTable(caption, head, rows, frozenset(range(len(head))))


def _markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines: list[Sequence[str]] = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(field.replace("|", "\\|") for field in line) + " |\n" for line in lines)
