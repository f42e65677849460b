"""Writes what came out of the twins into docs/results.md and README.md, from the reports in a store.

Text between `<!-- begin NAME -->` and `<!-- end -->` is replaced, all else is left as it stands:

    mini/fig3, real/fig3    the statements of one experiment, and its first figures
    mini_laws, real_laws    the transfer laws of a suite, a line for each group
    mini, real              how many statements each suite judges, and how
    differ                  the statements that both suites judge
    advice                  the source's recommendations, each with its test
    headline                the ten rows of README

What the first two say of an experiment stays where the store has no report of it. The others are made of the page's own
rows.

    python docs/hooks/results_tables.py mfsweep-store
"""

from __future__ import annotations

import re
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from mfsweep import Sweep
from mfsweep.analysis.index import ReportEntry, reported
from mfsweep.analysis.law import FittedLine, Law
from mfsweep.analysis.suite import needed_text
from mfsweep.quantities import count
from mfsweep.report_records import ClaimRecord
from mfsweep.spec.load import load
from mfsweep.store import StoreFolder

ROOT = Path(__file__).resolve().parents[2]
SUITES = {"mini": "mini-ani", "real": "mini-ccx-2"}
"""Folder of search_spaces -> the data set that its specs ask."""
RESULTS, README = Path("docs/results.md"), Path("README.md")
FIGURES = Path("docs/figures/results")
CANNOT_TELL = "cannot tell"
SHOWN = 2
"""Figures of an experiment on the page."""
HEAD = ("the study states", "came out here, 95 % interval", "verdict")
HEADLINE = (
    ("fig3", "many_dft_few_cc"),
    ("fig3", "many_dft_many_cc"),
    ("fig3", "dft_replaces_cc"),
    ("fig6", "both"),
    ("fig8", "pretrain_by_65"),
    ("fig8", "multihead_by_55"),
    ("fig8", "delta_beats_pretrain"),
    ("fig8", "delta_on_xtb"),
    ("fig10", "broad_optimum"),
    ("figS4", "low_budget"),
)
"""Experiment and claim of README's rows."""
_BLOCK = re.compile(r"(<!-- begin (?P<name>[\w/]+) -->\n).*?(?=<!-- end -->)", re.DOTALL)

Suites = Mapping[str, Mapping[str, ReportEntry]]
"""Suite -> experiment -> what came out."""


class Statement(NamedTuple):
    """A statement of a spec, and what the results page says of it."""

    stem: str
    """The experiment."""
    name: str
    """Of the claim in the spec."""
    says: str
    recommends: str
    came_out: str
    verdict: str


Statements = Mapping[str, Sequence[Statement]]
"""Suite -> statements, in the order of the page."""
Laws = Mapping[tuple[str, str], Sequence[Law]]
"""Suite and experiment -> its fits."""


def main(store: Path) -> None:
    """Write the pages and the figures that they show."""
    suites = read(StoreFolder(store.absolute()))
    fits = {
        (suite, stem): Sweep(ROOT / "search_spaces" / suite / f"{stem}.yaml", store).results().laws
        for suite, entries in suites.items()
        for stem in entries
    }
    page = updated((ROOT / RESULTS).read_text(), suites, fits)
    statements = stated(page)
    for path, text in ((RESULTS, page), (README, (ROOT / README).read_text())):
        (ROOT / path).write_text(compared(text, statements), encoding="utf-8")
    copy_figures(StoreFolder(store.absolute()), suites)


def read(store: StoreFolder) -> Suites:
    """Return what came out of every spec of the suites that has a report; the claims of a suite are judged together."""
    found: dict[str, dict[str, ReportEntry]] = {}
    for suite in SUITES:
        names = {
            path.stem: load(path).experiment.name for path in sorted((ROOT / "search_spaces" / suite).glob("*.yaml"))
        }
        there = {stem: name for stem, name in names.items() if store.sweep(name).report.exists()}
        found[suite] = dict(zip(there, reported(store, there.values()), strict=True))
    return found


