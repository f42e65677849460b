"""`mfsweep data label`."""

from __future__ import annotations

from pathlib import Path

import click

from mfsweep.cli.options import as_json, console, print_json, show_ray_the_token, store_option

INTERRUPTED = 130


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option(
    "--method",
    required=True,
    help="gfn2-xtb, gfn1-xtb; FUNCTIONAL/BASIS by PySCF, also hf, mp2, ccsd, ccsd(t) in place of FUNCTIONAL; "
    "ase:package.module.Class; model:STAGE_KEY (its first letters will do).",
)
@click.option("--as", "name", help="Name of the labels in DATASET.  [default: gfn2_xtb, wb97x_6-31g*, emt, model_KEY]")
@click.option("--options", help="What may be chosen of the method, as a JSON object; of an ASE class its arguments.")
@click.option("--head", help="Of a model: the readout head.  [default: its only one]")
@click.option("--first", type=click.IntRange(1), help="Only the first N structures of DATASET; later runs add to them.")
@click.option("--batch", type=click.IntRange(1), help="Structures of a task.  [default: as many as take a few seconds]")
@click.option(
    "--cpus-per-task",
    "cpus",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="CPUs that Ray reserves for a task.",
)
@click.option("--retry-failed", is_flag=True, help="Try again what failed in an earlier run.")
@click.option("--replace", is_flag=True, help="Drop labels of the same name that came of another calculation.")
@store_option
@as_json
@click.pass_context
def label(
    ctx: click.Context,
    dataset: Path,
    *,
    method: str,
    name: str | None,
    options: str | None,
    head: str | None,
    first: int | None,
    batch: int | None,
    cpus: int,
    retry_failed: bool,
    replace: bool,
    store: Path,
    as_json: bool,
) -> None:
    """Compute a method's energies and forces for the structures of the data set DATASET, and add them to it.

    On all CPUs of the Ray cluster of RAY_ADDRESS, or of the job it runs in, or of this machine. What is computed is
    kept as it comes: after an interrupt the same command goes on. A structure that fails keeps no label (NaN), and the
    reason is recorded. The processor time of each label is recorded too.

    A label's calculation is known by its method, options and package versions, an ASE class of no package by its own
    source file; programs that a class runs are not tracked, so give labels of another build of one another --as.

    A calculation has no time limit: one that hangs holds its CPUs until the run is interrupted. Limit a program by its
    command where the ASE class takes one, for example `timeout 3600 orca`.

    Charges are those of DATASET, not an option. A model refuses charged structures and molecules with an odd number of
    electrons, as in training. A basis set made for effective core potentials brings them along.

    Crystals go through xTB as supercells (it samples the centre of the Brillouin zone alone), PySCF refuses them here.

    Options, with their defaults:

    \b
      xTB    accuracy 0.1, electronic_temperature 300 (K), max_iterations 250,
             spin 0 (unpaired electrons, or "lowest": 0 or 1)
      PySCF  density_fit (functionals: true), grid_level 3, frozen_core true,
             conv_tol 1e-9 (hartree), max_cycle 100, spin 0

    \b
    Examples:  mfsweep data label set.h5 --method gfn2-xtb
               mfsweep data label set.h5 --method wb97x/6-31g* --first 500
               mfsweep data label set.h5 --method 'ccsd(t)/6-31g*' --as cc
               mfsweep data label set.h5 --method ase:ase.calculators.emt.EMT \\
                   --options '{"asap_cutoff": true}'
               mfsweep data label set.h5 --method model:3f9a --head cc --store mfsweep-store
    """  # noqa: D301
    show_ray_the_token()
    from mfsweep.cli.data import labelling

    screen = console(stderr=as_json)
    request = labelling.request(
        dataset, method, options, head, store, name=name, first=first, batch=batch, cpus=cpus,
        retry_failed=retry_failed, replace=replace,
    )  # fmt: skip
    try:
        summary = labelling.run(request, screen)
    except KeyboardInterrupt:
        labelling.say_interrupted(screen, request)
        ctx.exit(INTERRUPTED)
    if as_json:
        print_json(labelling.as_json(request, summary))
    labelling.say(screen, request, summary)
    ctx.exit(int(not summary.labelled))
