"""`mfsweep launch`: the file that starts a run on Slurm, KubeRay or AWS."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mfsweep.cli.jobs import option_words
from mfsweep.cli.options import console, prepared, resources_options, specs_and_store

if TYPE_CHECKING:
    from mfsweep.sweep.launching import Where


@click.command()
@specs_and_store
@click.option("--on", "where", type=click.Choice(["slurm", "kuberay", "aws"]), required=True, help="Kind of cluster.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True), help="File; - prints it.")
@click.option("--nodes", type=click.IntRange(1), help="Nodes, at most where they come and go; default: by the spec.")
@click.option("--gpus-per-node", type=click.IntRange(0), help="Default: 4, or what a stage needs.")
@click.option("--cpus-per-node", type=click.IntRange(1), help="Default: 8 for each GPU, 32 without any.")
@click.option("--hours", type=click.IntRange(1), default=24, show_default=True, help="Time limit (Slurm).")
@click.option("--spot", is_flag=True, help="Nodes that cost less and may be taken away (AWS).")
@click.option("--image", help="Container with the package (KubeRay).")
@click.option("--environment", help="Virtual environment with the package, on the shared storage (Slurm).")
@resources_options
def launch(
    specs: tuple[Path, ...],
    store: Path,
    *,
    where: Where,
    out: Path | None,
    nodes: int | None,
    gpus_per_node: int | None,
    cpus_per_node: int | None,
    hours: int,
    spot: bool,
    image: str | None,
    environment: str | None,
    **over: Any,
) -> None:
    """Write the file that starts SPEC on a cluster, as large as its stages need, and say how to start it.

    SPEC and store lie on storage that all nodes of the cluster share, at these paths. Nothing is submitted.

    \b
    Examples:  mfsweep launch --on slurm /shared/specs/first.yaml --store /shared/mfsweep-store
               mfsweep launch --on kuberay /shared/specs/first.yaml --store /shared/mfsweep-store
               mfsweep launch --on aws /shared/specs/first.yaml --store /shared/mfsweep-store --spot
    """  # noqa: D301
    from mfsweep.files import near, write_text
    from mfsweep.sweep import launching

    resources = {name: value for name, value in over.items() if value is not None}
    plans = [prepared(spec, store, resources, without_data=True) for spec in specs]
    more = {"image": image, "environment": environment}
    made = launching.launch(
        plans, where, store, nodes=nodes, gpus=gpus_per_node, cpus=cpus_per_node, options=option_words(resources),
        hours=hours, spot=spot, **{name: value for name, value in more.items() if value is not None},
    )  # fmt: skip
    text = launching.written(where, made)
    if out == Path("-"):
        click.echo(text, nl=False)
        return
    path = out or Path(launching.FILES[where].format(made.name))
    write_text(path, text)
    screen = console()
    screen.print(f"Written: {near(path.absolute())}. Look at it, and start it with", soft_wrap=True, markup=False)
    for command in launching.next_step(where, path, made):
        screen.print(f"  {command}", soft_wrap=True, markup=False, highlight=False)
