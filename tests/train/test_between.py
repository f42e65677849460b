"""A training that is killed between validations goes on from its last checkpoint by time, to the same bits."""

from __future__ import annotations

import json
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import mfsweep.train.steps
from mfsweep.spec.execution import Execution
from mfsweep.train import World, between, load_weights, loop, train
from mfsweep.train.between import Due, StateWriter, Unvalidated
from mfsweep.train.checkpoint import copied, load, save

ALWAYS = Execution(backend="eager", checkpoint_every_minutes=1e-9)
STEPS, BATCHES = 9, 3


class Killed(BaseException):
    """In place of SIGKILL, for a training in this process."""


@contextmanager
def killed_at(batch: int) -> Iterator[None]:
    """Let the training die when it assembles its batch of this number, from 1."""
    assemble, count = mfsweep.train.steps.assemble, 0

    def counted(*args, **options):
        nonlocal count
        count += 1
        if count == batch:
            raise Killed
        return assemble(*args, **options)

    mfsweep.train.steps.assemble = counted
    try:
        yield
    finally:
        mfsweep.train.steps.assemble = assemble


@pytest.fixture(scope="module")
def training(tiny):
    return tiny(max_steps=STEPS, validate_every=5, schedule={"patience_steps": 5, "stop_steps": 100, "factor": 0.5})


def go(training, view, folder, execution=ALWAYS, world=None):
    reports: list[loop.Progress] = []
    outcome = train(
        training,
        view,
        checkpoints=folder / "checkpoints",
        metrics=folder / "metrics.jsonl",
        parent=None,
        world=world or World.alone(),
        report=lambda progress: reports.append(progress) or True,
        execution=execution,
    )
    return outcome, [(own.step, own.loss) for own in reports]


def read(folder):
    lines = [json.loads(text) for text in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        (entry["step"], {name: value for name, value in entry["metrics"].items() if name != "structures_per_second"})
        for entry in lines
    ]


def checkpoints(folder):
    """Return the names of the whole ones: SIGKILL may leave a hidden part of one."""
    return {path.name for path in (folder / "checkpoints").glob("*.pt") if not path.name.startswith(".")}


def require_equal(folder, other):
    assert read(folder) == read(other)
    names = checkpoints(other)
    assert checkpoints(folder) == names
    for name in names - {"last.pt"}:
        assert (folder / "checkpoints" / name).read_bytes() == (other / "checkpoints" / name).read_bytes()


@pytest.fixture(scope="module")
def undisturbed(training, view, tmp_path_factory):
    """The training without a checkpoint between validations."""
    folder = tmp_path_factory.mktemp("undisturbed")
    outcome, reports = go(training, view, folder, Execution(backend="eager", checkpoint_every_minutes=0))
    assert outcome is not None
    return folder, outcome._replace(seconds=0.0), reports


@pytest.fixture
def at_once(monkeypatch):
    """Each checkpoint is on disk before the next step, so that a kill finds that of the step before it."""
    begin = StateWriter.begin

    def whole(self, lines, content):
        begin(self, lines, content)
        self.wait()

    monkeypatch.setattr(StateWriter, "begin", whole)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.integers(1, STEPS * BATCHES), min_size=1, max_size=3))
def test_killed_at_any_step_it_resumes_to_the_same_bits(kills, training, view, undisturbed, at_once, tmp_path_factory):
    whole, outcome, reports = undisturbed
    folder, step, seen = tmp_path_factory.mktemp("killed"), 0, []
    last = folder / "checkpoints" / "last.pt"
    for batch in kills:
        if batch > (STEPS - step) * BATCHES:
            break
        with killed_at(batch), pytest.raises(Killed):
            go(training, view, folder)
        step += (batch - 1) // BATCHES
        assert (load(last)["step"] if last.exists() else 0) == step
    found, _ = go(training, view, folder)
    assert found is not None
    assert found._replace(seconds=0.0) == outcome
    require_equal(folder, whole)
    _, seen = go(training, view, tmp_path_factory.mktemp("again"))
    assert seen == reports


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(batch=st.integers(1, STEPS * BATCHES))
def test_the_thread_may_be_at_any_point_when_the_training_dies(batch, training, view, undisturbed, tmp_path_factory):
    folder = tmp_path_factory.mktemp("killed")
    with killed_at(batch), pytest.raises(Killed):
        go(training, view, folder)
    go(training, view, folder)
    require_equal(folder, undisturbed[0])


