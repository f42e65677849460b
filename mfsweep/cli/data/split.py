"""`mfsweep data split`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from mfsweep.cli.data.info import labels_option
from mfsweep.cli.options import as_json, console, print_json
from mfsweep.errors import DataError, nearest
from mfsweep.spec.base import LARGEST_SEED

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from mfsweep.data.splits import Partition
    from mfsweep.data.survey.opening import Opened
    from mfsweep.spec.data import Splits

ROLES = {"a": "fine-tuning", "b": "pre-training", "c": "a second auxiliary set", "t": "test"}


def _sizes(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a command an option for the size of each subset."""
    for name, role in reversed(ROLES.items()):
        help_text = f"Structures of subset {name} ({role}), or `rest`."
        command = click.option(f"--{name}", metavar="SIZE", help=help_text)(command)
    return command


@click.command()
@click.argument("source", metavar="DATASET", type=str)
@_sizes
@click.option("--validation", multiple=True, metavar="SUBSET=SIZE", help="Structures of a subset's validation set.")
@click.option(
    "--needs",
    multiple=True,
    metavar="SUBSET=METHOD[,METHOD]",
    help="Label methods that each of its structures carries.",
)
@click.option(
    "--by",
    default="formula",
    show_default=True,
    help="What stays whole: formula; structure, each by itself and copies together; or a text column of a data set.",
)
@click.option("--seed", type=click.IntRange(0, LARGEST_SEED), default=0, show_default=True, help="Of the partition.")
@click.option("--folds", type=click.IntRange(2), help="Show K folds, whose test parts have no formula in common.")
@labels_option
@as_json
@click.pass_context
def split(
    ctx: click.Context,
    source: str,
    validation: tuple[str, ...],
    needs: tuple[str, ...],
    by: str,
    seed: int,
    folds: int | None,
    labels: tuple[str, ...],
    *,
    as_json: bool,
    **sizes: str | None,
) -> None:
    """Show how DATASET, a data set or any file that can be imported, is shared out by a `splits:` block.

    It is the partition that a spec with this block has; the block is printed to be pasted into its `data:`. The table
    says whether the subsets are made of the same stuff. Then all geometries are compared: the same one in two parts is
    a leak (splits by formula have none, since copies have one formula).

    With --folds K the partition is made K times, each time with another K-th of the formulae to be tested on, as a spec
    with an axis `fold` does: the table says what each fold tests on, and what is left to train on.

    In a spec a subset without `needs` takes the methods that the spec uses on it; here it takes any structure.

    \b
    Examples:  mfsweep data split molecules.h5 --a 10000 --b rest --t 5000 --validation a=1000 --validation b=1000
               mfsweep data split bundled:mini-ccx --a 120 --b rest --t 200 --needs a=wb97x_631gd
               mfsweep data split ani1x.h5 --a 9000 --b rest --labels "cc=ccsd(t)_cbs.energy" --needs a=cc
               mfsweep data split crystals.h5 --by config_type --a 500 --b rest --t 500 --json
               mfsweep data split bundled:mini-ccx --a 120 --b rest --t rest --folds 5

    Exit codes: 0, 1 the same geometry is in two parts, 2 the input is wrong.
    """  # noqa: D301
    from mfsweep.cli.data import split_tables
    from mfsweep.data.splits import groups_of
    from mfsweep.data.survey.balance import balance, named_parts
    from mfsweep.data.survey.duplicates import leaks, structure_hashes
    from mfsweep.data.survey.info import plain
    from mfsweep.data.survey.opening import open_file

    opened = open_file(source, labels)
    structures = opened.structures
    splits = _splits(sizes, validation, needs, by, seed, opened.labels)
    if folds is not None:
        ctx.exit(_show_folds(opened, splits, folds, as_json=as_json))
    made = _made(opened, splits)
    parts = balance(structures, groups_of(structures, splits.by), made)
    leaked = leaks(structure_hashes(structures), named_parts(made))
    block = split_tables.block(splits)
    if as_json:
        found = {
            "file": str(opened.path),
            "parts": {part.name: part._asdict() for part in parts},
            "leaks": [split_tables.leak_as_json(structures, leak) for leak in leaked],
            "splits": block["splits"],
        }
        print_json(plain(found))
    else:
        split_tables.print_split(console(), opened, splits, parts, leaked)
        click.echo(split_tables.as_yaml(block), nl=False)
    ctx.exit(1 if leaked else 0)