def updated(page: str, suites: Suites, fits: Laws = MappingProxyType({})) -> str:
    """Return the page with the blocks of what is in the store written anew."""
    writers: dict[str, Callable[[], str]] = {}
    for suite, entries in suites.items():
        if entries:
            writers[f"{suite}_laws"] = lambda suite=suite: laws(
                {key: one for key, one in fits.items() if key[0] == suite}, _rows(page, f"{suite}_laws")
            )
        for stem, entry in entries.items():
            writers[f"{suite}/{stem}"] = lambda suite=suite, stem=stem, entry=entry: experiment(suite, stem, entry)
    return _replaced(page, writers)


def compared(page: str, statements: Statements) -> str:
    """Return a page with its blocks of what the suites say in all written anew."""
    return _replaced(
        page,
        {
            **{suite: lambda own=own: counted(own) for suite, own in statements.items()},
            "differ": lambda: differ(statements),
            "advice": lambda: advice(statements),
            "headline": lambda: headline(statements),
        },
    )


def _replaced(page: str, writers: Mapping[str, Callable[[], str]]) -> str:
    def block(found: re.Match[str]) -> str:
        name = found["name"]
        return f"{found[1]}\n{writers[name]()}\n" if name in writers else found[0]

    return _BLOCK.sub(block, page)


def _rows(page: str, name: str) -> list[tuple[str, ...]]:
    """Return the rows of a block's table."""
    return next((_rows_of(block[0]) for block in _BLOCK.finditer(page) if block["name"] == name), [])


def _rows_of(block: str) -> list[tuple[str, ...]]:
    cells = [line.removeprefix("| ").removesuffix(" |") for line in block.splitlines() if line.startswith("|")]
    return [tuple(line.split(" | ")) for line in cells[2:]]


def stated(page: str) -> Statements:
    """Return what the results page says of each statement.

    Raises:
        SystemExit: a block of no spec, or one whose rows are not the spec's statements.
    """
    found: dict[str, list[Statement]] = {suite: [] for suite in SUITES}
    for block in _BLOCK.finditer(page):
        suite, _, stem = block["name"].partition("/")
        if not stem:
            continue
        path = ROOT / "search_spaces" / suite / f"{stem}.yaml"
        if not path.is_file():
            raise SystemExit(f"{RESULTS}: {block['name']!r} is no experiment of {', '.join(SUITES)}")
        rows = _rows_of(block[0])
        claims = load(path).experiment.claims
        if [row[0] for row in rows] != [claim.says for claim in claims.values()]:
            raise SystemExit(
                f"{RESULTS}: the rows of {block['name']!r} are not those of {path.name}: run and report it anew"
            )
        found[suite] += [
            Statement(stem, name, claim.says, claim.recommends, came, told.partition(":")[0].strip("*"))
            for (name, claim), (_, came, told) in zip(claims.items(), rows, strict=True)
        ]
    return found


def counted(statements: Sequence[Statement]) -> str:
    """Return in words how many statements a suite judges, and how."""
    verdicts = [one.verdict for one in statements]
    untold = verdicts.count(CANNOT_TELL)
    told = " and ".join(f"{verdicts.count(one)} {one}" for one in ("agree", "disagree"))
    return (
        f"{count(len({one.stem for one in statements}), 'experiment')}, {count(len(statements), 'statement')}: "
        f"{len(statements) - untold} told ({told}), {untold} not.\n"
    )


def experiment(suite: str, stem: str, entry: ReportEntry) -> str:
    """Return the statements of one experiment, and its figures."""
    rows = [(one.says, came_out(one), verdict(one)) for one in entry.claims]
    pictures = " ".join(f"![{caption}]({address}){{ width=420 }}" for address, caption in shown(suite, stem, entry))
    return "\n".join(part for part in (table(HEAD, rows), pictures and f"{pictures}\n") if part)


def came_out(claim: ClaimRecord) -> str:
    """Return the number, its interval, and what it rests on, briefly."""
    if claim.estimate is None:
        return f"not measured: {claim.detail}"
    what = "ratio" if claim.ratio else "difference of gradients" if "difference" in claim.measure else "gradient"
    if claim.measure.startswith("ratio of ratios"):
        what = "ratio of ratios"
    interval = "" if claim.low is None else f" ({claim.low:.2f} to {claim.high:.2f})"
    return f"{what} {claim.estimate:.2f}{interval}"


