"""What MLflow is told of a stage: its whole lineage, so that each run can be filtered and plotted by itself."""

from __future__ import annotations

from typing import Any

from mfsweep.plan.graph import Graph
from mfsweep.quantities import BEST
from mfsweep.run.kept import final_metrics, in_words
from mfsweep.run.progress import describe
from mfsweep.run.tracking import TrackedStage, Tracker, Untracked
from mfsweep.store import Store

KEPT = "kept/"
"""Begins the names of what a stage kept where a curve has the plain name."""


class Mirror:
    """Brings the stages of one sweep into its tracker."""

    def __init__(self, tracker: Tracker | Untracked, graph: Graph, store: Store) -> None:
        self._tracker = tracker
        self._graph = graph
        self._store = store

    def grow(self, graph: Graph) -> None:
        """Take the graph that a search has grown."""
        self._graph = graph

    def kept(self, key: str) -> str:
        """Return what a stage that is done has kept, in words."""
        return in_words(self._store, self._graph.nodes[key])

    def begin(self, key: str) -> None:
        """Show a stage, and follow its metrics."""
        node = self._graph.nodes[key]
        tags = {"stage": node.name, "label_methods": ",".join(node.training.methods)}
        self._tracker.add(
            TrackedStage(
                key=key,
                name=describe(node),
                metrics=self._store.stage(key).metrics,
                params=_lineage_params(self._graph, key),
                tags=tags | {axis: str(value) for axis, value in node.values.items()},
            )
        )

    def end(self, key: str, *, failed: bool) -> None:
        """Show how a stage ended, with its final metrics and files."""
        folder = self._store.stage(key)
        if failed:
            self._tracker.finish(key, "FAILED", {}, [folder.log])
            return
        evaluations = [folder.evaluation_paths(e.identity())[0] for e in self._graph.nodes[key].evaluations]
        metrics = _lineage_metrics(self._graph, self._store, key)
        self._tracker.finish(key, "FINISHED", metrics, [folder.record_path, *evaluations])


def _lineage_params(graph: Graph, key: str) -> dict[str, Any]:
    """Return a stage's axis values, seeds and model, and the recipe and sizes of itself and its ancestors."""
    lineage = graph.lineage(key)
    training = lineage[-1].training
    params: dict[str, Any] = {
        "stage": lineage[-1].name,
        "seed": training.seed,
        "split_seed": training.data.splits.seed,
        "precision": training.precision,
        **{f"model.{name}": value for name, value in training.model.identity().items()},
        **lineage[-1].values,
    }
    for node in lineage:
        recipe = node.training.recipe
        params |= {
            f"{node.name}.key": node.key,
            f"{node.name}.learning_rate": recipe.learning_rate,
            f"{node.name}.max_steps": recipe.max_steps,
            f"{node.name}.select_on": recipe.select_on,
        }
        for labelled in node.training.sets:
            place = f"{node.name}.{labelled.labels}.{labelled.subset}"
            params |= {f"{place}.size": labelled.extent, f"{place}.probability": labelled.probability}
    return params


def _lineage_metrics(graph: Graph, store: Store, key: str) -> dict[str, float]:
    """Return a stage's final metrics and, under their names, its ancestors': one run can be plotted against them.

    The stage's own validation has a curve on this run, which ends with the last validation. What the record has, of the
    checkpoint that was kept, is a number of its own beside it: `kept/validation.dft.energy_mae`.
    MLflow knows no @ in a name, and has a colon there: `test.cc:dft.energy_mae`.
    """
    metrics: dict[str, float] = {}
    for node in graph.lineage(key):
        own = node.key == key
        several = len(node.training.head_names) > 1
        for path, value in final_metrics(store, node).items():
            if f"@{BEST}." in path and path.startswith("validation.") and not several:
                continue  # of an only head the best checkpoint is the selected one
            curve = own and path.startswith("validation.")
            name = f"{KEPT}{path}" if curve else path if own else f"{node.name}.{path}"
            metrics[name.replace("@", ":")] = value
    record = store.stage(key).record()
    return metrics | ({f"{KEPT}step": float(record.selected.step)} if record else {})
