"""A first spec for a data set at hand, with comments: which methods, which sizes, how the structures are shared out."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mfsweep.data.importing.ase_files import HEAD
from mfsweep.data.importing.rules import Rules
from mfsweep.data.survey.opening import UNNAMED, open_file
from mfsweep.data.view import open_view
from mfsweep.errors import DataError, SpecError
from mfsweep.models import registry
from mfsweep.prepare import Plan, prepare
from mfsweep.quantities import MINIMUM_PRETRAININGS, count
from mfsweep.spec.data import RESERVED, LabelKeys

_KINDS = (("cc", r"cc"), ("xtb", r"xtb"), ("dft", r"wb97|b3lyp|pbe|dft|m06|scan|revdsd|b97"), ("mp2", r"mp2"))
"""Names that people give methods -> what their keys look like; the first that fits."""
_DEAREST = ("cc", "mp2", "dft", "xtb")
FEW = 20
"""Structures with the target's labels below which a spec of ours would say nothing."""
_IMPORT = "mfsweep data import "
"""The command that makes a data set of a file; errors name it with all its options."""
LARGE = 5000
"""Structures with auxiliary labels from which a model of the study's kind is worth its time."""


class StarterMethod(NamedTuple):
    """A label method of the data."""

    name: str
    keys: LabelKeys
    structures: int
    """That carry its labels."""


class StarterSizes(NamedTuple):
    """How many structures each part gets."""

    train: int
    """Training structures of the target: `a`."""
    validation: int
    test: int
    auxiliary: int
    """Validation structures of `b`."""
    seed: int
    """Seed of the partition."""


SMALLEST = StarterSizes(train=4, validation=2, test=4, auxiliary=2, seed=0)


class Start(NamedTuple):
    """What a first spec is made of."""

    name: str
    source: str
    methods: dict[str, StarterMethod]
    target: str
    auxiliary: str | None
    """None: one method only, which is trained directly."""
    structures: int
    largest: int
    """Atoms of the largest structure."""
    needs: tuple[str, ...]
    """Labels that training and test structures of the target carry: the auxiliary method's too where most have them."""
    labelled: int
    """Structures that carry these."""


def look(path: Path, source: str, name: str, target: str | None = None) -> Start:
    """Look at a data set, and choose the methods.

    The target is the dearest method by its name, else the one with the fewest labels; the auxiliary one that with most.

    Args:
        path: the file.
        source: what the spec calls it.
        name: of the spec.
        target: label method, or its key in the file, that is the target.

    Raises:
        DataError: the file cannot be read, or has no labels that a spec could use.
    """
    opened = open_file(str(path))
    if not opened.labels:
        raise DataError(f"{path}: no energies: expected keys that end in .energy, as mfsweep data import writes them")
    if len({own.energy for own in opened.labels.values()}) < len(opened.labels):
        made = path.with_name(f"{path.name.partition('.')[0]}-dataset.h5")
        raise DataError(
            f"{path}: its column {HEAD!r} names the label method of each frame. Make a data set of it, and give that "
            f"to `mfsweep init`: {Rules({}, method_column=HEAD).command([path], made)}"
        )
    data, names = opened.structures, _names(opened.labels)
    usable = {names[key]: data.usable(key) for key in opened.labels}
    methods = {
        names[key]: StarterMethod(names[key], own, number)
        for key, own in sorted(opened.labels.items())
        if (number := int(usable[names[key]].sum()))
    }
    chosen = _target(path, methods, names.get(target or "", target))
    others = sorted((own for own in methods if own != chosen), key=lambda own: -methods[own].structures)
    auxiliary = others[0] if others else None
    needs, labelled = (chosen,), methods[chosen].structures
    if auxiliary and 2 * (both := int((usable[chosen] & usable[auxiliary]).sum())) >= labelled:
        needs, labelled = (chosen, auxiliary), both
    return Start(name, source, methods, chosen, auxiliary, len(data.formula), int(data.sizes.max()), needs, labelled)


def _target(path: Path, methods: Mapping[str, StarterMethod], asked: str | None) -> str:
    if asked is not None:
        if asked not in methods:
            raise DataError(f"{path}: no label method {asked!r}: there are {', '.join(methods)}")
        return asked
    for name in _DEAREST[:-1] if len(methods) > 1 else ():
        if name in methods and methods[name].structures >= FEW:
            return name
    return min(methods, key=lambda name: methods[name].structures)


