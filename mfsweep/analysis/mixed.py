"""Which stages and scores of one study were made with other software, or on other hardware, than the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mfsweep.analysis.records import Records
from mfsweep.records import CellRecord, EvaluationRecord, Machine, Record

NO_NUMBERS = frozenset({"ray"})
"""Packages on whose version no number depends."""
OF_ONE_ARCHITECTURE = frozenset({"e3nn"})
"""Packages of which each architecture has a version of its own."""
_NAMED = 3
"""Stages that a sentence names of each value."""


@dataclass(frozen=True, slots=True)
class Mixed:
    """Something that is not the same for all."""

    what: str
    is_version: bool
    made: Mapping[str, Sequence[str]]
    """Value -> what was made with it: `<stage> <key>`, of a score with its name; the commonest value first."""

    @property
    def sentence(self) -> str:
        """Return how it differs, and in which stages."""
        (common, most), *others = self.made.items()
        told: list[str] = []
        for value, made in others:
            more = f" and {len(made) - _NAMED} more" if len(made) > _NAMED else ""
            told.append(f"{value} for {', '.join(made[:_NAMED])}{more}")
        return f"{self.what} differs: {'; '.join(told)}; {common} for the other {len(most)}"


def mixed(records: Records, cells: Sequence[CellRecord]) -> list[Mixed]:
    """Return what differs between the trained stages of some cells, and between their scores.

    What an older record does not tell is left out.
    """
    made: dict[tuple[str, bool, str], dict[str, list[str]]] = {}
    for key, name in {key: name for cell in cells for name, key in cell.stages.items()}.items():
        stage = records.stage(key)
        if stage is None:
            continue
        architecture = str(stage.record.training["model"]["architecture"])
        for label, own in ((f"{name} {key}", stage.record), *_scores(f"{name} {key}", stage.evaluations)):
            for what, is_version, value in _facts(own):
                within = architecture if what in OF_ONE_ARCHITECTURE else ""
                made.setdefault((what, is_version, within), {}).setdefault(value, []).append(label)
    return [
        Mixed(
            what + (f" ({within})" if within else ""),
            is_version,
            dict(sorted(values.items(), key=lambda item: -len(item[1]))),
        )
        for (what, is_version, within), values in made.items()
        if len(values) > 1
    ]


def _scores(label: str, evaluations: Sequence[EvaluationRecord]) -> Iterator[tuple[str, EvaluationRecord]]:
    for one in evaluations:
        yield f"{label} ({one.name})", one


def _facts(own: Record | EvaluationRecord) -> Iterator[tuple[str, bool, str]]:
    """Yield what, whether it is a version, and its value."""
    for package, version in own.versions.items():
        if package not in NO_NUMBERS:
            yield package, True, version
    machines: list[Machine] = own.machines if isinstance(own, Record) else [own.machine] if own.machine else []
    if machines:
        for what, field in (("device", "device"), ("model", "name"), ("driver", "driver"), ("CUDA", "cuda")):
            yield what, False, _joined(machines, field)
        yield "threads", False, _joined(machines, "threads")


def _joined(machines: Sequence[Machine], field: str) -> str:
    values: set[Any] = {getattr(one, field) for one in machines}
    return " and ".join(sorted("none" if value is None else str(value) for value in values))
