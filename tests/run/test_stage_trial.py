"""Which failures of a trial count, and what is kept of it."""

import pickle
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray.exceptions import ActorUnavailableError
from ray.tune.experiment import Trial

from mfsweep.run import stage_trial
from mfsweep.run.stage_trial import StageTrial, trial_of


@pytest.fixture
def trial(monkeypatch):
    """Make a trial of which two failures are borne; Tune's own part only counts."""

    def count(self, exc=None):
        self.run_metadata.num_failures += 1

    monkeypatch.setattr(Trial, "handle_error", count)
    made = StageTrial("stage", stub=True, max_failures=2)
    made.node = "here"
    monkeypatch.setattr(stage_trial.ray, "nodes", lambda: [{"NodeID": "here", "Alive": True}])
    return made


def test_a_validation_wipes_the_failures_before_it_out(trial):
    for _ in range(5):
        trial.handle_error()
        trial.handle_error()
        assert trial.should_recover()
        trial.validated()
    trial.handle_error()
    trial.handle_error()
    trial.handle_error()
    assert not trial.should_recover()


@pytest.mark.parametrize("nodes", [[], [{"NodeID": "here", "Alive": False}], [{"NodeID": "there", "Alive": True}]])
def test_a_node_that_is_gone_is_no_failure_of_the_trial(trial, monkeypatch, nodes):
    monkeypatch.setattr(stage_trial.ray, "nodes", lambda: nodes)
    for _ in range(9):
        trial.handle_error()
    assert trial.should_recover()


@pytest.mark.parametrize("most", [0, 2])
def test_a_node_of_which_that_is_known_late_is_no_failure_either(trial, monkeypatch, most):
    """A process that dies with its node is first only out of reach."""
    trial.max_failures, looks = most, []

    def nodes():
        looks.append(1)
        return [{"NodeID": "here", "Alive": len(looks) < 5 * (most + 1)}]

    monkeypatch.setattr(stage_trial, "POLL_SECONDS", 0)
    monkeypatch.setattr(stage_trial.ray, "nodes", nodes)
    for _ in range(9):
        trial.handle_error(ActorUnavailableError("connection reset", None))
        assert trial.should_recover()


def test_what_stays_out_of_reach_on_a_node_that_is_there_is_given_up_in_the_end(trial, monkeypatch):
    monkeypatch.setattr(stage_trial, "UNREACHABLE_SECONDS", 0.01)
    for _ in range(3):
        assert trial.should_recover()
        trial.handle_error(ActorUnavailableError("connection reset", None))
    assert not trial.should_recover()


def test_the_trials_of_a_stage_have_ids_of_their_own_that_stay_short(monkeypatch):
    """A stage may be handed out any number of times; the id is the name of a folder."""
    monkeypatch.setattr(Trial, "__init__", lambda self, *_, trial_id, **__: setattr(self, "trial_id", trial_id))
    experiment, made = SimpleNamespace(spec={"run": "stage", "storage": None}), []
    for _ in range(1000):
        made.append(trial_of(experiment, {"key": "a" * 20}, None, 2, made[-1] if made else None))
    assert made[0].trial_id == "a" * 20
    assert len({one.trial_id for one in made}) == len(made)
    assert max(len(one.trial_id) for one in made) < 30


@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.floats(allow_nan=False) | st.booleans() | st.text()), min_size=1)
)
def test_of_a_trial_only_its_last_report_is_kept(reports):
    made = StageTrial("stage", stub=True)
    for number, said in enumerate(reports):
        made.update_last_result({**said, "config": {"job": "x" * 10_000}, "training_iteration": number})
    said = {"trial_id": made.trial_id, **reports[-1], "training_iteration": len(reports) - 1}
    assert made.last_result == said
    assert len(pickle.dumps(made.run_metadata.__dict__)) < 3_000 + len(pickle.dumps(reports[-1]))
    assert made.get_json_state() == ("{}", "{}"), "and nothing of it is written"
