"""`mfsweep report` of several specs: their pages, and one of them all."""

import json

import pytest

from mfsweep.cli.main import main
from mfsweep.errors import SpecError
from mfsweep.prepare import prepare
from mfsweep.store import StoreFolder
from mfsweep.sweep.reports import write_reports

NAMES = ("small", "other")


@pytest.fixture
def specs(write_spec):
    return [write_spec(("name: small", f"name: {name}"), name=f"{name}.yaml") for name in NAMES]


@pytest.fixture
def store(tmp_path):
    (tmp_path / "store" / "stages").mkdir(parents=True)
    return StoreFolder(tmp_path / "store")


def test_several_reports_and_their_index_are_written_without_training(specs, store, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["report", *map(str, specs), "--store", str(store.root)])
    assert ended.value.code == 0
    printed = capsys.readouterr().out.strip()
    assert printed == str(store.sweeps / "index.html")
    index = (store.sweeps / "index.html").read_text()
    for name in NAMES:
        assert store.sweep(name).report.exists()
        assert f"{name}/report.html" in index
        assert len(json.loads((store.sweep(name).path / "cells.json").read_text())) > 1
    assert list((store.root / "stages").iterdir()) == []


def test_one_folder_for_several_pages_is_refused(specs, store, tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["report", *map(str, specs), "--store", str(store.root), "--out", str(tmp_path / "pages")])
    assert ended.value.code == 2
    assert "--out: a folder holds the page of one SPEC, got 2" in capsys.readouterr().err
    assert not (tmp_path / "pages").exists()


def test_two_specs_of_one_name_are_refused(specs, write_spec, store):
    plans = [prepare(spec, store.root) for spec in (specs[0], write_spec(name="again.yaml"))]
    with pytest.raises(SpecError, match=r"again.yaml:1: name: got 'small', expected another name"):
        write_reports(plans)
