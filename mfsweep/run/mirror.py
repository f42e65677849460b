"""What MLflow is told of a stage: its whole lineage, so that each run can be filtered and plotted by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from mfsweep.plan.graph import Node, StageGraph
from mfsweep.quantities import BEST
from mfsweep.records import CellRecord
from mfsweep.run.kept import final_metrics, in_words
from mfsweep.run.mlflow_names import STAGE, grouped
from mfsweep.run.progress import describe
from mfsweep.run.tracking import TrackedStage, Tracker, Untracked
from mfsweep.store import StoreFolder

KEPT = "kept/"
"""Begins the names of what a stage kept where a curve has the plain name."""
OFFSETS_ONLY = "offsets_only/"
"""Begins the names of the errors of the energy offsets alone, without a model."""


class Mirror:
    """Brings the stages of one sweep into its tracker."""

    def __init__(
        self,
        tracker: Tracker | Untracked,
        graph: StageGraph,
        store: StoreFolder,
        cells: Sequence[CellRecord] | None = None,
    ) -> None:
        """Mirror nothing yet.

        Args:
            tracker: is told.
            graph: the sweep's stages.
            store: has their records.
            cells: as they were recorded, of a graph that has none itself.
        """
        self._tracker = tracker
        self._graph = graph
        self._store = store
        self._cells = cells
        self._values: dict[str, dict[str, Any]] | None = None
        """Key of a result -> the axis values that its cells have in common."""
        self._splits = _splits(graph)

    def grow(self, graph: StageGraph) -> None:
        """Take the graph that a search has grown."""
        self._graph = graph
        self._values = None
        self._splits = _splits(graph)

    def kept(self, key: str) -> str:
        """Return what a stage that is done has kept, in words."""
        return in_words(self._store, self._graph.nodes[key])

    def begin(self, key: str) -> None:
        """Show a stage, and follow its metrics."""
        node = self._graph.nodes[key]
        tags = {
            "stage": node.name,
            "label_methods": ",".join(node.training.methods),
            "replicate": self._replicate(node),
        }
        self._tracker.add(
            TrackedStage(
                key=key,
                name=describe(node),
                metrics=self._store.stage(key).metrics,
                params=_lineage_params(self._graph, key) | self._of_cells(key),
                tags=tags | {axis: str(value) for axis, value in node.values.items()},
            )
        )

    def end(self, key: str, *, failed: bool, pruned: bool = False) -> None:
        """Show how a stage ended, with its final metrics and files."""
        folder = self._store.stage(key)
        if pruned:  # MLflow has no word of its own for it
            self._tracker.finish(key, "KILLED", {}, [folder.log], {"end": "pruned"})
            return
        if failed:
            self._tracker.finish(key, "FAILED", {}, [folder.log])
            return
        evaluations = [folder.evaluation_paths(e.identity())[0] for e in self._graph.nodes[key].evaluations]
        metrics = _lineage_metrics(self._graph, self._store, key)
        record = folder.record()
        end = {"end": "converged" if record.converged() else "capped"} if record else {}
        self._tracker.finish(key, "FINISHED", metrics, [folder.record_path, *evaluations], end)

    def _replicate(self, node: Node) -> str:
        """Return which replicate a stage is of: by its split seed where the spec has several, else by its seed."""
        training = node.training
        several = len(self._splits) > 1
        return f"split_seed={training.data.splits.seed}" if several else f"seed={training.seed}"

    def _of_cells(self, key: str) -> dict[str, Any]:
        """Return the axis values of the cells whose result a stage is, where all of them have the same.

        Direct training does not depend on the pre-training's size: with `pretrain_size` 0 it is drawn beside the rest.
        """
        if self._values is None:
            if self._cells is None:
                cells = [(planned.keys[planned.cell.result], planned.cell.values) for planned in self._graph.cells]
            else:
                cells = [(cell.stages[cell.result], cell.values) for cell in self._cells if cell.result in cell.stages]
            self._values = _in_common(cells)
        return self._values.get(key, {})


def _splits(graph: StageGraph) -> frozenset[int]:
    return frozenset(node.training.data.splits.seed for node in graph.nodes.values())


def _in_common(cells: Iterable[tuple[str, Mapping[str, Any]]]) -> dict[str, dict[str, Any]]:
    """Return of cells, each a result's key and its axis values, what those of one result have in common."""
    found: dict[str, dict[str, Any]] = {}
    for key, values in cells:
        common = found.setdefault(key, dict(values))
        for axis in [axis for axis, value in common.items() if axis not in values or values[axis] != value]:
            del common[axis]
    return found


def _lineage_params(graph: StageGraph, key: str) -> dict[str, Any]:
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


def _lineage_metrics(graph: StageGraph, store: StoreFolder, key: str) -> dict[str, float]:
    """Return a stage's final metrics and, under their names, its ancestors': one run can be plotted against them.

    The stage's own validation has a curve on this run, which ends with the last validation. What the record has, of the
    checkpoint that was kept, is a number of its own beside it: `kept/validation.dft.energy_mae`.
    Names are those of mlflow_names.py: `test/cc:dft.energy_mae`.
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
            metrics[grouped(name)] = value
    folder = store.stage(key)
    for evaluation in graph.nodes[key].evaluations:
        if made := folder.evaluation(evaluation.identity()):
            for quantity, value in made.offsets_only.items():
                metrics[grouped(f"{OFFSETS_ONLY}{evaluation.name}.{quantity}")] = value
    if record := folder.record():
        metrics |= {
            f"{KEPT}step": float(record.selected.step),
            f"{STAGE}parameters": float(record.parameters),
            f"{STAGE}steps": float(record.steps),
            f"{STAGE}seconds": record.seconds,
        }
    return metrics
