"""The predictions behind a score, read back from the store."""

from __future__ import annotations

from mfsweep.analysis.metric import find
from mfsweep.analysis.records import Records, score_of
from mfsweep.errors import StoreError
from mfsweep.quantities import MetricPath
from mfsweep.records import EvaluationRecord
from mfsweep.store import StageFolder, damage
from mfsweep.store.damage import Damage
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


def by_score(folder: StageFolder) -> dict[str, StoredPrediction]:
    """Return all predictions that a trained stage has: name of the score (`test.cc`) -> reference and predicted.

    Raises:
        StoreError: a file of it is damaged.
    """
    found: dict[str, StoredPrediction] = {}
    for path in sorted(folder.evaluations.glob("*.json")):
        record = damage.read(path, EvaluationRecord)
        if isinstance(record, EvaluationRecord):
            name = score_of(record.evaluation)
            # Another spec may have scored the same stage with other offsets.
            name = name if name not in found else f"{name} ({path.stem})"
            found[name] = read_prediction(folder.evaluation_paths(record.evaluation)[1])
        elif isinstance(record, Damage):
            raise StoreError(f"{record}: `mfsweep store verify --mend` sets it aside, and a run makes it again")
    return found
