from __future__ import annotations

import pickle
import threading
from pathlib import Path

import pytest
import torch

from mfsweep.errors import TrainingError
from mfsweep.models.architecture import Shape
from mfsweep.models.registry import build
from mfsweep.train.checkpoint import Weights, load, load_step, load_weights, restore, save, save_weights


class Harmful:
    def __reduce__(self):
        return (Path.touch, (Path("harm"),))


def test_code_in_a_checkpoint_is_never_run(tmp_path, monkeypatch):
    """A store is shared; and mace-torch sets TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD."""
    monkeypatch.chdir(tmp_path)
    torch.save({"state": Harmful()}, "last.pt", pickle_module=pickle)
    with pytest.raises(TrainingError, match=r"last.pt cannot be read"):
        load(Path("last.pt"))
    assert not Path("harm").exists()


def test_a_file_cut_short_is_an_error_that_names_it(tmp_path):
    save(tmp_path / "last.pt", {"step": 3, "values": torch.zeros(1000)})
    content = (tmp_path / "last.pt").read_bytes()
    (tmp_path / "last.pt").write_bytes(content[: len(content) // 2])
    with pytest.raises(TrainingError, match=r"last.pt cannot be read"):
        load(tmp_path / "last.pt")


def test_a_failed_write_leaves_the_old_file(tmp_path):
    save(tmp_path / "last.pt", {"step": 3})
    with pytest.raises(Exception, match="pickle"):
        save(tmp_path / "last.pt", {"step": lambda: 4})
    assert load(tmp_path / "last.pt") == {"step": 3}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


def test_a_model_comes_back_whole(tmp_path, tiny):
    spec, offsets = tiny().model, {"cc": {1: -13.6, 8: -2041.123456789}, "dft": {1: -13.5}}
    shape = Shape(("cc", "dft"), (1, 8), 3.25)
    model = build(spec, shape, offsets, seed=4, dtype=torch.float32)
    plain = spec.model_dump(mode="json")
    weights = Weights(plain, "float32", ["cc", "dft"], [1, 8], 3.25, offsets, 7, model.state_dict())
    save_weights(tmp_path / "selected.pt", weights)
    back = load_weights(tmp_path / "selected.pt")
    assert (back.offsets, back.step, back.shape) == (offsets, 7, shape)
    restored = restore(back)
    assert not restored.training
    assert restored.shape == shape
    for name, value in model.state_dict().items():
        assert restored.state_dict()[name].equal(value)


def test_a_checkpoint_of_another_kind_is_refused(tmp_path):
    save(tmp_path / "last.pt", {"step": 3})
    with pytest.raises(TrainingError, match="not a model checkpoint of this version: it lacks avg_num_neighbors"):
        load_weights(tmp_path / "last.pt")


def test_equal_content_makes_equal_files(tmp_path):
    for name in ("one.pt", "two.pt"):
        save(tmp_path / name, {"step": 3, "values": torch.arange(3)})
    assert (tmp_path / "one.pt").read_bytes() == (tmp_path / "two.pt").read_bytes()


@pytest.mark.parametrize("before", [None, 3], ids=["not there yet", "an older one"])
def test_a_file_that_another_rank_sees_already_is_waited_for(tmp_path, before):
    path = tmp_path / "last.pt"
    if before:
        save(path, {"step": before})
    later = threading.Timer(0.3, save, (path, {"step": 6}))
    later.start()
    assert load_step(path, 6, patience=30) == {"step": 6}
    later.join()


def test_a_file_that_does_not_appear_is_an_error(tmp_path):
    path = tmp_path / "last.pt"
    with pytest.raises(
        TrainingError, match=r"resumes from step 6 of .*last\.pt, and this rank sees none for 0 seconds"
    ):
        load_step(path, 6, patience=0.1)
    save(path, {"step": 3})
    with pytest.raises(TrainingError, match=r"this rank sees step 3: expected the same file on every machine"):
        load_step(path, 6, patience=0.1)
