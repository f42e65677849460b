"""The predictions behind a score, read back from the store."""

from __future__ import annotations

from mfsweep.analysis.metric import find
from mfsweep.analysis.records import Records, score_of
from mfsweep.errors import StoreError
from mfsweep.quantities import MetricPath
from mfsweep.store.predictions import StoredPrediction, read_prediction


def predictions(records: Records, key: str, metric: MetricPath) -> StoredPrediction | None:
    """Return what lies behind a score of a stage; None where it is no score, or its file cannot be read.

    Args:
        records: of a study that has the stage.
        key: of the stage.
        metric: path of the score; which quantity does not matter.
    """
    stage = records.stage(key)
    name = found.name if stage and (found := find(stage, metric)) else None
    asked = next((one for one in stage.evaluations if score_of(one.evaluation) == name), None) if stage else None
    if asked is None:
        return None
    path = records.store.stage(key).evaluation_paths(asked.evaluation)[1]
    try:
        return read_prediction(path)
    except StoreError:
        return None
