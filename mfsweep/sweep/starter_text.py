"""What a first spec is made of, and its text: one partition of `mfsweep init`, or the folds of `mfsweep advise`."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from mfsweep.data.structures import Structures
from mfsweep.models import registry
from mfsweep.quantities import MINIMUM_PRETRAININGS, count
from mfsweep.spec.data import LabelKeys

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
    folds: int | None = None
    """Folds whose test parts are disjoint and take all that is tested; None: one partition."""


class Start(NamedTuple):
    """What a first spec is made of."""

    name: str
    source: str
    methods: dict[str, StarterMethod]
    target: str
    auxiliary: str | None
    """None: one method only, which is trained directly."""
    data: Structures
    """The structures, labels by the methods' names."""
    needs: tuple[str, ...]
    """Labels that training and test structures of the target carry: the auxiliary method's too where most have them."""
    labelled: int
    """Structures that carry these."""


def text(start: Start, sizes: StarterSizes, pool: int, *, by: str | None = None, said: Sequence[str] = ()) -> str:
    """Return the spec.

    Args:
        start: what the data are.
        sizes: of its parts.
        pool: training structures that `b` turned out to have.
        by: what is kept whole in place of formulae.
        said: sentences for its head, of `mfsweep advise`.
    """
    target, auxiliary = start.methods[start.target], start.auxiliary
    labels = "\n".join(f"    {own.name}: {{{_keys(own.keys)}}}{_note(own, start)}" for own in start.methods.values())
    model, why = registry.LARGE if target.structures + pool > LARGE else registry.SMALL
    cap = max(128, int(start.data.sizes.max()))
    recipe = f"""\
    learning_rate: 0.01
    schedule: {{factor: 0.5, patience_steps: 100, stop_steps: 400}}   # steps without a better validation loss
    max_steps: 2000                       # what this stops is drawn hollow and carries no claim
    validate_every: 25
    batch: {{max_atoms: {cap}, batches_per_step: 1}}"""
    needs = f"[{', '.join(start.needs)}]"
    command = "advise" if said else "init"
    told = "".join(f"# {line}\n" for one in said for line in textwrap.wrap(one, 118, subsequent_indent="  "))
    partition, test, axis = _partition(sizes)
    head = f"""\
# A first spec for {start.source}, by `mfsweep {command}`: {count(len(start.data.formula), "structure")}.
{told}#   mfsweep plan FILE          what it trains, and what that costs
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
{partition}"""
    if by is not None:
        head += f"    by: {by}\n"
    head += f"""\
    a: {{size: {sizes.train}, validation: {sizes.validation}, needs: {needs}}}   # training with the target's labels
    t: {{size: {test}, needs: {needs}}}   # test: no training sees these
"""
    steps = _steps(sizes.train, MINIMUM_PRETRAININGS)
    if auxiliary is None:
        return f"""{head}\
model: {model}
# {why}
axes:                                     # a grid: every combination is a cell
  size: {steps}                           # structures with {target.name} labels
  {axis}
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
  {axis}
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


def _partition(sizes: StarterSizes) -> tuple[str, str, str]:
    """Return what a spec says of its folds, the size of its test subset, and the axis of its replicates."""
    if sizes.folds is None:
        again = "# add values for intervals: each is another partition"
        return "", str(sizes.test), f"split_seed: [{sizes.seed}]                        {again}"
    folds = f"    folds: {sizes.folds}                              # every formula is tested once\n"
    each = f"fold: {[*range(sizes.folds)]}"
    return f'{folds}    fold: "${{fold}}"\n', "rest", f"{each:<40}# the replicates of all intervals"


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
