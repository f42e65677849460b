"""What comes back of a task, without a cluster."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from ray.exceptions import ObjectStoreFullError, RayTaskError, RuntimeEnvSetupError, TaskUnschedulableError

from mfsweep.data.labellers import LabellingMethod
from mfsweep.errors import DataError, ResourceError
from mfsweep.run.labelling import tasks
from mfsweep.run.labelling.batches import Batches, LabelBatch

WORK = tasks.LabellingWork(LabellingMethod("model", "model:abc", {}, {}), cpus=3)


@pytest.fixture
def landed(monkeypatch):
    """Give a function that takes back a task of two structures, which ended with an error."""

    def land(error: Exception):
        def get(_):
            raise error

        monkeypatch.setattr(tasks.ray, "get", get)
        batch = LabelBatch(np.array([7, 8]))
        return tasks._landed(WORK, Batches(batch.members, slots=1), batch, cast("Any", None))

    return land


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (RuntimeEnvSetupError("no agent"), ResourceError, "set up the environment of the tasks.*no agent"),
        (TaskUnschedulableError("the node is gone"), ResourceError, "--cpus-per-task 3.*the node is gone"),
        (ObjectStoreFullError("full"), ResourceError, "failed to run a task.*full"),
        (
            RayTaskError("_label", "traceback", RuntimeError("not enough memory")),
            DataError,
            "model:abc failed on a worker, for 2 structures together: RuntimeError: not enough memory",
        ),
    ],
)
def test_what_is_no_defect_of_ours_is_said_in_one_message(landed, error, kind, said):
    with pytest.raises(kind, match=f"{said}.*the same command goes on"):
        landed(error)


def test_a_defect_keeps_its_type(landed):
    with pytest.raises(KeyError):
        landed(RayTaskError("_label", "traceback", KeyError("x")))