def _names(found: Mapping[str, LabelKeys]) -> dict[str, str]:
    """Return key -> a short name of the method, no name twice."""
    names: dict[str, str] = {}
    for key in sorted(found):
        told = found[key].energy if key == UNNAMED else key
        short = next((name for name, pattern in _KINDS if re.search(pattern, told.lower())), "")
        plain = re.sub(r"[^A-Za-z0-9_-]+", "_", "reference" if key == UNNAMED else key).strip("_-") or "method"
        plain = plain if plain[0].isalpha() else f"m_{plain}"
        name = short if short and short not in names.values() else plain
        while name in RESERVED or name in names.values():
            name += "_labels"
        names[key] = name
    return names


def proposals(start: Start) -> Iterator[StarterSizes]:
    """Yield sizes to try, the largest first; whole formulae cannot be shared out to any number."""
    for share in (1.0, 0.8, 0.6, 0.45, 0.3, 0.2, 0.12, 0.07):
        usable = int(start.labelled * share)
        train, validation, test = round(usable * 0.4), round(usable * 0.15), round(usable * 0.3)
        if min(train, test) < 4 or validation < 2:
            return
        rest = start.methods[start.auxiliary].structures if start.auxiliary else 0
        for seed in range(3):
            left = rest - usable if start.auxiliary in start.needs else rest * (1 - share)
            yield StarterSizes(train, validation, test, max(2, round(left * 0.2)), seed)


def text(start: Start, sizes: StarterSizes, pool: int, *, by: str | None = None) -> str:
    """Return the spec.

    Args:
        start: what the data are.
        sizes: of its parts.
        pool: training structures that `b` turned out to have.
        by: what is kept whole in place of formulae.
    """
    target, auxiliary = start.methods[start.target], start.auxiliary
    labels = "\n".join(f"    {own.name}: {{{_keys(own.keys)}}}{_note(own, start)}" for own in start.methods.values())
    model, why = registry.LARGE if target.structures + pool > LARGE else registry.SMALL
    cap = max(128, start.largest)
    recipe = f"""\
    learning_rate: 0.01
    schedule: {{factor: 0.5, patience_steps: 100, stop_steps: 400}}   # steps without a better validation loss
    max_steps: 2000                       # what this stops is drawn hollow and carries no claim
    validate_every: 25
    batch: {{max_atoms: {cap}, batches_per_step: 1}}"""
    needs = f"[{', '.join(start.needs)}]"
    head = f"""\
# A first spec for {start.source}, by `mfsweep init`: {count(start.structures, "structure")}.
#   mfsweep plan FILE          what it trains, and what that costs
#   mfsweep run FILE --smoke   20 steps of each kind of stage
#   mfsweep run FILE           all of it; run it again after a change, and only what is new is trained
# Every number here is a beginning, to be changed.
name: {start.name}                        # names the sweep's folder, and its experiment in MLflow
data:
  source: {_quoted(start.source)}         # a relative path begins at this file
  labels:                                 # label method: its keys in the file
{labels}
  splits:                                 # whole chemical formulae: what is tested is no formula of the training
    seed: {sizes.seed}
"""
    if by is not None:
        head += f"    by: {by}\n"
    head += f"""\
    a: {{size: {sizes.train}, validation: {sizes.validation}, needs: {needs}}}   # training with the target's labels
    t: {{size: {sizes.test}, needs: {needs}}}   # test: no training sees these
"""
    steps = _steps(sizes.train, MINIMUM_PRETRAININGS)
    if auxiliary is None:
        return f"""{head}\
model: {model}
# {why}
axes:                                     # a grid: every combination is a cell
  size: {steps}                           # structures with {target.name} labels
  split_seed: [{sizes.seed}]                        # add values for intervals: each is another partition
stages:
  train:
    train: [{{labels: {target.name}, subset: a, size: "${{size}}"}}]
{recipe}
result: train                             # the stage whose error counts
evaluate: [{{labels: {target.name}, subset: t}}]
figures:
  sizes: {{kind: curve, x: size, y: [result.test.{target.name}.energy_mae], log: true}}
resources: {{workers: 1, gpus_per_worker: 0}}   # of each stage; gpus_per_worker: 1 trains on a GPU
"""
    return f"""{head}\
    b: {{size: rest, validation: {sizes.auxiliary}, needs: [{auxiliary}]}}   # pre-training: what the others leave
model: {model}
# {why}
axes:                                     # a grid: every combination is a cell
  pretrain_size: {[0, *_steps(pool, MINIMUM_PRETRAININGS)]}    # structures with {auxiliary} labels; 0: no pre-training
  finetune_size: {_steps(sizes.train, 2)}           # structures with {target.name} labels
  split_seed: [{sizes.seed}]                        # add values for intervals: each is another partition
stages:
  pretrain:
    train: [{{labels: {auxiliary}, subset: b, size: "${{pretrain_size}}"}}]
{recipe}
  finetune:
    start_from: pretrain
    train: [{{labels: {target.name}, subset: a, size: "${{finetune_size}}"}}]
{recipe}
    continued: {{learning_rate: 0.001}}     # where there was a pre-training
result: finetune                          # the stage whose error counts
evaluate: [{{labels: {target.name}, subset: t}}]
fits:                                     # log y = gradient * log x + c, a line for each fine-tuning size
  transfer: {{x: pretrain.validation.energy_mae, y: result.test.{target.name}.energy_mae, group_by: [finetune_size]}}
resources: {{workers: 1, gpus_per_worker: 0}}   # of each stage; gpus_per_worker: 1 trains on a GPU
"""