@pytest.mark.parametrize("kill_at", [2 * BATCHES, 7 * BATCHES])
def test_a_killed_process_resumes_to_the_same_bits(ranks, training, undisturbed, tmp_path, kill_at):
    assert ranks(training, tmp_path, kill_at=kill_at, execution=ALWAYS) == [-signal.SIGKILL]
    assert ranks(training, tmp_path, execution=ALWAYS) == [0]
    require_equal(tmp_path, undisturbed[0])


def test_several_ranks_save_and_resume_together(ranks, training, tmp_path):
    whole = tmp_path / "whole"
    assert ranks(training, whole, size=2) == [0, 0]
    halted = tmp_path / "halted"
    assert ranks(training, halted, size=2, execution=ALWAYS, leave_at=3) == [0, 0]
    step = load(halted / "checkpoints" / "last.pt")["step"]
    assert step in (3, 4)
    assert [step_ for step_, _ in read(halted)] == list(range(1, step + 1))
    assert ranks(training, halted, size=2, execution=ALWAYS) == [0, 0]
    require_equal(halted, whole)
    for rank in (0, 1):
        assert (halted / f"outcome.{rank}.json").read_text() == (whole / f"outcome.{rank}.json").read_text()


def test_a_training_whose_machine_goes_saves_and_ends(training, view, undisturbed, tmp_path):
    steps = iter([False, False, False, True])
    world = World.alone()._replace(is_leaving=lambda: next(steps))
    outcome, _ = go(training, view, tmp_path, Execution(backend="eager", checkpoint_every_minutes=0), world)
    assert outcome is None
    assert load(tmp_path / "checkpoints" / "last.pt")["step"] == 4
    go(training, view, tmp_path)
    require_equal(tmp_path, undisturbed[0])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.integers(1, 12), minutes=st.sampled_from([0, 1e-9]))
def test_who_has_lost_a_training_writes_nothing_more_of_it(asked, minutes, training, view, tmp_path_factory):
    """Another run has taken it over, and has finished it: what it left is as it was."""
    folder, left, asks = tmp_path_factory.mktemp("lost"), {}, iter(range(1, 99))

    def files():
        return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def is_lost():
        if not left and next(asks) >= asked:
            for path in files():
                path.unlink()
            folder.joinpath("record.json").write_text("the other's")
            left.update(files())
        return bool(left)

    execution = Execution(backend="eager", checkpoint_every_minutes=minutes)
    outcome, reports = go(training, view, folder, execution, World.alone()._replace(is_lost=is_lost))
    assert (outcome is None) is bool(left)
    assert not left or files() == left
    assert left or len(reports) == 2


def test_without_minutes_nothing_is_saved_between_validations(monkeypatch, training, view, tmp_path):
    monkeypatch.setattr(StateWriter, "begin", lambda *_: pytest.fail("saved"))
    assert go(training, view, tmp_path, Execution(backend="eager", checkpoint_every_minutes=0))[0] is not None


