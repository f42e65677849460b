"""Names of metrics in MLflow, and the link to a table of runs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import mlflow
import pytest

from mfsweep.run.mlflow_names import VIEW_TAG, View, grouped, link


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("test.cc.energy_mae", "test/cc.energy_mae"),
        ("train.loss", "train/loss"),
        ("learning_rate", "learning_rate"),
        ("pretrain.test.cc@dft.energy_mae", "pretrain/test.cc:dft.energy_mae"),
        ("kept/validation.dft.energy_mae", "kept/validation.dft.energy_mae"),
    ],
)
def test_metrics_are_grouped_by_what_stands_before_a_slash(name, shown):
    assert grouped(name) == shown
    assert re.fullmatch(r"[\w./: -]+", shown), "what MLflow takes in a name"


def test_a_link_opens_the_classic_table_with_a_view_of_the_experiment():
    view = View('tags.stage = "finetune"', ["pretrain_size"], ["test/cc.energy_mae", "pretrain/validation.energy_mae"])
    address = urlsplit(link("http://user:secret@host:5000/mlflow/", "7", view.key))
    assert (address.netloc, address.path) == ("host:5000", "/mlflow/")
    place, _, query = address.fragment.partition("?")
    assert place == "/experiments/7/runs"
    assert parse_qs(query) == {"viewStateShareKey": [view.key], "compareRunsMode": ["TABLE"]}
    state = json.loads(view.state())
    assert state["searchFilter"] == 'tags.stage = "finetune"'
    assert state["orderByKey"] == "metrics.`test/cc.energy_mae`"
    assert {"params.`pretrain_size`", "metrics.`pretrain/validation.energy_mae`"} <= set(state["selectedColumns"])


def test_the_ui_of_mlflow_knows_the_words_of_a_view():
    """No browser is needed to see that its program looks up what a link and a view say, under these names."""
    static = Path(mlflow.__file__).parent / "server" / "js" / "build" / "static" / "js"
    program = "".join(path.read_text(encoding="utf-8") for path in static.glob("*.js"))
    for word in ("viewStateShareKey", "compareRunsMode", VIEW_TAG, *json.loads(View("", [], ["x"]).state())):
        assert f'"{word}"' in program, word