def verdict(claim: ClaimRecord) -> str:
    """Return the verdict, with what would decide it or keeps it from one, or what it leaves out."""
    if claim.verdict != CANNOT_TELL:
        return f"**{claim.verdict}**: {claim.detail}" if "left out" in claim.detail else f"**{claim.verdict}**"
    if claim.usable:
        return f"{claim.verdict}: {needed_text(claim)}" if needed_text(claim) else claim.verdict
    return f"{claim.verdict}: {claim.detail}"


def differ(statements: Statements) -> str:
    """Return the statements that both suites judge, side by side."""
    rows = [
        (one.stem, one.says, one.came_out, one.verdict, real.came_out, real.verdict)
        for one, real in beside(statements)
        if real
    ]
    head = ("experiment", "stated", *(cell for name in SUITES.values() for cell in (name, "verdict")))
    return table(head, rows)


def laws(fits: Laws, before: Sequence[tuple[str, ...]] = ()) -> str:
    """Return a row for each group of each fit, and one for the gradient that its groups share.

    Args:
        fits: suite and experiment -> its fits.
        before: rows, of which those of other experiments stay.
    """
    rows = [row for row in before if row[1] not in {stem for _, stem in fits}]
    for (suite, stem), found in fits.items():
        for law in found:
            lines = [*law.lines, *([law.pooled] if law.pooled else [])]
            which = f"{law.name}: " if len(found) > 1 else ""
            cells = [line_cells(law, line) for line in lines]
            cells += [(one.group, "", f"refused: {one.reason}", "", "") for one in law.refused]
            rows += [(SUITES[suite], stem, f"{which}{group}", *others) for group, *others in cells]
    head = ("set", "experiment", "of", "points", "gradient", "x on the test set", "verdict")
    return table(head, sorted(rows, key=lambda row: row[1]))


def line_cells(law: Law, line: FittedLine) -> tuple[str, ...]:
    """Return the group, the points, the gradient by x of the fit and by the same error on the test set, the verdict."""
    group = "all together" if line is law.pooled else line.group
    beside = "; ".join(gradient(one) for one in law.beside.values()) if line is law.pooled else ""
    return group, line.behind, gradient(line), beside, line.verdict


def gradient(line: FittedLine) -> str:
    """Return the gradient and its interval."""
    return f"{line.gradient:.2f} ({line.interval})"


def advice(statements: Statements) -> str:
    """Return the recommendations of the source, each with its test and what came out in both suites."""
    rows = [
        (one.recommends, f"{one.stem}: {one.says}", judged(one), judged(real))
        for one, real in beside(statements)
        if one.recommends
    ]
    return table(("recommendation", "tested by", *SUITES.values()), sorted(rows))


def beside(statements: Statements) -> Iterator[tuple[Statement, Statement | None]]:
    """Yield each statement of mini, and what real says of the claim of that name, if it has it."""
    real = {one.name: one for one in statements["real"]}
    for one in statements["mini"]:
        yield one, real.get(one.name)


def judged(statement: Statement | None) -> str:
    """Return the number and the verdict."""
    return f"{statement.came_out}: {statement.verdict}" if statement else "not asked"


def headline(statements: Statements) -> str:
    """Return README's rows."""
    known = {(one.stem, one.name): (one, real) for one, real in beside(statements)}
    rows = [(one.says, judged(one), judged(real)) for one, real in (known[row] for row in HEADLINE)]
    return table(("the study states", *SUITES.values()), rows)


def shown(suite: str, stem: str, entry: ReportEntry) -> list[tuple[str, str]]:
    """Return addresses, as the page needs them, and captions of the first figures of an experiment."""
    pictures = [one for one in entry.figures if one.kind == "picture"][:SHOWN]
    folder = FIGURES.relative_to("docs")
    return [(f"{folder}/{suite}-{stem}-{one.stem}.png", one.caption) for one in pictures]


def copy_figures(store: StoreFolder, suites: Suites) -> None:
    """Copy the figures that the page shows."""
    target = ROOT / FIGURES
    target.mkdir(parents=True, exist_ok=True)
    for suite, entries in suites.items():
        for stem, entry in entries.items():
            for address, _ in shown(suite, stem, entry):
                name = Path(address).name
                source = store.sweep(entry.name).figures / name.removeprefix(f"{suite}-{stem}-")
                shutil.copy(source, target / name)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table as Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
