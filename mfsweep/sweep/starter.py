"""A first spec for a data set at hand, with comments: which methods, which sizes, how the structures are shared out."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from mfsweep.data.importing.ase_files import HEAD
from mfsweep.data.importing.rules import Rules
from mfsweep.data.splits import partition
from mfsweep.data.survey.opening import UNNAMED, Opened, open_file
from mfsweep.errors import DataError, SpecError
from mfsweep.prepare import prepare
from mfsweep.spec.data import RESERVED, LabelKeys, Splits, Subset
from mfsweep.sweep.starter_text import Start, StarterMethod, StarterSizes, text

_KINDS = (("cc", r"cc"), ("xtb", r"xtb"), ("dft", r"wb97|b3lyp|pbe|dft|m06|scan|revdsd|b97"), ("mp2", r"mp2"))
"""Names that people give methods -> what their keys look like; the first that fits."""
_DEAREST = ("cc", "mp2", "dft", "xtb")
WIDE = 3
"""Pre-training structures for each of the target's, below which a smaller `a` is tried where there are folds."""
FEW = 20
"""Structures with the target's labels below which a spec of ours would say nothing."""
_IMPORT = "mfsweep data import "
"""The command that makes a data set of a file; errors name it with all its options."""


ENOUGH = 500
"""Structures that a validation needs at most: they tell a mean error to a few per cent, and more cost steps."""
SMALLEST = StarterSizes(train=4, validation=2, test=4, auxiliary=2, seed=0)


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
    return start_of(open_file(str(path)), path, source, name, target)


def start_of(
    opened: Opened, path: Path, source: str, name: str, target: str | None = None, auxiliary: str | None = None
) -> Start:
    """Choose the methods of a file that is open; arguments and errors as of `look`.

    Args:
        opened: the file.
        path: where it lies.
        source: what the spec calls it.
        name: of the spec.
        target: label method, or its key in the file, that is the target.
        auxiliary: name of the auxiliary method. Default: that with the most labels.
    """
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
    auxiliary = auxiliary or (others[0] if others else None)
    needs, labelled = (chosen,), methods[chosen].structures
    if auxiliary and 2 * (both := int((usable[chosen] & usable[auxiliary]).sum())) >= labelled:
        needs, labelled = (chosen, auxiliary), both
    named = data._replace(labels={names[key]: data.labels[key] for key in opened.labels if names[key] in methods})
    return Start(name, source, methods, chosen, auxiliary, named, needs, labelled)


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


def proposals(start: Start, folds: int | None = None) -> Iterator[StarterSizes]:
    """Yield sizes to try, the largest first; whole formulae cannot be shared out to any number."""
    labelled, together = start.labelled, start.auxiliary in start.needs
    rest = start.methods[start.auxiliary].structures if start.auxiliary else 0
    for share in (1.0, 0.8, 0.6, 0.45, 0.3, 0.2, 0.12, 0.07):
        usable = int(labelled * share)
        train, validation, test = round(usable * 0.4), round(usable * 0.15), round(usable * 0.3)
        left = rest - usable if together else rest * (1 - share)
        if folds is not None:
            test = labelled // folds
            usable = round((labelled - test) * share)
            # Labels that all structures have leave most of them to the pre-training, as if they were dear.
            of_train, of_validation = (0.7, 0.2) if labelled < rest / 2 or not rest else (0.2, 0.08)
            train, validation = round(usable * of_train), round(usable * of_validation)
            left = (rest - test - train - validation if together else rest * (1 - share / 2)) / 2
        if min(train, test) < 4 or validation < 2:
            return
        validation, auxiliary = min(validation, ENOUGH), max(2, min(round(left * 0.2), ENOUGH))
        for seed in range(3):
            yield StarterSizes(train, validation, test, auxiliary, seed, folds)


