"""An earlier decision, as `mfsweep budget --json` wrote it, held against the cells that are there now."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

from mfsweep.analysis.budget.decide import Decision
from mfsweep.analysis.measured_cells import Way
from mfsweep.errors import FitError, nearest


class _Design(BaseModel):
    way: Way
    n_pre: int
    n_ft: int
    error: float


class WrittenDecision(BaseModel):
    """What `mfsweep budget --json` writes, as far as it is read again."""

    metric: str
    unit: str
    budget: float
    recommended: _Design
    origin: str = ""
    """Name of its file."""


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


def read(path: Path) -> WrittenDecision:
    """Return what `mfsweep budget --json` has written into a file.

    Raises:
        FitError: there is no such file, or it is none.
    """
    expected = "what `mfsweep budget SPEC --json` prints"
    try:
        found = WrittenDecision.model_validate_json(path.read_bytes())
    except OSError as error:
        raise FitError(f"--against {path}: {error.strerror}; expected a file with {expected}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"])) or "the file"
        raise FitError(f"--against {path}: expected {expected}; {place}: {first['msg']}") from error
    return found.model_copy(update={"origin": path.name})


def earlier(decision: Decision, found: WrittenDecision) -> EarlierDecision:
    """Return an earlier decision beside the one now.

    Args:
        decision: by the cells that are there now.
        found: of `read`.

    Raises:
        FitError: it is of another error, budget or unit, or recommends what no cell tells of.
    """
    both: dict[str, tuple[object, object]] = {
        "metric": (found.metric, str(decision.measured.path)),
        "unit": (found.unit, decision.prices.unit),
        "budget": (found.budget, decision.budget),
    }
    for name, (then, now) in both.items():
        if then != now:
            raise FitError(
                f"--against {found.origin}: its {name} is {then}, and here it is {now}: expected a decision on the same"
            )
    design, model = found.recommended, decision.catalogue.model
    way = design.way
    if way not in model.terms:
        known = list(map(str, model.terms))
        raise FitError(
            f"--against {found.origin}: it recommends {way}, of which no cell is trained here; there are "
            f"{'; '.join(known)}.{nearest(str(way), known)}"
        )
    error = math.exp(model.predict(design.n_pre, design.n_ft, way.method, way.strategy).mean[0])
    loss = error / decision.best.error - 1
    return EarlierDecision(found.origin, way, design.n_pre, design.n_ft, design.error, error, loss)