def _keys(keys: LabelKeys) -> str:
    forces = f', forces: "{keys.forces}"' if keys.forces else ""
    return f'energy: "{keys.energy}"{forces}'


def _note(own: StarterMethod, start: Start) -> str:
    role = {start.target: ", the target", start.auxiliary: ", the auxiliary method"}.get(own.name, ", not used here")
    return f"   # {count(own.structures, 'structure')}{role}"


def _quoted(text: str) -> str:
    return text if re.fullmatch(r"[\w./:-]+", text) else "'" + text.replace("'", "''") + "'"


def _steps(largest: int, number: int) -> list[int]:
    """Return sizes up to the largest, each about a third of the next."""
    found = {max(1, round(largest / 3**step)) for step in range(number)}
    return sorted(found)


def fitting(start: Start, output: Path) -> str:
    """Return the text of the first proposal that the data can fill.

    Args:
        start: what the spec is made of.
        output: where it is going to be; paths in it are relative to that.

    Raises:
        DataError: none can be.
    """

    def plan(spec: str) -> Plan:
        trial = output.absolute().with_name(f".{output.name}.trial-{os.getpid()}")
        try:
            trial.write_text(spec, encoding="utf-8")
            return prepare(trial, Path(os.devnull) / "no-store")
        finally:
            trial.unlink(missing_ok=True)

    last: Exception | None = None
    small: str | None = None
    for by in (None, "structure"):
        for sizes in [*proposals(start)] or [SMALLEST]:  # which says what else is wrong with the file
            try:
                pool = 0
                if start.auxiliary:
                    # Planned once with a pool of one, which says how large it is.
                    first = plan(text(start, sizes, 1, by=by))
                    node = next(iter(first.graph.nodes.values()))
                    pool = len(open_view(first.sources, first.data(node)).partition.train["b"])
                spec = text(start, sizes, pool, by=by)
                plan(spec)
            except (DataError, SpecError) as error:
                if _IMPORT in str(error):  # the file cannot stand in a spec, whatever its sizes
                    raise DataError(str(error).partition("data.source: ")[2] or str(error)) from error
                last = last or error
                continue
            if start.auxiliary not in (None, *start.needs) and pool < sizes.train:
                small = small or spec  # the formulae of the target have most auxiliary labels too: fewer of them, then
                continue
            return spec
        if small is not None:
            return small
    with contextlib.suppress(ValueError):
        last = last and DataError(str(last).split(": ", 2)[-1])
    raise DataError(
        f"{start.source}: no partition was found that leaves training, validation and test structures with "
        f"{start.target} labels ({start.labelled} have them"
        + (f", together with {start.auxiliary}" if start.auxiliary in start.needs else "")
        + f"){f': {last}' if last else ''}"
    )
