"""The judge of data (data/judging) at the door of a spec: its sources are judged before anything trains.

A source is judged as `mfsweep data import` judges files, in the same words: labels by method on a sample of SAMPLE
structures spread over the source, but for those that a test is scored on; the structures that stages use one by one,
each once. A data set has been judged when it was made; of one that is older than what is looked for now, the
structures are looked at here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfsweep.data import dataset
from mfsweep.data.importing import JUDGED
from mfsweep.data.importing.refusal import passing
from mfsweep.data.importing.rules import Rules
from mfsweep.data.judging import Mend, flaws_of, sample_of
from mfsweep.data.remembered import Remembered
from mfsweep.data.survey.duplicates import Pairs, conflicts, duplicates, told
from mfsweep.data.units import ANI_UNITS, ASE_UNITS, Units
from mfsweep.data.view import DataView
from mfsweep.errors import DataError
from mfsweep.fingerprint import fingerprint
from mfsweep.quantities import count
from mfsweep.spec.data import LabelKeys

SAMPLE = 2_000
"""Structures by which the labels of a method are judged, at most."""

Flags = NDArray[np.bool_]
Indices = NDArray[np.int64]


def judge_labels(view: DataView, method: str, untested: Flags) -> list[str]:
    """Refuse labels that cannot be what they were taken for; they are looked at once.

    Args:
        view: the structures.
        method: label method of the source.
        untested: (S,) structures whose labels may be looked at.

    Returns:
        What is wrong with labels that the user has vouched for, and what may be wrong.

    Raises:
        DataError: nobody has.
    """
    key = (method, hashlib.sha256(untested.data).digest())
    if key not in view.judged_labels:
        view.judged_labels[key] = list(_wrong_labels(view, method, untested))
    return view.judged_labels[key]


def _wrong_labels(view: DataView, method: str, untested: Flags) -> Iterator[str]:
    origin = _Origin(view, method)
    found = sample_of(view.structures, method, untested, SAMPLE).findings(
        {method: origin.units}, [method] if origin.is_dataset else ()
    )
    for own in found:
        text = f"{origin.path}: {own.text}"
        if own.refused and origin.trusted:
            yield f"{text}. They were imported with --trust-units: make sure that they are right"
        elif own.refused:
            raise DataError(f"{text}. {origin.advice({method: own.mend} if own.mend else {})}")
        elif not origin.trusted:
            yield text


def judge_structures(view: DataView, used: Flags, methods: Mapping[str, Flags], memory: Remembered) -> None:
    """Refuse structures that cannot be.

    Args:
        view: the structures.
        used: (S,) those that any stage uses.
        methods: label method -> (S,) those on which a stage trains with it.
        memory: of structures that have passed before.

    Raises:
        DataError: with the first of them.
    """
    files = view.all_datasets()
    if files and all(dataset.provenance(path).get("judged", 0) >= JUDGED for path in files):
        return
    for method, own in ({"": used} | dict(methods)).items():
        seen = view.judged.setdefault(method, np.zeros(len(own), np.bool_))
        news = np.flatnonzero(own & ~seen)
        if len(news):
            memory.once(_key(view, "sound", method, news), lambda method=method, news=news: _refuse(view, method, news))
        seen |= own


def _refuse(view: DataView, method: str, members: Indices) -> bool:
    """Refuse the first structure with a flaw; return True where there is none."""
    for flaw, bad in flaws_of(view.structures, members, [method] if method else []):
        first = view.structures.describe(int(bad[0]))
        more = f" (and {count(len(bad) - 1, 'more structure')} with flaws)" if len(bad) > 1 else ""
        origin = _Origin(view, flaw.method or next(iter(view.data.labels)))
        mend = Mend(drop_bad=True)
        if flaw.method and len(bad) == len(members):
            mend = Mend(energies_alone=True)
        raise DataError(f"{view.place}: {first}: {flaw.what}{more}. {origin.advice({flaw.method or '': mend})}")
    return True


def conflicting(view: DataView, method: str, members: Indices, memory: Remembered) -> list[str]:
    """Return how the energies differ of structures that are trained on and are the same, in a sentence or none.

    Args:
        view: the structures.
        method: label method of the source.
        members: (n,) those on which a stage trains with it.
        memory: of what was found before.
    """

    def look() -> list[str]:
        structures = view.structures._replace(labels={method: view.structures.labels[method]})
        copies = duplicates(view.hashes[members])
        pairs = Pairs(members[copies.first], members[copies.other])
        return [f"{view.place}: {text}" for text in told(structures, conflicts(structures, pairs))]

    return memory.once(_key(view, "conflicting", method, members), look)


def _key(view: DataView, what: str, method: str, members: Indices) -> str:
    """Return what a judgement of some structures is remembered by."""
    data = view.data
    keys = data.labels[method].identity() if method else None
    chosen = hashlib.sha256(np.ascontiguousarray(members).data).hexdigest()
    content = (data.contents or {}).get(method)
    return fingerprint([what, JUDGED, data.digest, content, method, keys, chosen])


class _Origin:
    """Where the labels of a method come from, and how they would be imported."""

    def __init__(self, view: DataView, method: str) -> None:
        labels = view.data.labels
        source = labels[method].source
        self.is_dataset = bool(view.datasets(method))
        self.path = view.paths[source] if source is not None else next(iter(view.paths.values()))
        provenance = dataset.provenance(self.path) if self.is_dataset else {}
        self.trusted = bool(provenance.get("units_trusted"))
        self._first_use = bool(provenance.get("first_use"))
        made_of = [own for own in provenance.get("sources", []) if method in own.get("labels", {})]
        self.units = Units(**made_of[0]["units"]) if made_of else ASE_UNITS if self.is_dataset else ANI_UNITS
        self._files: list[str | Path] = [own["file"] for own in made_of] if self.is_dataset else [self.path]
        keys = made_of[0]["labels"] if made_of else {}
        here = {name: own for name, own in labels.items() if own.source in (None, source)}
        self._labels = {name: LabelKeys(**own) for name, own in keys.items()} if self.is_dataset else here

    def advice(self, mends: Mapping[str, Mend]) -> str:
        """Return what to do with labels that would pass so; with nothing, what to look at."""
        if not mends or not self._files:
            again = "import it again with the --unit of its file, or" if self.is_dataset else "import it"
            return (
                f"Look at what wrote the file: {again} with --trust-units if it is right (mfsweep data import --help)"
            )
        # What was made of a source on first use is no file of the user's.
        name = self.path.with_name(f"{self.path.stem}-dataset.h5")
        target = self.path if self.is_dataset and not self._first_use else Path(name.name) if self.is_dataset else name
        units = dict.fromkeys(self._labels, self.units)
        stated = {} if self.units in (ANI_UNITS, ASE_UNITS) else self.units._asdict()
        rules = Rules(labels=self._labels, units=stated).mended(mends, self._labels)
        command = rules.command(self._files, target, overwrite=self.is_dataset and not self._first_use)
        return f"{passing(mends, units)}: {command} (it prints the `data:` block that takes them)"
