"""The judge of data (data/judging) at the door of a spec: its sources are judged before anything trains.

A source is judged as `mfsweep data import` judges files, in the same words: labels by method on a sample of SAMPLE
structures spread over the source, but for those that a test is scored on; the structures that stages use one by one,
each once. A data store has been judged when it was made; of one that is older than what is looked for now, the
structures are looked at here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from mfsweep.data import csr
from mfsweep.data.dataset import Dataset
from mfsweep.data.importing import JUDGED
from mfsweep.data.importing.refusal import passing
from mfsweep.data.importing.rules import Rules
from mfsweep.data.judging import Mend, flaws_of, sample_of
from mfsweep.data.units import ANI_UNITS, ASE_UNITS, Units
from mfsweep.errors import DataError
from mfsweep.quantities import count
from mfsweep.spec.data import LabelKeys

SAMPLE = 2_000
"""Structures by which the labels of a method are judged, at most."""

Flags = NDArray[np.bool_]


def judge_labels(dataset: Dataset, method: str, untested: Flags) -> Iterator[str]:
    """Refuse labels that cannot be what they were taken for.

    Args:
        dataset: the structures.
        method: label method of the source.
        untested: (S,) structures whose labels may be looked at.

    Yields:
        What is wrong with labels that the user has vouched for, and what may be wrong.

    Raises:
        DataError: nobody has.
    """
    origin = _Origin(dataset, method)
    found = sample_of(dataset.structures, method, untested, SAMPLE).findings(
        {method: origin.units}, [method] if origin.store else ()
    )
    for own in found:
        text = f"{origin.path}: {own.text}"
        if own.refused and origin.trusted:
            yield f"{text}. They were imported with --trust-units: is it so?"
        elif own.refused:
            raise DataError(f"{text}. {origin.advice({method: own.mend} if own.mend else {})}")
        elif not origin.trusted:
            yield text


def judge_structures(dataset: Dataset, used: Flags, methods: Mapping[str, Flags]) -> None:
    """Refuse structures that cannot be.

    Args:
        dataset: the structures.
        used: (S,) those that any stage uses.
        methods: label method -> (S,) those on which a stage trains with it.

    Raises:
        DataError: with the first of them.
    """
    stores = dataset.all_stores()
    if stores and all(csr.provenance(path).get("judged", 0) >= JUDGED for path in stores):
        return
    for method, own in ({"": used} | dict(methods)).items():
        seen = dataset.judged.setdefault(method, np.zeros(len(own), np.bool_))
        news = np.flatnonzero(own & ~seen)
        for flaw, bad in flaws_of(dataset.structures, news, [method] if method else []):
            first = dataset.structures.describe(int(bad[0]))
            more = f" (and {count(len(bad) - 1, 'more structure')} with flaws)" if len(bad) > 1 else ""
            origin = _Origin(dataset, flaw.method or next(iter(dataset.data.labels)))
            mend = Mend(drop_bad=True)
            if flaw.method and len(bad) == len(news):
                mend = Mend(energies_alone=True)
            raise DataError(f"{dataset.place}: {first}: {flaw.what}{more}. {origin.advice({flaw.method or '': mend})}")
        seen |= own


class _Origin:
    """Where the labels of a method come from, and how they would be imported."""

    def __init__(self, dataset: Dataset, method: str) -> None:
        labels = dataset.data.labels
        source = labels[method].source
        self.store = bool(dataset.stores(method))
        self.path = dataset.paths[source] if source is not None else next(iter(dataset.paths.values()))
        provenance = csr.provenance(self.path) if self.store else {}
        self.trusted = bool(provenance.get("units_trusted"))
        made_of = [own for own in provenance.get("sources", []) if method in own.get("labels", {})]
        self.units = Units(**made_of[0]["units"]) if made_of else ASE_UNITS if self.store else ANI_UNITS
        self._files: list[str | Path] = [own["file"] for own in made_of] if self.store else [self.path]
        keys = made_of[0]["labels"] if made_of else {}
        here = {name: own for name, own in labels.items() if own.source in (None, source)}
        self._labels = {name: LabelKeys(**own) for name, own in keys.items()} if self.store else here

    def advice(self, mends: Mapping[str, Mend]) -> str:
        """Return what to do with labels that would pass so; with nothing, what to look at."""
        if not mends or not self._files:
            again = "import it again with the --unit of its file, or" if self.store else "import it"
            return (
                f"Look at what wrote the file: {again} with --trust-units if it is right (mfsweep data import --help)"
            )
        target = self.path if self.store else self.path.with_name(f"{self.path.stem}-store.h5")
        units = dict.fromkeys(self._labels, self.units)
        stated = {} if self.units in (ANI_UNITS, ASE_UNITS) else self.units._asdict()
        rules = Rules(labels=self._labels, units=stated).mended(mends, self._labels)
        command = rules.command(self._files, target, overwrite=self.store)
        return f"{passing(mends, units)}: {command} (it prints the `data:` block that takes them)"
