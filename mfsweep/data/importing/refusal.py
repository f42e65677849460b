"""What of an import is refused, in one sentence with the command that would take it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from mfsweep.data.importing.parts import Filter, ImportSource
from mfsweep.data.importing.places import FilePlace
from mfsweep.data.importing.rules import Rules
from mfsweep.data.judging import LabelFinding, Mend, StructureSample
from mfsweep.data.units import Units
from mfsweep.errors import DataError
from mfsweep.quantities import count


class Verdicts:
    """Collects what is wrong with the files of one import."""

    def __init__(
        self,
        rules: Rules,
        sources: Sequence[FilePlace],
        target: Path,
        opened: Sequence[ImportSource],
        *,
        overwrite: bool,
    ) -> None:
        self._rules, self._sources, self._target, self._opened = rules, sources, target, opened
        self._overwrite = overwrite
        self._refused: dict[FilePlace, list[LabelFinding]] = {}

    def warnings(self, path: FilePlace, source: ImportSource, sample: StructureSample) -> list[str]:
        """Judge the labels of one file; return what is only warned of."""
        if self._rules.trust_units:
            return []
        units = {method: self._rules.units_of(method, source.units) for method in source.labels}
        found: list[str] = []
        for own in sample.findings(units, self._rules.stated(units)):
            if own.refused:
                self._refused.setdefault(path, []).append(own)
            else:
                mends = {own.method: own.mend} if own.mend else {}
                found.append(f"{path}: {own.text}{self._advice(mends, overwrite=True) if mends else ''}")
        return found

    def require_accepted(self, passes: Filter) -> None:
        """Refuse the import for structures or labels that cannot be.

        Raises:
            DataError: with the command that takes the files, where there is one.
        """
        rules, findings = self._rules, [own for found in self._refused.values() for own in found]
        flawed = bool(passes.dropped) and (not rules.drop_bad or any(passes.mends))
        if not findings and not flawed:
            return
        said = [f"{path}: {own.text}" for path, found in self._refused.items() for own in found]
        mends = {own.method: own.mend for own in findings if own.mend is not None}
        if flawed:
            more = sum(passes.dropped.values()) - 1
            said.insert(0, passes.examples[0] + (f" (and {count(more, 'more structure')} with flaws)" if more else ""))
            for method, own in passes.mends.items():
                before = mends.get(method, Mend())
                alone, drop = own.energies_alone or before.energies_alone, own.drop_bad or before.drop_bad
                mends[method] = before._replace(energies_alone=alone, drop_bad=drop)
        text = ". Also: ".join(said)
        judged = bool(findings) or any(passes.mends)
        if any(own.mend is None for own in findings):
            raise DataError(f"{text}. Nothing common mends it: look at what wrote the file, or say --trust-units")
        text += self._advice(mends, overwrite=self._overwrite)
        raise DataError(text + (". If they are right as they are, say --trust-units" if judged else ""))

    def _advice(self, mends: Mapping[str, Mend], *, overwrite: bool) -> str:
        """Return how labels would pass, and the line that takes them so."""
        sources, opened, target = self._sources, self._opened, self._target
        if self._refused and set(self._refused) != set(sources):  # options hold for all files of a command
            place = next(place for place, path in enumerate(sources) if path in self._refused)
            sources, opened = [sources[place]], [opened[place]]
            target = target.with_name(f"{sources[0].path.name.partition('.')[0]}-{target.name}")
        taken = {method: keys for source in opened for method, keys in source.labels.items()}
        units = {method: self._rules.units_of(method, opened[0].units) for method in taken}
        command = self._rules.mended(mends, taken).command([str(own) for own in sources], target, overwrite=overwrite)
        return f". {passing(mends, units)}: {command}"


def passing(mends: Mapping[str, Mend], units: Mapping[str, Units]) -> str:
    """Return the beginning of a sentence that ends with the command which takes labels right.

    Args:
        mends: label method -> how its labels would pass.
        units: label method -> the units that they were taken for.
    """
    told = [own.text(units[method]) for method, own in mends.items() if method in units]
    if told := list(dict.fromkeys(filter(None, told))):
        return f"As {' or '.join(told)} they would fit"
    return (
        "Energies alone come in with"
        if any(own.energies_alone for own in mends.values())
        else "The others come in with"
    )
