"""What `mfsweep data split` prints: the balance of the parts, leaks, and a block to paste into a spec."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mfsweep.data.structures import Structures
from mfsweep.data.survey.balance import Balance
from mfsweep.data.survey.duplicates import Leak
from mfsweep.data.survey.opening import Opened
from mfsweep.quantities import count
from mfsweep.spec.data import Splits

EXAMPLES = 5
"""Pairs named of each leak."""
FAR = 0.2
"""Relative difference of an element's share, or of the mean size, from the whole that is marked."""
ELEMENTS = 5
"""The most common ones, for which a terminal has room; JSON has all."""


def block(splits: Splits) -> dict[str, Any]:
    """Return the `splits:` block of a spec as plain data, without what is the default."""
    found: dict[str, Any] = {"seed": splits.seed} | ({"by": splits.by} if splits.by else {})
    for name, subset in splits.subsets().items():
        own: dict[str, Any] = {"size": subset.size}
        own |= {"validation": subset.validation} if subset.validation else {}
        own |= {"needs": list(subset.needs)} if subset.needs else {}
        found[name] = own
    return {"splits": found}


def as_yaml(block: dict[str, Any]) -> str:
    """Return a block as it stands in a spec: one line for each subset."""
    lines = ["splits:"]
    for name, value in block["splits"].items():
        text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10**6)
        # YAML ends a lone scalar with a line of three dots.
        lines.append(f"  {name}: {text.splitlines()[0]}")
    return "\n".join(lines) + "\n"


def leak_as_json(structures: Structures, leak: Leak) -> dict[str, Any]:
    """Return a leak as plain data."""
    return {"parts": list(leak.parts), "structures": len(leak.pairs.other), "first": _named(structures, leak)}


def print_split(
    console: Console, opened: Opened, splits: Splits, parts: Sequence[Balance], leaks: Sequence[Leak]
) -> None:
    """Print the table of parts, what is unlike the whole, and the leaks."""
    whole = parts[-1]
    groups = "formulae" if splits.by_formula else splits.column or "groups"
    title = f"{opened.path}, split by {splits.by or 'formula'}; mean size, share of each element among the atoms"
    table = Table(box=None, pad_edge=False, title=escape(title), title_justify="left", collapse_padding=True)
    symbols = sorted(whole.shares, key=lambda symbol: -whole.shares[symbol])[:ELEMENTS]
    table.add_column("part", no_wrap=True)
    for column in ("structures", groups, "atoms", "size", *symbols):
        table.add_column(escape(column), justify="right", no_wrap=True)
    for part in parts:
        shares = [
            _marked(f"{part.shares[symbol]:.1%}", part.shares[symbol], whole.shares[symbol]) for symbol in symbols
        ]
        size = _marked(f"{part.mean_size:.2f}", part.mean_size, whole.mean_size)
        numbers = f"{part.structures:,}", f"{part.groups:,}", f"{part.atoms:,}"
        table.add_row(part.name, *numbers, size, *shares, style="dim" if part.name == "left over" else "")
    console.print(table)
    console.print(f"yellow: more than {FAR:.0%} from that of all structures", style="dim")
    if not all(subset.needs for subset in splits.subsets().values()):
        console.print(
            "a subset without needs: here any structure; in a spec those with the labels that it uses", style="dim"
        )
    if not leaks:
        console.print("no geometry is in two parts")
    for leak in leaks:
        one, other = leak.parts
        number = count(len(leak.pairs.other), "structure")
        pairs = "; ".join(f"{first} = {second}" for first, second in _named(opened.structures, leak))
        console.print(f"[red]leak:[/] {escape(f'{number} of {other} with the same geometry as one of {one}: {pairs}')}")
    console.print()


def _named(structures: Structures, leak: Leak) -> list[list[str]]:
    pairs = zip(leak.pairs.first[:EXAMPLES].tolist(), leak.pairs.other[:EXAMPLES].tolist(), strict=True)
    return [[structures.describe(first), structures.describe(other)] for first, other in pairs]


def _marked(text: str, value: float, whole: float) -> str:
    return f"[yellow]{text}[/]" if abs(value - whole) > FAR * whole else text