def test_a_checkpoint_that_cannot_be_written_ends_the_training(monkeypatch, training, view, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(between, "save_state", full)
    with pytest.raises(OSError, match="No space left"):
        go(training, view, tmp_path)


@pytest.mark.parametrize("minutes", [0.0, 10.0])
def test_a_checkpoint_is_due_by_time_alone(monkeypatch, minutes):
    now = 0.0
    monkeypatch.setattr(between, "time", SimpleNamespace(monotonic=lambda: now))
    busy = True
    due = Due(minutes, World.alone(), lambda: busy)
    found = []
    for now in (1.0, 599.0, 600.0, 601.0):
        busy = now == 600.0
        found.append(due.is_due())
    assert found == [False, False, False, minutes > 0]
    due.saved()
    assert not due.is_due()


class Counting:
    """A group of two, of which this is rank 0; the sum over the ranks is counted."""

    rank, size, device = 0, 2, torch.device("cpu")

    def __init__(self):
        self.sums = 0

    def is_leaving(self):
        return False

    def sum_(self, _):
        self.sums += 1


def test_several_ranks_agree_every_few_seconds_and_not_at_every_step(monkeypatch):
    now = 0.0
    monkeypatch.setattr(between, "time", SimpleNamespace(monotonic=lambda: now))
    world = Counting()
    due = Due(10.0, world)  # pyright: ignore[reportArgumentType]
    for step in range(60_000):
        now = step * 0.01
        assert not due.is_due()
    assert 200 < world.sums < 400


def test_a_copy_changes_no_more(tmp_path):
    one = torch.arange(4.0)
    content = {"one": one, "same": [one, {"view": one[:]}], "other": one[1:], "step": 3, "none": None}
    copy = copied(content)
    one += 1
    assert copy["one"].tolist() == [0, 1, 2, 3]
    assert copy["other"].tolist() == [1, 2, 3]
    assert copy["same"][0] is copy["one"] is copy["same"][1]["view"]
    assert (copy["step"], copy["none"]) == (3, None)
    save(tmp_path / "copy.pt", copy)
    assert load(tmp_path / "copy.pt")["other"].tolist() == [1, 2, 3]


def test_what_was_not_validated_comes_back(tmp_path):
    period = Unvalidated(np.random.default_rng(0).random((3, 2)), np.arange(6).reshape(3, 2), 1.5)
    save(tmp_path / "file.pt", {"period": period.state()})
    back = Unvalidated.restored(load(tmp_path / "file.pt")["period"])
    assert back.mean_loss == period.mean_loss
    assert back.structures_per_second == period.structures_per_second
    np.testing.assert_array_equal(back.losses, period.losses)


def test_a_thread_writes_while_the_steps_go_on(tmp_path, monkeypatch):
    go_on = threading.Event()
    monkeypatch.setattr(between, "save_state", lambda path, content: go_on.wait(30) and save(path, content))
    with StateWriter(tmp_path / "metrics.jsonl", tmp_path / "last.pt") as writer:
        writer.begin(["{}"], {"step": 1})
        assert writer.is_busy
        go_on.set()
        writer.wait()
        assert not writer.is_busy
    assert load(tmp_path / "last.pt") == {"step": 1}
    assert (tmp_path / "metrics.jsonl").read_text() == "{}\n"


def test_weights_are_those_of_the_undisturbed_training(ranks, training, undisturbed, tmp_path):
    """In words of the whole: with checkpoints at every step, and without any."""
    assert ranks(training, tmp_path, execution=ALWAYS) == [0]
    ours, theirs = (load_weights(folder / "checkpoints" / "selected.pt") for folder in (tmp_path, undisturbed[0]))
    assert all(ours.state[name].equal(theirs.state[name]) for name in theirs.state)


@given(st.sampled_from(["cpu", "cuda"]), st.integers(1, 8), st.integers(1, 10))
def test_every_step_that_was_prepared_is_computed(device, number, pause):
    """Else the sampler would stand behind a step that nobody trained on."""
    prepared, computed, asked = [], [], []

    def prepare():
        prepared.append(len(prepared) + 1)
        return prepared[-1]

    def pauses():
        asked.append(len(computed))
        return len(asked) == pause

    world = SimpleNamespace(device=SimpleNamespace(type=device))
    for step in mfsweep.train.steps._ahead(prepare, number, world, pauses):  # pyright: ignore[reportArgumentType]
        computed += [step]  # at its place between the questions
    assert computed == prepared == list(range(1, min(number, pause) + 1))
    assert asked == list(range(min(number - 1, pause))), "once before each step but the last, on every device alike"
