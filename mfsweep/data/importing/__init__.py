"""Files of structures and labels into one data set: checked on the way, with bounded memory, whole or not at all.

A source (layouts.py) gives its structures in parts of some 100,000 atoms, in eV and angstrom. Each part is
checked (parts.py), goes into the writer of the data set, and leaves a few structures in a sample; on that labels
are judged (data/judging) before the data set is put into place.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from mfsweep import __version__
from mfsweep.data import dataset
from mfsweep.data.importing.ase_files import AseSource
from mfsweep.data.importing.keys import require, storable
from mfsweep.data.importing.layouts import is_one, layout_of
from mfsweep.data.importing.lmdb_files import main_file
from mfsweep.data.importing.parts import Filter, ImportedPart, ImportSource, OptionNeededError, complete
from mfsweep.data.importing.places import FilePlace, places
from mfsweep.data.importing.refusal import Verdicts
from mfsweep.data.importing.release import ReleaseSource
from mfsweep.data.importing.rules import Rules
from mfsweep.data.judging import StructureSample
from mfsweep.data.judging.chunks import carries
from mfsweep.data.lone import IsolatedAtoms
from mfsweep.data.rounding import float32_rounding
from mfsweep.data.source import digest
from mfsweep.data.survey.duplicates import conflicts, duplicates, structure_hashes, told
from mfsweep.data.units import Units
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys

JUDGED = 1
"""Which judgement of single structures a data set has passed (judging/flaws.py): raised when it sees more."""
LMDB_SUFFIXES = (".lmdb", ".mdb", ".aselmdb")


@dataclass(frozen=True)
class ImportSummary:
    """What came in."""

    structures: int
    atoms: int
    formulae: int
    energies: Mapping[str, int]
    """Label method -> structures with its energy."""
    forces: Mapping[str, int]
    """Label method with forces -> structures with energy and forces."""
    columns: tuple[str, ...]
    units: Mapping[str, Units]
    """File -> the units that its values were taken for."""
    lacking: Mapping[str, int]
    """Label method needed -> structures left out without it."""
    dropped: Mapping[str, int]
    """What is wrong -> structures left out for it."""
    examples: tuple[str, ...]
    """The first of these."""
    warnings: tuple[str, ...]
    bytes: int
    seconds: float

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return {**vars(self), "units": {name: units._asdict() for name, units in self.units.items()}}


def import_files(
    sources: Sequence[Path | str],
    target: Path,
    rules: Rules,
    *,
    overwrite: bool = False,
    advised: Path | None = None,
    progress: Callable[[int, int | None], object] = lambda _done, _total: None,
) -> ImportSummary:
    """Write the structures of files, one file after the other, into a new data set.

    Args:
        sources: files of the layouts of layouts.py; `file@START:STOP`, globs, folders.
        target: the data set to be.
        rules: what is taken and what it means.
        overwrite: whether `target` may exist.
        advised: of a source that a spec names, what the data set is called in commands for the user.
        progress: told the structures read so far and, where it is known, how many there are.

    Raises:
        DataError: a file that cannot be read, or whose values cannot be what they are said to be; nothing is written.
    """
    try:
        return _imported(sources, target, rules, overwrite, advised, progress)
    except OptionNeededError as error:
        command = replace(rules, **error.options).command(sources, advised or target, overwrite=overwrite)
        raise DataError(f"{error}: {command}") from error


def _imported(
    sources: Sequence[Path | str],
    target: Path,
    rules: Rules,
    overwrite: bool,
    advised: Path | None,
    progress: Callable[[int, int | None], object],
) -> ImportSummary:
    began = time.monotonic()
    chosen = places(sources, whole=is_one)
    _require_free(target, [place.path for place in chosen], overwrite=overwrite)
    opened = [_source(place.path, rules) for place in chosen]
    tally = _Tally(opened)
    _require_consistent(rules, tally)

    lone = IsolatedAtoms()
    passes = Filter(rules.needs, trusted=rules.trust_units)
    notes: list[str] = []
    warnings: list[str] = []
    verdict = Verdicts(rules, chosen, advised or target, opened, overwrite=overwrite)
    content = {"energies": list(tally.energies), "forces": list(tally.forces), "columns": tally.columns}
    with dataset.Writer(target, **content) as writer:
        for place, source in zip(chosen, opened, strict=True):
            sample = StructureSample()
            for part in place.parts(source):
                whole = part._replace(chunk=rules.corrected(part.chunk, source.units))
                whole = whole.only(lone.take_from(whole.chunk))
                chunk = passes(whole) if len(whole.chunk.sizes) else whole.chunk
                if len(chunk.sizes):
                    sample.add(chunk)
                    chunk = complete(chunk, **content)
                    tally.add(chunk)
                    writer.add(chunk)
                progress(tally.read(part), tally.total)
            notes += [*source.warnings, *_methods_told(place, source, rules)]
            warnings += verdict.warnings(place, source, sample)
        verdict.require_accepted(passes)
        notes += lone.notes()
        if not writer.structures:
            raise DataError(f"{_names(chosen)}: no structure is left of {tally.done:,}: {_left_out(passes)}")
        left_out = (tally.done if tally.total is None else tally.total) - writer.structures
        about = {"notes": notes, "left_out": left_out, "first_use": advised is not None}
        writer.finish({**_provenance(chosen, opened, rules, passes), **about, "isolated_atoms": lone.offsets})
        structures, atoms = writer.structures, writer.atoms
    made = dataset.read(target, {method: LabelKeys(energy=f"{method}.energy") for method in tally.energies})
    for method, labels in made.labels.items():
        if found := float32_rounding(labels.energy, made.sizes):
            warnings.append(f"{method}: {found.sentence} ({made.describe(found.first)} most)")
    warnings += told(made, conflicts(made, duplicates(structure_hashes(made))))
    return ImportSummary(
        structures=structures,
        atoms=atoms,
        formulae=len(made.formulae),
        energies=tally.energies,
        forces=tally.forces,
        columns=tuple(tally.columns),
        units={source.name: source.units for source in opened},
        lacking=dict(passes.lacking),
        dropped=dict(passes.dropped),
        examples=tuple(passes.examples),
        warnings=(*notes, *warnings),
        bytes=target.stat().st_size,
        seconds=time.monotonic() - began,
    )


class _Tally:
    """The methods and columns of all sources together, and how much of each has come in."""

    def __init__(self, opened: Sequence[ImportSource]) -> None:
        with_forces = {name for source in opened for name, keys in source.labels.items() if keys.forces is not None}
        self.energies = dict.fromkeys(sorted({method for source in opened for method in source.labels}), 0)
        self.forces = dict.fromkeys(sorted(with_forces), 0)
        self.columns = list(dict.fromkeys(column for source in opened for column in source.columns))
        totals = [source.total for source in opened if source.total is not None]
        self.total = sum(totals) if len(totals) == len(opened) else None
        self.done = 0

    def add(self, chunk: dataset.Chunk) -> None:
        """Count the labels of structures that come in."""
        for method in self.energies:
            self.energies[method] += int(np.count_nonzero(~np.isnan(chunk.energies[method])))
        for method in self.forces:
            self.forces[method] += int(np.count_nonzero(carries(chunk, method)))

    def read(self, part: ImportedPart) -> int:
        """Count structures, in or left out; return how many they are by now."""
        self.done += len(part.chunk.sizes)
        return self.done


def _require_free(target: Path, sources: Sequence[Path], *, overwrite: bool) -> None:
    if target.is_dir():
        raise DataError(f"{target}: expected the name of a file for the data set, got a folder")
    if any(path.exists() and target.exists() and path.samefile(target) for path in sources):
        raise DataError(f"{target} is one of the files that come in: give the data set another name")
    if target.exists() and not overwrite:
        raise DataError(f"{target} exists: give the data set another name, or say --overwrite")


def _require_consistent(rules: Rules, tally: _Tally) -> None:
    _require_known(rules, tally)
    for method in rules.needs:
        if method not in tally.energies:
            there = ", ".join(tally.energies) or "none"
            raise DataError(f"--needs: no label method {method!r}.{nearest(method, tally.energies)} There are: {there}")
    for method in tally.energies:
        if not storable(method):
            raise DataError(f"--labels: no label method can be named {method!r}: say --labels NAME=ENERGY_KEY")
    for column in tally.columns:
        if not storable(column):
            raise DataError(f"--column: no column can be named {column!r}: expected a name without a slash")
    units = rules.units or {}
    stated = [quantity for quantity in ("energy", "forces") if quantity in units]
    if len(stated) == 1 and tally.forces:  # hartree go with bohr and with angstrom: no default would be safe
        missing = "forces=UNIT/LENGTH" if stated == ["energy"] else "energy=UNIT"
        raise DataError(f"--unit {stated[0]}={units[stated[0]]}: expected --unit {missing} too, since there are forces")


def _require_known(rules: Rules, tally: _Tally) -> None:
    for option, names in {"--gradients": rules.gradients, "--per-atom": rules.per_atom}.items():
        for method in names:
            require("", option, method, tally.energies)
    for name in rules.units or {}:
        if method := name.rpartition(":")[0]:
            require("", "--unit", method, tally.energies)


def _source(path: Path, rules: Rules) -> ImportSource:
    if rules.geometries and rules.labels:
        raise DataError(f"--geometries takes no labels, but --labels names some: {', '.join(rules.labels)}")
    if not path.exists():
        raise DataError(f"{path}: no such file")
    made = layout_of(path)
    if made is not ReleaseSource and (path.suffix in LMDB_SUFFIXES or (path / "data.mdb").exists()):
        raise DataError(
            f"{path}: expected an HDF5 file of a known layout, or a file that ASE reads (extxyz, db, traj, ...), got "
            "an LMDB database without a metadata.parquet beside it: only its own program can tell what it holds: "
            "let that one write extxyz"
        )
    if dataset.is_dataset(path):
        raise DataError(
            f"{path}: expected a file of structures, got a data set: it has been imported already, and a spec takes "
            "it as data.source as it is"
        )
    if rules.method_column is not None and made is not AseSource:
        raise DataError(f"{path}: --method-column is for files that ASE reads: this layout names methods by their keys")
    return made(path, rules)


def _names(paths: Sequence[FilePlace]) -> str:
    return " and ".join(map(str, paths))


def _methods_told(place: FilePlace, source: ImportSource, rules: Rules) -> list[str]:
    """Return where the labels of methods were found that were named without keys."""
    found = [(name, keys) for name, keys in source.labels.items() if rules.labels and rules.labels.get(name) is None]
    return [
        f"{place}: {name} is {keys.energy!r}" + (f" with forces {keys.forces!r}" if keys.forces else ", without forces")
        for name, keys in found
        if (keys.energy, keys.forces) not in (("energy", "forces"), (f"{name}.energy", f"{name}.forces"))
    ]


def _left_out(passes: Filter) -> str:
    lacking = [f"{number:,} do not carry {method} (--needs)" for method, number in passes.lacking.items() if number]
    return "; ".join([*lacking, *(f"of {number:,} {what}" for what, number in passes.dropped.items())])


def _provenance(
    chosen: Sequence[FilePlace], opened: Sequence[ImportSource], rules: Rules, passes: Filter
) -> dict[str, Any]:
    return {
        "sources": [
            {
                "file": source.name,
                "rows": place.text or "all",
                "bytes": main_file(place.path).stat().st_size,
                "sha256": digest(main_file(place.path)),
                "layout": source.layout,
                "labels": {
                    name: {"energy": keys.energy, "forces": keys.forces} for name, keys in source.labels.items()
                },
                "units": source.units._asdict(),
                "charges": list(source.charges),
            }
            for place, source in zip(chosen, opened, strict=True)
        ],
        "needs": dict(passes.lacking),
        "dropped": dict(passes.dropped),
        "units_trusted": rules.trust_units,
        "judged": JUDGED,
        "gradients": list(rules.gradients),
        "per_atom": list(rules.per_atom),
        "software": {"mfsweep": __version__, **{name: version(name) for name in ("h5py", "ase", "numpy")}},
        "date": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
    }
