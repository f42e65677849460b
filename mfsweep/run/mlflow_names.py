"""Names of metrics in MLflow, and the link that opens the table of a sweep's runs with what matters in its columns.

MLflow's charts are grouped by what stands before a `/`; its metrics know no `@`, and have a colon there.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

VIEW_TAG = "mlflow.sharedViewState."
"""Begins the tag of an experiment in which MLflow's UI (3.17) looks up a view by its key."""
VIEW_KEY = "mfsweep.view"
"""Tag of an experiment: the key of the view that its latest sweep made."""
STAGE = "stage/"
"""Begins the names of what a training was: trainable parameters, steps, seconds. Each is told once: the seconds of one
that is made again are others, and a curve of them would mean nothing."""
FINISHED_STAGES = 'tags.mfsweep.kind = "stage"'


def grouped(name: str) -> str:
    """Return a metric's name in MLflow: `test/cc.energy_mae` of `test.cc.energy_mae`, `test/cc:dft...` of `...@dft`."""
    part, dot, rest = name.partition(".")
    named = f"{part}/{rest}" if dot and "/" not in name else name
    return named.replace("@", ":")


def plain(text: str) -> str:
    """Return a text with what MLflow takes in a name: letters, digits, and a few signs."""
    return re.sub(r"[^\w./: -]", "-", text)


class View(NamedTuple):
    """A table of runs."""

    filter: str
    params: Sequence[str]
    metrics: Sequence[str]
    """Columns; by the first metric the rows are sorted, the lowest first."""

    def state(self) -> str:
        """Return it as MLflow's UI keeps a view that is shared."""
        columns = [f"params.`{name}`" for name in self.params] + [f"metrics.`{name}`" for name in self.metrics]
        order = columns[len(self.params)] if self.metrics else "attributes.start_time"
        shown: Mapping[str, object] = {
            "searchFilter": self.filter,
            "orderByKey": order,
            "orderByAsc": bool(self.metrics),
            "startTime": "ALL",
            "lifecycleFilter": "Active",
            "modelVersionFilter": "All Runs",
            "datasetsFilter": [],
            "selectedColumns": ["attributes.`Created`", "attributes.`Duration`", *columns],
        }
        return json.dumps(shown, sort_keys=True)

    @property
    def key(self) -> str:
        """Return the name by which a link refers to it."""
        return hashlib.sha256(self.state().encode()).hexdigest()[:16]


def link(server: str, experiment: str, key: str) -> str:
    """Return the address of the table of runs with a view, which is a tag of the experiment by then.

    Args:
        server: address of the UI; a user's name and password in it are left out.
        experiment: its id.
        key: the view's.
    """
    where = urlsplit(server)
    place = f"{where.scheme}://{where.netloc.rpartition('@')[2]}{where.path.rstrip('/')}"
    return f"{place}/#/experiments/{experiment}/runs?viewStateShareKey={key}&compareRunsMode=TABLE"