def fitting(start: Start, output: Path, folds: int | None = None, said: Sequence[str] = ()) -> str:
    """Return the text of the first proposal that the data can fill.

    Args:
        start: what the spec is made of.
        output: where it is going to be; paths in it are relative to that.
        folds: of the partition.
        said: sentences for its head.

    Raises:
        DataError: none can be.
    """
    trials = _Trials(start, output, folds, said)
    for by in (None, "structure"):
        if (spec := trials.first(by)) is not None:
            return spec
    raise DataError(
        f"{start.source}: no partition was found that leaves training, validation and test structures with "
        f"{start.target} labels ({start.labelled} have them"
        + (f", together with {start.auxiliary}" if start.auxiliary in start.needs else "")
        + f"){f': {trials.reasons[0]}' if trials.reasons else ''}"
    )


class _Trials:
    """Proposals that are tried one after another, and why they were not taken."""

    def __init__(self, start: Start, output: Path, folds: int | None, said: Sequence[str]) -> None:
        self.reasons: list[str] = []
        self._start = start
        self._output = output
        self._folds = folds
        self._said = said

    def first(self, by: str | None) -> str | None:
        """Return the spec of the first proposal that fits, of those that leave too little to pre-train on the best."""
        start, narrow = self._start, dict[int, tuple[StarterSizes, int]]()
        for sizes in [*proposals(start, self._folds)] or [SMALLEST]:  # which says what else is wrong with the file
            if sizes.train in narrow:
                continue
            try:
                pool = 1 if sizes is SMALLEST else _pool(start, sizes, by)
            except DataError as error:
                self.reasons.append(str(error))
                continue
            if start.auxiliary and pool < self._enough(sizes):
                narrow[sizes.train] = sizes, pool
            elif (spec := self._planned(sizes, pool, by)) is not None:
                return spec
        fallbacks = sorted(narrow.values(), key=lambda fit: -fit[1])
        return next((spec for sizes, pool in fallbacks if (spec := self._planned(sizes, pool, by)) is not None), None)

    def _enough(self, sizes: StarterSizes) -> int:
        """Return the structures below which `b` is small: `a` takes whole formulae, auxiliary labels and all."""
        if self._folds is not None:
            return WIDE * sizes.train
        return 0 if self._start.auxiliary in self._start.needs else sizes.train

    def _planned(self, sizes: StarterSizes, pool: int, by: str | None) -> str | None:
        """Return the spec; None where it cannot be planned."""
        spec = text(self._start, sizes, pool, by=by, said=self._said)
        trial = self._output.absolute().with_name(f".{self._output.name}.trial-{os.getpid()}")
        try:
            trial.write_text(spec, encoding="utf-8")
            prepare(trial, Path(os.devnull) / "no-store")
        except (DataError, SpecError) as error:
            if _IMPORT in str(error):  # the file cannot stand in a spec, whatever its sizes
                raise DataError(str(error).partition("data.source: ")[2] or str(error)) from error
            self.reasons.append(str(error).split(": ", 2)[-1])
            return None
        finally:
            trial.unlink(missing_ok=True)
        return spec


def _pool(start: Start, sizes: StarterSizes, by: str | None) -> int:
    """Return how many training structures `b` gets, of folds in the one that leaves the fewest; 0 without `b`.

    Raises:
        DataError: the data cannot fill all parts.
    """
    parts = {
        "a": Subset(size=sizes.train, validation=sizes.validation, needs=start.needs),
        "t": Subset(size=sizes.test if sizes.folds is None else "rest", needs=start.needs),
    }
    if start.auxiliary:
        parts["b"] = Subset(size="rest", validation=sizes.auxiliary, needs=(start.auxiliary,))
    splits = Splits(seed=sizes.seed, by=by).but(**parts)
    if sizes.folds is not None:
        each = [splits.but(folds=sizes.folds, fold=fold) for fold in range(sizes.folds)]
    else:
        each = [splits]
    return min(len(partition(start.data, one).train.get("b", ())) for one in each)
