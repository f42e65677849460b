"""Tables of measured seconds per batch: where they are read, and where `mfsweep bench` keeps its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from mfsweep.errors import SpecError
from mfsweep.files import near, set_aside, write_text
from mfsweep.models.registry import SMALL
from mfsweep.plan.cost import OWN, Costs, MeasuredSeconds, latest
from mfsweep.spec.load import dotted, shown
from mfsweep.spec.wording import problems
from mfsweep.spec.yaml12 import YamlError, line_of, parse
from mfsweep.store import StoreFolder

_ROWS = TypeAdapter(list[MeasuredSeconds])


def read(path: Path) -> list[MeasuredSeconds]:
    """Return the rows of a cost file: JSON or YAML, a list of what `mfsweep bench` writes.

    Raises:
        SpecError: it cannot be read or is no such list.
    """
    try:
        read = parse(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: expected a list of measured seconds, in YAML or JSON: {error}") from error
    except YamlError as error:
        first = error.problems[0]
        raise SpecError(f"{path}:{first.line}: expected a list of measured seconds, not YAML: {first.text}") from error
    try:
        return _ROWS.validate_python(read.tree)
    except ValidationError as error:
        first = problems(error.errors(), list[MeasuredSeconds], read.tree)[0]
        place = dotted(first.place) or "the top level"
        raise SpecError(
            f"{path}:{line_of(read.root, first.place)}: {place}: got {shown(first.got)}, expected {first.expected}; "
            "rows are as mfsweep bench writes them, for example "
            f"{{device: NVIDIA H100, model: {SMALL.model}, forces: true, seconds: 0.05}}"
        ) from error


def keep(store: StoreFolder, rows: Sequence[MeasuredSeconds]) -> None:
    """Write measured rows into the store; those of the same work on the same device go."""
    try:
        known = read(store.costs) if store.costs.exists() else []
    except SpecError:  # seconds that were just measured are not lost to a damaged file
        set_aside(store.costs)
        known = []
    new = {(row.device, row.work) for row in rows}
    left = [row for row in known if (row.device, row.work) not in new]
    write_text(store.costs, json.dumps(_ROWS.dump_python([*left, *rows], mode="json"), indent=1))


def tables(store: StoreFolder, costs: Path | None, device: str | None) -> list[Costs]:
    """Return the tables of seconds to reckon with: the one that is given, the store's, and ours.

    Raises:
        SpecError: a file that is none.
    """
    given = [costs] if costs else []
    kept = [store.costs] if store.costs.exists() else []
    return [*(Costs(str(near(path)), latest(read(path), device)) for path in (*given, *kept)), OWN]
