import subprocess
import sys

import pytest

from mfsweep.errors import StoreError
from mfsweep.store import Store, write_text


def test_a_stage_without_record_is_not_done(store):
    folder = store.stage("k")
    assert folder.record() is None
    assert not folder.is_done([])


def test_a_damaged_record_is_named(store):
    folder = store.stage("k")
    write_text(folder.record_path, '{"key": 3')
    with pytest.raises(StoreError, match=r"record\.json is not a Record"):
        folder.record()


def test_a_store_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "file" / "store").prepare()


def test_a_claim_excludes_other_processes_and_goes_with_its_holder(store):
    folder = store.stage("k")
    holder = (
        "import sys; from pathlib import Path; from mfsweep.store import StageFolder\n"
        "with StageFolder(Path(sys.argv[1])).claim() as mine:\n"
        "    print(mine, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", holder, str(folder.path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "True\n"
        with folder.claim() as mine:
            assert not mine
        process.kill()
        process.wait()
        with folder.claim() as mine:
            assert mine


def test_evaluations_of_different_content_have_different_files(store):
    folder = store.stage("k")
    one = folder.evaluation_paths({"labels": "cc", "subset": "t", "part": "test"})
    other = folder.evaluation_paths({"labels": "cc", "subset": "t", "part": "test", "offsets": "dft"})
    assert one != other
