"""What a trained stage is said to have measured: what its record holds, and the evaluations that a spec asks for."""

from __future__ import annotations

from collections.abc import Mapping

from mfsweep.plan.graph import Node
from mfsweep.quantities import Quantity, best_path
from mfsweep.store import StoreFolder


def final_metrics(store: StoreFolder, node: Node) -> Mapping[str, float]:
    """Return a stage's validation metrics and those of the evaluations that this spec asks for, by name.

    A stage whose record was deleted has none, though its descendants may still have theirs.
    """
    folder = store.stage(node.key)
    record = folder.record()
    if record is None:
        return {}
    best = {best_path(path): value for path, value in record.own_best.items()}
    return {**record.metrics, **best, **_scores(store, node)}


def in_words(store: StoreFolder, node: Node) -> str:
    """Return a stage's energy errors for a person, `step 460, validation dft 75.6, test cc 91.2 meV/atom`.

    The step is that of the selected checkpoint, of which the errors are but for those that ask for another.
    """
    record = store.stage(node.key).record()
    if record is None:
        return ""
    ending = f".{Quantity.ENERGY_MAE}"
    null = _scores(store, node, offsets_only=True)
    errors = [
        f"{path.removesuffix(ending).replace('.', ' ')} {value:.1f}" + _beside(value, null.get(path))
        for path, value in {**record.metrics, **_scores(store, node)}.items()
        if path.endswith(ending)
    ]
    return f"step {record.selected.step:,}, {', '.join(errors)} {Quantity.ENERGY_MAE.unit}"


def _beside(error: float, offsets_only: float | None) -> str:
    """Return what is said of an error that energy offsets alone beat."""
    worse = offsets_only is not None and error > offsets_only
    return f" (above the {offsets_only:.1f} of energy offsets alone)" if worse else ""


def _scores(store: StoreFolder, node: Node, *, offsets_only: bool = False) -> dict[str, float]:
    """Return what this spec's evaluations of a stage measured, or what energy offsets alone give for them."""
    folder = store.stage(node.key)
    return {
        f"{evaluation.name}.{quantity}": value
        for evaluation in node.evaluations
        if (made := folder.evaluation(evaluation.identity()))
        for quantity, value in (made.offsets_only if offsets_only else made.metrics).items()
    }
