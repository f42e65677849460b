"""`mfsweep advise`: what a data set is good for, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from mfsweep.cli.compare import label_cost_option, unit_option
from mfsweep.cli.options import as_json, console, prepared, print_json, store_option

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from mfsweep.sweep.advise import DatasetAdvice

SPECS = (".yaml", ".yml")


@click.command()
@click.argument("source")
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The spec to write.  [default: NAME.yaml]"
)
@click.option("--name", help="Name of the spec.  [default: that of the file]")
@click.option("--target", help="Label method whose error counts.  [default: the dearest one by its name]")
@label_cost_option
@unit_option
@store_option
@as_json
def advise(
    source: str,
    output: Path | None,
    name: str | None,
    target: str | None,
    label_costs: dict[str, float],
    unit: str | None,
    store: Path,
    *,
    as_json: bool,
) -> None:
    """Say what SOURCE is good for before anything is trained, and write a spec to start with.

    SOURCE is a data set, any file that can be imported, bundled:NAME, or a spec, whose data are then looked at. Which
    methods are near the target, whether there are forces, how many groups there are and what they can decide, which
    sizes a law needs, what looks wrong, and what the spec costs. A spec that is there already is not written over.

    \b
    Examples:  mfsweep advise bundled:mini-ani
               mfsweep advise own.h5 --target cc -o first.yaml
               mfsweep advise own.h5 --label-cost cc=2.5 --label-cost dft=0.02 --unit core-hours
               mfsweep advise search_spaces/mini/fig3.yaml --json
    """  # noqa: D301
    from mfsweep.data.source import resolve
    from mfsweep.sweep.advise import AdviceRequest, advise_file, advise_spec
    from mfsweep.sweep.first_spec import free, named, relative

    asked = AdviceRequest(target, label_costs=label_costs, unit=unit or "", store=store)
    kept: Path | None = None
    if source.endswith(SPECS):
        if output is not None:
            raise click.UsageError("--output: SOURCE is a spec already.")
        found = advise_spec(prepared(Path(source), store), asked)
    else:
        path = resolve(source, Path.cwd())
        name = named(name, path)
        if output is None and Path(f"{name}.yaml").exists():
            kept = Path(f"{name}.yaml")
        else:
            output = free(output or Path(f"{name}.yaml"))
        written = relative(source, path, output or Path.cwd() / "spec.yaml")
        found = advise_file(path, written, name, asked._replace(output=output))
    if as_json:
        print_json(found.as_json())
        return
    _print(console(), found, kept)


def _print(screen: Console, found: DatasetAdvice, kept: Path | None) -> None:
    data, info = found.data, found.data.info
    sizes = f"{info.sizes.least} to {info.sizes.most} atoms"
    screen.print(
        f"{found.source}: {info.structures:,} structures of {info.formulae:,} formulae, {sizes} "
        f"({' '.join(info.elements)}). Target {data.target}, auxiliary method {data.auxiliary or 'none'}.",
        soft_wrap=True,
        markup=False,
    )
    screen.print()
    screen.print(_methods(found))
    if data.alignments:
        screen.print()
        screen.print(_alignment(found))
    for topic, said in found.sentences.items():
        screen.print()
        screen.print(topic.capitalize(), style="bold")
        for sentence in said:
            screen.print(f"- {sentence}", soft_wrap=True, markup=False, highlight=False)
    screen.print()
    if kept is not None:
        screen.print(f"{kept} is there already and was left as it is: -o FILE writes another.", markup=False)
    if found.spec is not None and found.estimate is not None:
        _print_spec(screen, found)


def _print_spec(screen: Console, found: DatasetAdvice) -> None:
    from mfsweep.cli.estimate import hours_of

    assert found.estimate is not None
    assert found.spec is not None
    together = found.estimate.overview
    screen.print(
        f"{found.spec}: {together.cells} cells, {together.shared.stages} stages to train once.",
        markup=False,
        soft_wrap=True,
    )
    for line in hours_of(found.estimate):
        screen.print(line, soft_wrap=True, markup=False)
    used = " + ".join(f"{number:,} {method}" for method, number in found.labels.items())
    said = f"Its dearest cell trains on {used} labels"
    if not found.labels:
        said = "Its search has proposed no cell yet: what labels cost is not to be told"
    elif found.label_cost is not None:
        said += f", which cost {found.label_cost:,.4g} {found.unit}"
    elif found.unit:
        said = (
            f"Its cell with most labels trains on {used}; no cost of a {' or '.join(found.without_cost)} label is known"
        )
        said += " (--label-cost METHOD=COST)"
    else:
        said += "; --label-cost METHOD=COST says what these cost"
    screen.print(f"{said}.", soft_wrap=True, markup=False)
    screen.print(
        f"Next: mfsweep plan {found.spec}, then mfsweep run {found.spec} --smoke", soft_wrap=True, markup=False
    )


def _methods(found: DatasetAdvice) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("method", "energies", "with forces", "spread after offsets, meV/atom"):
        table.add_column(name, justify="left" if name == "method" else "right", overflow="fold")
    for name, own in found.data.info.methods.items():
        forces = f"{own.forces.structures:,}" if own.forces else "-"
        table.add_row(name, f"{own.structures:,}", forces, f"{1000 * own.spread:.3g}")
    return table


def _alignment(found: DatasetAdvice) -> Table:
    from rich.table import Table

    names = ("mean abs", "spread", "of a formula", "between", "correlation", "worst formulae")
    title = f"{found.data.target} less each method after energy offsets, meV/atom"
    table = Table(box=None, pad_edge=False, header_style="dim", title=title, title_justify="left")
    table.add_column("method")
    for name in names:
        table.add_column(name, justify="left" if name == names[-1] else "right", overflow="fold")
    for one in found.data.alignments:
        numbers = one.mean_abs, one.spread, one.within, one.between
        worst = ", ".join(f"{own.formula} {own.mean_abs:.3g}" for own in one.worst)
        table.add_row(one.method, *(f"{value:.3g}" for value in numbers), f"{one.pearson:.3f}", worst)
    return table
