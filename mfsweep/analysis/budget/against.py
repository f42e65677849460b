"""An earlier decision, as `mfsweep budget --json` wrote it, held against the cells that are there now."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from mfsweep.analysis.budget.decide import Decision
from mfsweep.analysis.measured_cells import Way
from mfsweep.errors import FitError, nearest

_NUMBERS = ("n_pre", "n_ft", "error")


class EarlierDecision(NamedTuple):
    """What was recommended with fewer cells, and what it is worth by those that are there now."""

    origin: str
    """Name of its file."""
    way: Way
    n_pre: int
    n_ft: int
    predicted: float
    """Error that was predicted then."""
    error: float
    """That is predicted now; in the unit of the metric, as the other."""
    loss: float
    """It over the error of what is recommended now, less 1."""

    def as_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return self._asdict() | {"way": self.way._asdict()}


def read(path: Path) -> Mapping[str, Any]:
    """Return what `mfsweep budget --json` has written into a file.

    Raises:
        FitError: there is no such file, or it is none.
    """
    expected = "what `mfsweep budget SPEC --json` prints"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FitError(f"--against {path}: {error.strerror}; expected a file with {expected}") from error
    except ValueError as error:
        raise FitError(f"--against {path}: expected {expected}, got no JSON ({error})") from error
    design = found.get("recommended") if isinstance(found, dict) else None
    way = design.get("way") if isinstance(design, dict) else None
    whole = isinstance(way, dict) and all(isinstance(way.get(name), str) for name in Way._fields)
    if not whole or not all(isinstance(design.get(name), int | float) for name in _NUMBERS):
        raise FitError(f"--against {path}: expected {expected}, got JSON without its `recommended`")
    return {"origin": path.name, **found}


def earlier(decision: Decision, found: Mapping[str, Any]) -> EarlierDecision:
    """Return an earlier decision beside the one now.

    Args:
        decision: by the cells that are there now.
        found: of `read`.

    Raises:
        FitError: it is of another error, budget or unit, or recommends what no cell tells of.
    """
    now = {"metric": str(decision.measured.path), "unit": decision.prices.unit, "budget": decision.budget}
    for name, value in now.items():
        same = math.isclose(found.get(name, 0), value) if name == "budget" else found.get(name) == value
        if not same:
            raise FitError(
                f"--against {found['origin']}: its {name} is {found.get(name)}, and here it is {value}: expected a "
                "decision on the same"
            )
    design = found["recommended"]
    way = Way(design["way"]["strategy"], design["way"]["method"])
    model = decision.catalogue.model
    if way not in model.terms:
        known = list(map(str, model.terms))
        raise FitError(
            f"--against {found['origin']}: it recommends {way}, of which no cell is trained here; there are "
            f"{'; '.join(known)}.{nearest(str(way), known)}"
        )
    n_pre, n_ft = int(design["n_pre"]), int(design["n_ft"])
    error = math.exp(model.predict(n_pre, n_ft, way.method, way.strategy).mean[0])
    loss = error / decision.best.error - 1
    return EarlierDecision(found["origin"], way, n_pre, n_ft, float(design["error"]), error, loss)
