"""mlflow.db from the records: every sweep that the store remembers, mirrored anew.

What a sweep's cells.json and its stages' own files say is enough: no spec is planned, no data are read. What MLflow
holds already is left, so that it can be done at any time and broken off at any point.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from mfsweep.errors import MfsweepError, StoreError
from mfsweep.plan.graph import Node, StageGraph
from mfsweep.quantities import count
from mfsweep.records import CellRecord
from mfsweep.run.mirror import Mirror
from mfsweep.run.mlflow_experiment import prepare_mlflow, reconnect
from mfsweep.run.store_tracking import open_tracker
from mfsweep.spec.experiment import Tracking
from mfsweep.spec.load import load
from mfsweep.spec.stage import Evaluation, Training
from mfsweep.store import StageFolder, StoreFolder, damage
from mfsweep.store.damage import Damage


def rebuild(store: StoreFolder, say: Callable[[str], object], names: Iterable[str] | None = None) -> None:
    """Mirror sweeps into the store's own file, which is made where it is missing.

    Args:
        store: whose records are shown.
        say: is told of each sweep, and of what could not be shown.
        names: of the sweeps; default: `remembered`.

    Raises:
        TrackingError: the file cannot be used.
    """
    for name in remembered(store) if names is None else names:
        try:
            cells = store.sweep(name).cells()
        except StoreError as error:
            say(f"{name} is left out: {error}")
            continue
        _mirror(store, name, cells, say)


def remembered(store: StoreFolder) -> list[str]:
    """Return the names of the sweeps whose mirror is the store's own file."""
    names = [path.parent.name for path in sorted(store.sweeps.glob("*/cells.json"))]
    return [name for name in names if _tracking(store, name).uri is None]


def unmirrored(store: StoreFolder) -> list[str]:
    """Return the names of the remembered sweeps of which the store's own file, which is there, knows nothing."""
    prepare_mlflow()
    from mlflow import MlflowClient
    from mlflow.entities import ViewType

    reconnect(store.tracking_uri)
    found = MlflowClient(tracking_uri=store.tracking_uri).search_experiments(view_type=ViewType.ALL)
    known = {one.name for one in found}
    return [name for name in remembered(store) if name not in known]


def graph_of(store: StoreFolder, cells: Iterable[CellRecord]) -> StageGraph:
    """Return the stages of cells that are trained, as their own files tell of them, with all their ancestors."""
    nodes: dict[str, Node] = {}
    for cell in cells:
        for stage, key in cell.stages.items():  # parents first
            values = {axis: value for axis, value in cell.values.items() if axis in cell.axes.get(stage, cell.values)}
            if key in nodes:
                nodes[key].values = _common(nodes[key].values, values)  # of records without `axes`
                continue
            training = _training(store.stage(key))
            if training is not None and (training.parent is None or training.parent in nodes):
                asked = map(_evaluation, cell.evaluations.get(stage, []))
                nodes[key] = Node(key, stage, training, training.parent, values, [one for one in asked if one])
    return StageGraph(nodes, [])


def _mirror(store: StoreFolder, name: str, cells: list[CellRecord], say: Callable[[str], object]) -> None:
    graph, folder = graph_of(store, cells), store.sweep(name)
    per_decade = _tracking(store, name).steps_per_decade
    tracker = open_tracker(store, name, say, sweep=name, steps_per_decade=per_decade)
    mirror = Mirror(tracker, graph, store, cells)
    shown = [key for key in graph.nodes if store.stage(key).record() is not None]
    for key in shown:
        mirror.begin(key)
        mirror.end(key, failed=False)
    whole = len(shown) == len({key for cell in cells for key in cell.stages.values()})
    artifacts = [path for path in (folder.spec, folder.report) if path.exists()]
    problems = tracker.close("FINISHED" if whole else "KILLED", artifacts)
    say(f"{name}: {count(len(shown), 'trained stage')} in MLflow")
    for problem in problems:
        say(f"{name}: {problem}")


def _tracking(store: StoreFolder, name: str) -> Tracking:
    """Return how the latest run of a spec was tracked; by default where its spec cannot be read any more."""
    try:
        return load(store.sweep(name).spec).experiment.tracking
    except MfsweepError:
        return Tracking()


def _training(folder: StageFolder) -> Training | None:
    found = damage.read_json(folder.training)
    if found is None or isinstance(found, Damage):
        return None
    try:
        training = Training.model_validate(found)
    except ValidationError:  # of another version: its next run shows it
        return None
    return training if training.key == folder.key else None


def _evaluation(identity: Mapping[str, Any]) -> Evaluation | None:
    try:
        return Evaluation.model_validate(identity)
    except ValidationError:
        return None


def _common(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    return {axis: value for axis, value in one.items() if axis in other and other[axis] == value}