def _show_folds(opened: Opened, splits: Splits, folds: int, *, as_json: bool) -> int:
    """Show what each fold tests on; return the exit code.

    Raises:
        DataError: there is no test subset, or a fold cannot be filled.
    """
    from mfsweep.cli.data import fold_tables
    from mfsweep.data.splits import groups_of

    if splits.t is None:
        raise DataError("--folds: expected --t too: it shares out the formulae of the test subset")
    made = [_made(opened, splits.but(folds=folds, fold=fold)) for fold in range(folds)]
    found = fold_tables.folds_of(opened.structures, groups_of(opened.structures, splits.by), made)
    if as_json:
        print_json(fold_tables.as_json(opened, splits, found))
    else:
        fold_tables.print_folds(console(), opened, splits, found)
        click.echo(fold_tables.as_yaml(splits, folds), nl=False)
    return 1 if any(fold.leaked for fold in found) else 0


def _made(opened: Opened, splits: Splits) -> Partition:
    from mfsweep.data.splits import partition

    try:
        return partition(opened.structures, splits)
    except DataError as error:
        where = f", fold {splits.fold} of {splits.folds}" if splits.folds else ""
        raise DataError(f"{opened.path}{where}: {error}") from error


def _splits(
    sizes: dict[str, str | None],
    validation: Sequence[str],
    needs: Sequence[str],
    by: str,
    seed: int,
    methods: Collection[str],
) -> Splits:
    from mfsweep.spec.data import BY_FORMULA, Splits, Subset

    wanted: dict[str, dict[str, Any]] = {
        name: {"size": _size(name, size), "needs": ()} for name, size in sizes.items() if size is not None
    }
    if not by:
        raise DataError("--by: expected formula, structure or the name of a text column, got an empty text")
    if not wanted:
        raise DataError("expected the size of at least one subset: --a, --b, --c or --t")
    for text in validation:
        name, size = _of_subset("--validation", text, wanted)
        if not size.isdecimal():
            raise DataError(f"--validation {text}: expected a number of structures, got {size!r}")
        wanted[name]["validation"] = int(size)
    for text in needs:
        name, listed = _of_subset("--needs", text, wanted)
        wanted[name]["needs"] = tuple(_method(text, method, methods) for method in listed.split(","))
    subsets: dict[str, Any] = {name: Subset(**own) for name, own in wanted.items()}
    return Splits(seed=seed, by=None if by == BY_FORMULA else by, **subsets)


def _method(text: str, method: str, known: Collection[str]) -> str:
    from pydantic import TypeAdapter, ValidationError

    from mfsweep.spec.base import Name

    if method not in known:
        there = ", ".join(known) or "none"
        raise DataError(
            f"--needs {text}: expected label methods of the data ({there}), got {method!r}.{nearest(method, known)}"
        )
    try:
        return TypeAdapter(Name).validate_python(method)
    except ValidationError:
        raise DataError(
            f"--needs {text}: a spec names methods by letters, digits, _ and -: give {method!r} another name, "
            f"for example --labels 'NAME={method}.energy'"
        ) from None


def _size(name: str, text: str) -> int | str:
    if text == "rest":
        return text
    if not text.isdecimal() or not int(text):
        raise DataError(f"--{name}: expected a number of structures above 0 or `rest`, got {text!r}")
    return int(text)


def _of_subset(option: str, text: str, wanted: dict[str, dict[str, Any]]) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not value:
        raise DataError(f"{option}: expected SUBSET=VALUE, got {text!r}")
    if name not in wanted:
        raise DataError(f"{option} {text}: expected a subset whose size is given ({', '.join(wanted)}), got {name!r}")
    return name, value
