"""Which form of the error model predicts best: each way's largest size is hidden, and predicted from the others.

What is asked of the model is larger sizes, so that is what it is tested on. Straight lines are compared too, though
the model that is taken always allows for a gain that is used up (saturation.py): where the cells show a straight line,
it is one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mfsweep.analysis.error_model import FORMS, ErrorModel, fit
from mfsweep.analysis.measured_cells import MeasuredCells, Way
from mfsweep.analysis.saturation import saturating
from mfsweep.errors import FitError

DEFAULT = "product"
"""The form where no size can be hidden."""
SIZES = ("n_ft", "n_pre")
SURE = 0.9
"""Weight of the scales within the trained sizes from which on they are said to be seen."""
STRAIGHT = ", straight"
"""Ends the name of a form without saturation."""


class HiddenSetting(NamedTuple):
    """One setting that was hidden, and how far off its prediction was."""

    way: Way
    size: str
    """Which size was hidden, n_ft or n_pre."""
    largest: float
    """The hidden size."""
    step: float
    """How many times the largest that was left."""
    off: float
    """Log of predicted over measured error, of the geometric means over replicates."""


class FormScore(NamedTuple):
    """One form."""

    form: str
    """One of FORMS, or of its straight lines."""
    hidden: tuple[HiddenSetting, ...]

    @property
    def error(self) -> float:
        """Return the root mean square of `off`; not a number where nothing could be hidden."""
        return math.sqrt(sum(one.off**2 for one in self.hidden) / len(self.hidden)) if self.hidden else math.nan


class ChosenForm(NamedTuple):
    """The form that was taken, fitted on all cells."""

    model: ErrorModel
    scores: tuple[FormScore, ...]
    """Every form that could be fitted: straight ones first, each the plainest first."""

    @property
    def sentences(self) -> list[str]:
        """Return how the form was chosen, and whether the gain by auxiliary labels is seen to be used up."""
        hidden = len(self.scores[0].hidden)
        if hidden:
            told = "; ".join(f"{one.form} {math.expm1(one.error):.0%}" for one in self.scores)
            said = f"by the {hidden} settings of the largest sizes, hidden and predicted (typical errors: {told})"
        else:
            said = "without a comparison: hiding the largest size takes three sizes"
        return [f"Model {self.model.form!r}, chosen {said}.", *self._used_up()]

    def _used_up(self) -> Iterator[str]:
        for way, known in self.model.alternatives.items():
            largest = float(self.model.cells.n_pre[self.model.cells.members[way]].max())
            seen = [one for one in known if one.scale <= largest]
            share = sum(one.weight for one in seen)
            if share > SURE:
                typical = math.exp(sum(one.weight * math.log(one.scale) for one in seen) / share)
                yield f"{way}: more labels gain less and less from about {typical:,.0f} on."
            elif share < 1 - SURE:
                yield f"{way}: within the trained sizes more labels gain as before."
            else:
                yield f"{way}: whether more labels gain less and less cannot be told here; both are averaged over."


def choose(cells: MeasuredCells) -> ChosenForm:
    """Return the form with the least error of hidden sizes; a plainer one where it is not told from that.

    Raises:
        FitError: not even the plainest form can be fitted.
    """
    scores = compare(cells)
    bent = [one for one in scores if not one.form.endswith(STRAIGHT)]
    if not bent[0].hidden:
        form = DEFAULT if any(one.form == DEFAULT for one in bent) else bent[0].form
        return ChosenForm(saturating(cells, form), tuple(scores))
    best = min(bent, key=lambda one: one.error)
    form = next(one.form for one in bent if one is best or not _told_from(one, best))
    return ChosenForm(saturating(cells, form), tuple(scores))


def compare(cells: MeasuredCells) -> list[FormScore]:
    """Return how each form predicts the largest size of each way from the others.

    Raises:
        FitError: not even the plainest form can be fitted.
    """
    fit(cells, next(iter(FORMS)))
    forms = [form for form in FORMS if _fitted(cells, form)]
    straight, bent = ({form: list[HiddenSetting]() for form in forms} for _ in range(2))
    for part in _parts(cells):
        kept = cells.only(~part.members)
        models = {form: model for form in forms if (model := _fitted(kept, form))}
        if len(models) < len(forms):
            continue
        for form, model in models.items():
            straight[form] += _off(cells, part, model)
            bent[form] += _off(cells, part, saturating(kept, form, [part.way], model))
    lines = [FormScore(f"{form}{STRAIGHT}", tuple(straight[form])) for form in forms]
    return lines + [FormScore(form, tuple(bent[form])) for form in forms]


def _told_from(plainer: FormScore, best: FormScore) -> bool:
    """Return whether one form's squared errors are greater by more than the standard error of their difference."""
    worse = np.array([one.off**2 - other.off**2 for one, other in zip(plainer.hidden, best.hidden, strict=True)])
    return len(worse) > 1 and float(worse.mean()) > float(worse.std(ddof=1)) / math.sqrt(len(worse))


class _Part(NamedTuple):
    """The cells that are hidden at once."""

    way: Way
    size: int
    largest: float
    step: float
    members: NDArray[np.bool_]
    """(N,)."""


def _parts(cells: MeasuredCells) -> Iterator[_Part]:
    """Yield the cells of each way's largest size, of which three are needed: two are left to draw a line through."""
    for way, members in cells.members.items():
        seen: list[NDArray[np.bool_]] = []
        for place, sizes in enumerate((cells.n_ft, cells.n_pre)):
            known = np.unique(sizes[members])
            if len(known) < 3:
                continue
            hidden = np.zeros(len(sizes), dtype=bool)
            hidden[members] = sizes[members] == known[-1]
            if not any((hidden == other).all() for other in seen):  # both sizes grow together
                seen.append(hidden)
                yield _Part(way, place, float(known[-1]), float(known[-1] / known[-2]), hidden)


def _fitted(cells: MeasuredCells, form: str) -> ErrorModel | None:
    try:
        return fit(cells, form)
    except FitError:
        return None


def _off(cells: MeasuredCells, part: _Part, model: ErrorModel) -> Iterator[HiddenSetting]:
    settings: dict[tuple[float, float], list[int]] = {}
    for place in np.flatnonzero(part.members).tolist():
        settings.setdefault((float(cells.n_pre[place]), float(cells.n_ft[place])), []).append(place)
    for (n_pre, n_ft), places in settings.items():
        predicted = float(model.predict(n_pre, n_ft, part.way.method, part.way.strategy).mean[0])
        measured = float(np.log(cells.error[places]).mean())
        yield HiddenSetting(part.way, SIZES[part.size], part.largest, part.step, predicted - measured)
