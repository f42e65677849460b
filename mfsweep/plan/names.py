"""Names that a spec must declare, and what is known of them."""

from __future__ import annotations

from mfsweep.errors import nearest
from mfsweep.plan.expand import LiveStage
from mfsweep.spec.load import FieldPath, Spec


def known_method(spec: Spec, method: str, place: FieldPath, subset: str | None = None) -> None:
    """Refuse a label method that `data.labels` does not declare; the nearest that `subset` carries is named."""
    labels = list(spec.experiment.data.labels)
    if method in labels:
        return
    declared = spec.experiment.data.splits.subsets().get(subset) if subset else None  # pyright: ignore[reportArgumentType] (another text is in no dictionary)
    needs = declared.needs if declared else None
    known = labels if needs is None else [name for name in labels if name in needs]
    where = "" if known == labels else f" that {subset!r} carries (data.splits.{subset}.needs)"
    expected = f"a label method of data.labels{where}: {', '.join(known) or 'none'}.{nearest(method, known)}"
    raise spec.document.error(place, method, expected)


def known_subset(spec: Spec, subset: str, place: FieldPath) -> None:
    """Refuse a subset that `data.splits` does not declare."""
    declared = spec.experiment.data.splits.subsets()
    if subset not in declared:
        raise spec.document.error(place, subset, f"a subset of data.splits: {', '.join(declared)}")


def has_forces(spec: Spec, live: LiveStage, method: str) -> bool:
    """Return whether a label method of a stage, derived or not, has forces."""
    labels = spec.experiment.data.labels
    return all(labels[part].forces is not None for part in live.mixture.parts(method))
