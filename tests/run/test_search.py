"""Searches without training: real Optuna studies in sqlite, a plan on real data, and a stand-in that writes records."""

import contextlib
import functools
import json
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path

import optuna
import pytest
from conftest import SPEC
from hypothesis import given
from hypothesis import strategies as st
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.trial import TrialState

from mfsweep.data import check
from mfsweep.errors import DataError, SpecError, StoreError
from mfsweep.metrics_file import append, line
from mfsweep.prepare import prepare
from mfsweep.prepare.inventory import Inventory
from mfsweep.records import BestCheckpoint, EvaluationRecord, Record
from mfsweep.run import optuna_study, search
from mfsweep.run.growing import NotNow
from mfsweep.run.optuna_study import OptunaStudy, open_storage
from mfsweep.run.search import opened
from mfsweep.store import StoreFolder, lease, lease_place
from mfsweep.sweep.searching import found_by
from mfsweep.sweep.status import status

AXES = "axes:\n  pretrain_size: [0, 20, 40]\n  finetune_size: [20, 60]\n"
FITS = (
    "fits:\n  transfer: {x: pretrain.validation.energy_mae, y: result.test.cc.energy_mae, group_by: [finetune_size]}\n"
)
SEARCHED = """\
axes:
  alpha: {low: 0.01, high: 0.99}
  seed: [0, 1]
search: {objective: validation.cc.energy_mae, trials: 6, parallel: 1}
"""
JOINT = (
    (AXES, SEARCHED),
    (FITS, ""),
    ('[{labels: dft, subset: b, size: "${pretrain_size}"}]', '[{labels: dft, subset: b, size: 20, probability: "${alpha}"}, {labels: cc, subset: a, size: 20}]'),
    ('size: "${finetune_size}"', "size: 20"),
    ("result: finetune", "result: pretrain"),
)  # fmt: skip
"""What makes a search over alpha of the small spec: one multi-head stage a cell."""


SIZED = ('size: 20, probability: "${alpha}"}', 'size: "${alpha}"}')
"""alpha is a number of structures."""
SECOND = "validation.dft.energy_mae"
OTHER_OBJECTIVE = ("validation.cc.energy_mae", "validation.dft.energy_mae")
SHARED = (
    ("{low: 0.01, high: 0.99}", "{low: 2, high: 18}"),
    ('probability: "${alpha}"}, {labels: cc, subset: a, size: 20}]', 'probability: 0.5}, {labels: cc, subset: a, size: 20}]\n    batch: {batches_per_step: "${alpha}"}'),
    ("workers: 1", "workers: 2"),
)  # fmt: skip
"""alpha is a number of batches, which two workers share: odd ones cannot be planned."""


@pytest.fixture
def said():
    """Give what a search has said."""
    return []


@pytest.fixture
def searching(write_spec, tmp_path, said):
    """Give a function that opens the search of the small spec with some of its text replaced."""

    def make(*changes):
        return opened(prepare(write_spec(*JOINT, *changes), tmp_path / "store"), said.append)

    return make


def finish(search, key, metric="validation.cc.energy_mae"):
    """Write what the training of a stage would have written."""
    node = search.plan.graph.nodes[key]
    alpha, seed = node.values["alpha"], node.training.seed
    best = BestCheckpoint(metric="validation.loss", step=1, value=1.0, file="checkpoints/selected.pt")
    folder = search.plan.store.stage(key)
    for evaluation in node.evaluations:
        found = EvaluationRecord(
            name=evaluation.name,
            evaluation=evaluation.identity(),
            metrics={"energy_mae": 1.0},
            offsets_only={},
            structures=1,
            predictions="none.npz",
        )
        folder.write_evaluation(found)
    folder.write_record(
        Record(
            key=key,
            training=node.training.identity(),
            parent=node.parent,
            started=0.0,
            seconds=1.0,
            steps=1,
            stop_reason="max_steps",
            selected=best,
            heads={},
            metrics={metric: (alpha - 0.3) ** 2 + seed, SECOND: (alpha - 0.7) ** 2 + seed},
            offsets={},
            shares=[],
            parameters=1,
            workers=1,
            host="here",
            versions={},
        )
    )


def waiting(search):
    """Return the keys of the stages that are yet to be trained."""
    return [key for key in search.plan.graph.nodes if not search.plan.store.stage(key).record_path.exists()]


def run(search, stages=None):
    """Train up to a number of stages, one after another; return how many that were."""
    trained = 0
    while trained != stages and (keys := waiting(search)):
        finish(search, keys[0])
        trained += 1
        search.advance([keys[0]])
    return trained


def trials(store_or_path, name="small"):
    store = store_or_path if isinstance(store_or_path, StoreFolder) else StoreFolder(store_or_path)
    return optuna.load_study(study_name=name, storage=store.search_uri).trials


def values(found, state=TrialState.COMPLETE):
    return [trial.params["alpha"] for trial in found if trial.state is state]


def test_a_search_asks_for_its_trials_and_tells_the_mean_over_the_seeds(searching, tmp_path):
    with searching() as search:
        assert run(search) == 12
        assert search.progress == "6 of 6 points"
    found = trials(tmp_path / "store")
    assert [trial.state for trial in found] == [TrialState.COMPLETE] * 6
    for trial in found:
        assert trial.value == pytest.approx((trial.params["alpha"] - 0.3) ** 2 + 0.5)
        assert trial.user_attrs["scores"] == pytest.approx([trial.value - 0.5, trial.value + 0.5])
        stages = trial.user_attrs["stages"]
        assert stages.keys() == {"seed=0", "seed=1"}
        assert all(StoreFolder(tmp_path / "store").stage(each["pretrain"]).record() for each in stages.values())
    assert StoreFolder(tmp_path / "store").sweep("small").asked() == [trial.params for trial in found]


def test_the_plan_of_a_search_is_that_of_the_points_asked_for(searching, write_spec, tmp_path):
    with searching() as search:
        run(search, 3)
        keys = search.plan.graph.nodes.keys()
    again = prepare(write_spec(*JOINT), tmp_path / "store")
    assert again.graph.nodes.keys() == keys
    assert len(again.done) == 3


@pytest.mark.parametrize("stages", [1, 10])
def test_a_search_that_was_cut_off_goes_on_as_if_it_had_not_been(searching, tmp_path, stages):
    with searching() as search:
        run(search)
    whole = values(trials(tmp_path / "store"))
    (tmp_path / "store").rename(tmp_path / "whole")

    with searching() as search:
        run(search, stages)  # what is out stays RUNNING in the study, as a kill leaves it
    with searching() as search:
        assert run(search) == 12 - stages
    assert values(trials(tmp_path / "store")) == whole, "none lost, none twice, the same ones"
    assert len(StoreFolder(tmp_path / "store").sweep("small").asked()) == 6


def test_a_point_that_was_asked_for_but_not_written_down_is_asked_for_again(searching, tmp_path):
    with searching() as search:
        run(search, 2)
        out = search.plan.points[-1]
    asked = tmp_path / "store" / "sweeps" / "small" / "asked.json"
    asked.write_text(json.dumps(json.loads(asked.read_text())[:-1]))
    with searching() as search:
        assert search.plan.points[-1] == out
        run(search)
    assert len(values(trials(tmp_path / "store"))) == 6


def test_stages_that_are_done_already_are_told_without_training(searching, tmp_path):
    with searching() as search:
        run(search)
    before = values(trials(tmp_path / "store"))
    (tmp_path / "store" / "optuna.db").unlink()
    with searching() as search:
        assert run(search) == 0
    assert values(trials(tmp_path / "store")) == before


def test_raising_the_trials_runs_only_the_new_ones(searching, tmp_path):
    with searching() as search:
        run(search)
    with searching() as search:
        assert run(search) == 0
    with searching(("trials: 6", "trials: 8")) as search:
        assert run(search) == 4
    assert len(values(trials(tmp_path / "store"))) == 8


def test_a_failed_point_counts_in_its_run_and_is_tried_again_in_the_next(searching, tmp_path):
    with searching() as search:
        bad, other = waiting(search)
        finish(search, other)
        search.advance([bad, other])
        assert search.failed == 1
        failed = search.plan.points[0]
        while keys := [key for key in waiting(search) if key != bad]:
            finish(search, keys[0])
            search.advance(keys[:1])
    found = trials(tmp_path / "store")
    assert values(found, TrialState.FAIL) == [failed["alpha"]]
    assert len(values(found)) == 5
    with searching() as search:
        assert waiting(search) == [bad]
        run(search)
    assert failed["alpha"] in values(trials(tmp_path / "store"))
    assert len(values(trials(tmp_path / "store"))) == 6


def test_a_result_without_the_objective_is_a_failed_point(searching, tmp_path):
    with searching(("trials: 6", "trials: 1")) as search:
        keys = waiting(search)
        for key in keys:
            finish(search, key, "validation.xtb.energy_mae")
        search.advance(keys)
        assert search.failed == 1
    assert [trial.state for trial in trials(tmp_path / "store")] == [TrialState.FAIL]


def test_each_combination_of_the_other_axes_has_a_study_and_may_go(searching, tmp_path):
    def over(sizes):
        return searching(
            ("seed: [0, 1]", f"seed: [0, 1]\n  size: {sizes}"),
            (JOINT[2][1], JOINT[2][1].replace("subset: a, size: 20", 'subset: a, size: "${size}"')),
        )

    with over([20, 40]) as search:
        assert run(search) == 24
        assert search.progress == "12 of 12 points"
    for size in (20, 40):
        assert len(values(trials(tmp_path / "store", f"small:size={size}"))) == 6
    with over([40]) as search:
        assert run(search) == 0
        assert {point["size"] for point in search.plan.points} == {40}
    with over([20, 40]) as search:
        assert run(search) == 0
        assert len(search.plan.points) == 12


@pytest.mark.parametrize("sampler", ["tpe", "random", pytest.param("gp", marks=pytest.mark.slow)])
def test_points_that_are_out_together_are_not_the_same_one(searching, tmp_path, sampler):
    with searching(("parallel: 1", f"parallel: 4, sampler: {sampler}"), ("trials: 6", "trials: 12")) as search:
        assert len(search.plan.points) == 4
        assert run(search) == 24
    found = values(trials(tmp_path / "store"))
    assert len(set(found)) == len(found) == 12


def test_whole_numbers_stay_whole(searching, tmp_path):
    with searching(
        ("alpha: {low: 0.01, high: 0.99}", "alpha: {low: 5, high: 15, step: 5}"),
        ('size: 20, probability: "${alpha}"}', 'size: "${alpha}"}'),
    ) as search:
        # Three values and six points: what is asked for twice is trained once.
        assert run(search) <= 6
    found = values(trials(tmp_path / "store"))
    assert len(found) == 6
    assert set(found) <= {5, 10, 15}
    assert all(type(point["alpha"]) is int for point in StoreFolder(tmp_path / "store").sweep("small").asked())


def test_two_processes_do_not_run_one_search(searching):
    with searching(), pytest.raises(StoreError, match="another process runs this search"), searching():
        pass


@pytest.mark.parametrize("lives", [True, False])
def test_another_host_that_runs_it_is_watched_and_refused_or_followed(searching, tmp_path, said, monkeypatch, lives):
    folder = StoreFolder(tmp_path / "store").sweep("small").path
    folder.mkdir(parents=True)

    @contextlib.contextmanager
    def there():
        with monkeypatch.context() as patch:
            for module in (lease, lease_place):
                patch.setattr(module, "boot", lambda: "there")
            yield

    with there():
        other = lease.take(folder, None)
    clock = [0.0]

    def sleep(seconds):
        clock[0] += seconds
        if lives and clock[0] > lease.BEAT_SECONDS:
            with there():
                other.beat()

    monkeypatch.setattr(lease, "Observer", functools.partial(lease.Observer, lambda: clock[0], sleep=sleep))
    refused = pytest.raises(StoreError, match="another process runs this search")
    with refused if lives else contextlib.nullcontext(), searching():
        pass
    assert "is held by process" in said[0]
    assert (clock[0] < lease.DEAD_SECONDS) == lives
    assert other.is_lost() != lives


def test_values_of_other_trainings_are_refused_and_their_points_kept_for_a_new_study(searching, tmp_path):
    with searching() as search:
        run(search)
    before = values(trials(tmp_path / "store"))
    longer = (
        "    max_steps: 4\n    validate_every: 2\n  finetune",
        "    max_steps: 6\n    validate_every: 2\n  finetune",
    )
    with pytest.raises(StoreError, match="the spec has changed since"), searching(longer):
        pass
    with pytest.raises(StoreError, match="was made for"), searching(OTHER_OBJECTIVE):
        pass
    optuna.delete_study(study_name="small", storage=StoreFolder(tmp_path / "store").search_uri)
    with searching(longer) as search:
        run(search)
    assert values(trials(tmp_path / "store")) == before


def test_a_point_that_cannot_be_planned_is_refused_and_the_search_goes_on(searching, tmp_path, said):
    with searching(*SHARED) as search:
        run(search)
        refused = search.refused
        assert refused == search.failed > 0
        assert search.progress == "6 of 6 points"
    found = trials(tmp_path / "store")
    assert not any(alpha % 2 for alpha in values(found))
    out = [trial for trial in found if "refused" in trial.user_attrs]
    assert all(trial.params["alpha"] % 2 for trial in out)
    assert len(said) == len(out) == refused
    assert "a multiple of resources.workers" in said[0]
    with searching(*SHARED) as search:
        run(search)
    later = trials(tmp_path / "store")[len(found) :]
    assert {trial.user_attrs["point"] for trial in later}.isdisjoint(trial.user_attrs["point"] for trial in out)


def test_a_search_is_checked_at_the_ends_of_its_axes_before_it_asks(searching, tmp_path):
    with pytest.raises(SpecError, match=r"probability.*'alpha': 1\.4"), searching(("high: 0.99", "high: 1.4")):
        pass
    too_large = (("{low: 0.01, high: 0.99}", "{low: 1, high: 900}"), SIZED)
    with pytest.raises(DataError, match="b; 900"), searching(*too_large):
        pass
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("points", [0, 2])
def test_a_search_is_planned_without_its_data(searching, write_spec, tmp_path, points):
    if points:
        StoreFolder(tmp_path / "store").sweep("small").write_asked([{"alpha": 0.2}, {"alpha": 0.4}])
    path = write_spec(*JOINT, ("bundled:mini-ccx", "elsewhere.h5"))
    plan = prepare(path, tmp_path / "store", allow_missing_data=True)
    assert len(plan.graph.nodes) == 2 * points
    assert "not looked at" in plan.warnings[0]


def test_narrower_bounds_leave_out_what_lies_outside_and_wider_ones_bring_it_back(searching, tmp_path):
    with searching(("parallel: 1", "parallel: 2")) as search:
        while search._studies[0].complete < 5:  # so that a point stays out
            run(search, 1)
    asked = [point["alpha"] for point in search.plan.points]
    low = sorted(asked)[2]
    narrow = ("{low: 0.01, high: 0.99}", f"{{low: {low}, high: 0.99}}")
    with searching(narrow) as search:
        inside = {point["alpha"] for point in search.plan.points}
        assert {alpha for alpha in asked if alpha >= low} <= inside
        run(search)
        points = [point["alpha"] for point in search.plan.points]
    assert min(points) == low
    assert len(points) == 6, "those outside are not counted"
    with searching(("trials: 6", "trials: 8")) as search:
        run(search)
        assert set(asked) <= {point["alpha"] for point in search.plan.points}


def test_a_point_that_waits_outside_the_bounds_is_not_asked_for(searching, tmp_path):
    with searching(("trials: 6", "trials: 1")):
        pass
    store = StoreFolder(tmp_path / "store")
    optuna.load_study(study_name="small", storage=store.search_uri).enqueue_trial({"alpha": 0.02})
    with searching(("low: 0.01", "low: 0.1")) as search:
        run(search)
        assert all(point["alpha"] >= 0.1 for point in search.plan.points)


def test_a_point_that_the_edited_spec_forbids_is_left_out_with_a_warning(searching, write_spec, tmp_path, said):
    with searching(*SHARED[:2]) as search:
        run(search)
    store = StoreFolder(tmp_path / "store")
    asked = [point["alpha"] for point in store.sweep("small").asked()]
    odd = {alpha for alpha in asked if alpha % 2}
    assert odd
    plan = prepare(write_spec(*JOINT, *SHARED), store.root)
    assert [point["alpha"] for point in plan.points] == [alpha for alpha in asked if alpha % 2 == 0]
    assert [warning.partition(",")[0] for warning in plan.warnings] == [f"alpha={a}" for a in asked if a % 2]
    with searching(*SHARED) as search:
        run(search)
        assert not odd & {point["alpha"] for point in search.plan.points}
    assert "the value of alpha=" in said[0]


def test_a_storage_that_cannot_be_used_is_said_so(searching):
    url = "sqlite:////no/such/folder/optuna.db"
    with (
        pytest.raises(StoreError, match=r"search\.storage"),
        searching(("parallel: 1", f"parallel: 1, storage: '{url}'")),
    ):
        pass


def test_test_labels_are_no_objective(searching):
    with pytest.raises(SpecError, match="test labels"), searching(("validation.cc.energy_mae", "test.cc.energy_mae")):
        pass


def of_another_optuna(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'v0.9.0.a'")
        database.commit()


def test_a_storage_of_another_optuna_is_said_so(searching, tmp_path):
    elsewhere = ("trials: 6", f"trials: 1, storage: 'sqlite:///{tmp_path / 'own.db'}'")
    with searching(elsewhere):
        pass
    of_another_optuna(tmp_path / "own.db")
    with pytest.raises(StoreError, match=r"optuna storage upgrade"), searching(elsewhere):
        pass


def cut_short(path):
    path.write_bytes(path.read_bytes()[:5000])


def overwritten(path):
    path.write_text("no database")


def later(path):
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("UPDATE alembic_version SET version_num = 'of tomorrow'")
        database.commit()


@pytest.mark.parametrize("spoil", [Path.unlink, cut_short, overwritten, of_another_optuna, later])
def test_no_state_of_the_stores_own_storage_costs_a_point(searching, tmp_path, said, spoil):
    with searching() as search:
        run(search)
    whole = values(trials(tmp_path / "store"))
    (tmp_path / "store").rename(tmp_path / "whole")
    with searching() as search:
        run(search, 7)
    spoil(tmp_path / "store" / "optuna.db")
    with searching() as search:
        assert run(search) == 12 - 7, "what is done is told without training"
        points = search.plan.points
    assert [point["alpha"] for point in points] == whole, "the same points, in the same order"
    assert len(said) == (spoil is not Path.unlink)


def two(trials, more):
    objective = f"[validation.cc.energy_mae, {SECOND}], trials: {trials}{more}"
    return ("objective: validation.cc.energy_mae, trials: 6", f"objective: {objective}")


@pytest.mark.parametrize(
    ("sampler", "trials", "more"), [("nsga2", 12, ", population: 4"), ("tpe", 6, ""), ("random", 6, ""), ("gp", 6, "")]
)
def test_two_objectives_are_both_told(searching, tmp_path, sampler, trials, more):
    with searching(two(trials, f"{more}, sampler: {sampler}")) as search:
        assert run(search) == 2 * trials
    for trial in trials_of(tmp_path):
        alpha = trial.params["alpha"]
        assert trial.values == pytest.approx([(alpha - 0.3) ** 2 + 0.5, (alpha - 0.7) ** 2 + 0.5])
    with pytest.raises(StoreError, match="was made for"), searching():
        pass


def trials_of(tmp_path):
    return trials(tmp_path / "store")


TWO_AXES = (
    ("alpha: {low: 0.01, high: 0.99}", "alpha: {low: 0.01, high: 0.99}\n  rate: {low: 0.001, high: 0.1, log: true}"),
    ("max_steps: 4\n    validate_every: 2\n  finetune", 'learning_rate: "${rate}"\n    max_steps: 4\n    validate_every: 2\n  finetune'),
)  # fmt: skip


def test_cmaes_draws_generations_over_two_axes_and_goes_on_after_a_break(searching, tmp_path):
    cmaes = ("trials: 6", "trials: 12, sampler: cmaes, population: 4")
    with searching(*TWO_AXES, cmaes) as search:
        run(search, 9)
    with searching(*TWO_AXES, cmaes) as search:
        assert run(search) == 24 - 9
    found = [trial for trial in trials_of(tmp_path) if trial.state is TrialState.COMPLETE]
    assert len({trial.params["rate"] for trial in found}) == 12
    assert any("cma:" in name for trial in found for name in trial.system_attrs), "not drawn at random"


@pytest.mark.parametrize("sampler", [pytest.param("gp", marks=pytest.mark.slow), "nsga2"])
def test_other_samplers_go_on_as_if_there_had_been_no_break(searching, tmp_path, sampler):
    change = (
        two(8, ", population: 2, sampler: nsga2") if sampler == "nsga2" else ("trials: 6", "trials: 7, sampler: gp")
    )
    with searching(change) as search:
        run(search)
    whole = values(trials_of(tmp_path))
    (tmp_path / "store").rename(tmp_path / "whole")
    with searching(change) as search:
        run(search, 11)
    with searching(change) as search:
        run(search)
    assert values(trials_of(tmp_path)) == whole


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (("trials: 6", "trials: 6, sampler: cmaes"), r"search\.sampler.*searches one axis alone"),
        (("trials: 6", "trials: 40, sampler: nsga2"), r"search\.sampler.*list of two metrics"),
        (two(6, ", sampler: cmaes"), r"search\.sampler.*one objective"),
        (two(12, ", sampler: nsga2"), r"search\.trials.*at least 16 trials, 2 generations of 8"),
        (two(6, ", pruner: median"), r"search\.pruner.*two objectives"),
        (("trials: 6", "trials: 6, population: 4"), r"search\.population.*tpe has no generations"),
        (("trials: 6", "trials: 6, prune_after: 4"), r"search\.prune_after.*a `pruner`"),
        (("trials: 6", "trials: 6, pruner: medain"), r"search\.pruner.*Did you mean 'median'"),
        (("trials: 6", "trials: 6, sampler: nsga"), r"search\.sampler.*Did you mean 'nsga2'"),
        (("objective: validation.cc.energy_mae", f"objective: [{SECOND}, {SECOND}]"), r"objective\[1\].*another metric"),
        (("objective: validation.cc.energy_mae", f"objective: [{SECOND}]"), r"search\.objective.*a list of 2"),
        (("objective: validation.cc.energy_mae", f"objective: [{SECOND}, validation.loss]"), r"objective\[1\].*weighted"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused_with_its_place(searching, change, says):
    with pytest.raises(SpecError, match=says), searching(change):
        pass


PRUNED = ("trials: 6, parallel: 1", "trials: 4, parallel: 1, pruner: successive_halving, prune_after: 2")
LONG = ("max_steps: 4\n    validate_every: 2\n  finetune", "max_steps: 8\n    validate_every: 2\n  finetune")


def train(search, steps=(2, 4, 6, 8)):
    """Train what waits, with curves, until nothing does; return the keys that were given up."""
    given_up = []
    while keys := [key for key in waiting(search) if not search.is_spared(key)]:
        key = keys[0]
        folder = search.plan.store.stage(key)
        folder.path.mkdir(parents=True, exist_ok=True)
        folder.begin()
        alpha, seed = (search.plan.graph.nodes[key].values[name] for name in ("alpha", "seed"))
        for step in steps:
            found = {"validation.cc.energy_mae": (alpha - 0.3) ** 2 + seed + 1 / step, SECOND: 1.0}
            append(folder.metrics, [line(step, found, 0.0)])
            search.judge(key, {"step": step, "validation": found})
            if folder.pruning():
                given_up.append(key)
                break
        else:
            finish(search, key)
        search.advance([key])
    return given_up


def test_points_that_fall_behind_are_given_up_and_trained_to_their_end_without_a_pruner(
    searching, write_spec, tmp_path
):
    with searching(PRUNED, LONG) as search:
        given_up = train(search)
        pruned = [point["alpha"] for point in search._given_up.points]
        assert search.progress == f"4 of 4 points, {len(pruned)} of them pruned"
        assert search.failed == 0
    found = trials_of(tmp_path)
    assert 0 < len(given_up) == len(pruned) < 4, "a point is given up with its first seed; the other is not begun"
    assert values(found, TrialState.PRUNED) == pruned
    best = min((one for one in found if one.state is TrialState.COMPLETE), key=lambda one: one.value)
    assert all((alpha - 0.3) ** 2 > best.value - 0.5 for alpha in pruned)
    assert all(one.intermediate_values for one in found)
    plan = prepare(write_spec(*JOINT, PRUNED, LONG), tmp_path / "store")
    states = {row.key: row.state for row in status(plan)}
    assert {key for key, state in states.items() if state == "pruned"} == set(given_up)
    assert sum(state == "skipped" for state in states.values()) == len(given_up)
    (study,) = found_by(plan)
    assert (study.pruned, study.unfinished) == (len(pruned), 0)
    assert f"{len(pruned)} point{'s' if len(pruned) > 1 else ''} pruned" in " ".join(study.sentences())

    with searching(PRUNED, LONG) as search:
        assert train(search) == []
        assert all(map(search.is_spared, waiting(search)))
    (tmp_path / "store" / "optuna.db").unlink()
    with searching(PRUNED, LONG) as search:
        assert train(search) == [], "the marks in the store say what was given up"
    assert values(trials_of(tmp_path), TrialState.PRUNED) == pruned

    off = (PRUNED[0], "trials: 4, parallel: 1")
    with searching(off, LONG) as search:
        assert set(given_up) <= set(waiting(search)), "they wait again as soon as it is opened" if pruned else ""
        train(search)
        assert waiting(search) == []
    assert set(pruned) <= set(values(trials_of(tmp_path)))
    assert not any(folder.pruning() for folder in StoreFolder(tmp_path / "store").stages())


def test_a_search_with_a_pruner_that_was_cut_off_goes_on_as_if_it_had_not_been(searching, tmp_path, monkeypatch):
    with searching(PRUNED, LONG) as search:
        train(search)
    whole = [(trial.params, trial.state, trial.values) for trial in trials_of(tmp_path)]
    (tmp_path / "store").rename(tmp_path / "whole")

    class CutError(Exception):
        pass

    def cut(*_):
        raise CutError

    monkeypatch.setattr(OptunaStudy, "prune", cut)  # after the mark, before Optuna knows
    with searching(PRUNED, LONG) as search, pytest.raises(CutError):
        train(search)
    monkeypatch.undo()
    with searching(PRUNED, LONG) as search:
        train(search)
    found = [
        (trial.params, trial.state, trial.values) for trial in trials_of(tmp_path) if trial.state is not TrialState.FAIL
    ]
    assert found == whole


def test_a_stage_that_another_study_needs_is_not_given_up(searching, tmp_path):
    # The other study fine-tunes what the first one trains; its points are the same ones, asked for at the same time.
    more = (
        ("seed: [0, 1]", "seed: [0]\n  last: [pretrain, finetune]"),
        ("result: pretrain", 'result: "${last}"'),
        ("trials: 4", "trials: 4, sampler: random"),
    )
    with searching(PRUNED, LONG, *more) as search:
        train(search)
        parents = {node.parent for node in search.plan.graph.nodes.values() if node.parent}
        undone = [key for key in waiting(search) if key in parents]
        assert not undone, "a pre-training is trained to its end for the fine-tuning behind it"
    states = {trial.state for trial in trials(tmp_path / "store", "small:last=pretrain")}
    assert states == {TrialState.COMPLETE}
    assert {trial.state for trial in trials(tmp_path / "store", "small:last=finetune")} == {
        TrialState.COMPLETE,
        TrialState.PRUNED,
    }


def test_a_file_that_another_process_holds_for_a_moment_costs_no_point(searching, tmp_path, said, monkeypatch):
    monkeypatch.setattr(optuna_study, "BUSY_SECONDS", 0.01)
    with searching() as search:
        run(search, 3)
        key = waiting(search)[0]
        finish(search, key)
        with contextlib.closing(sqlite3.connect(tmp_path / "store" / "optuna.db")) as other:
            other.execute("BEGIN EXCLUSIVE")
            for _ in range(2):
                with pytest.raises(NotNow):
                    search.advance([key])
            other.rollback()
        search.advance([key])
        assert run(search) == 12 - 4
        assert search.progress == "6 of 6 points"
    assert len(values(trials(tmp_path / "store"))) == len(trials(tmp_path / "store")) == 6
    away, back = said
    assert away.startswith("The Optuna storage cannot be used at this moment (OperationalError: ")
    assert "database is locked" in away
    assert back == "The Optuna storage answers again"


def test_a_storage_that_fails_before_anything_runs_is_said_in_a_sentence(searching, monkeypatch):
    def away(*_):
        raise StorageInternalError("an error during the commit") from OSError("no route to postgresql://me:pw@lab/db")

    monkeypatch.setattr(OptunaStudy, "ask", away)
    with (
        pytest.raises(StoreError, match=r"the Optuna storage .*optuna\.db cannot be used: OSError: no route") as error,
        searching(),
    ):
        pass
    assert "pw" not in str(error.value)


def test_a_connection_is_looked_at_before_it_is_used_and_a_locked_file_waited_for(tmp_path):
    storage = open_storage(f"sqlite:///{tmp_path / 'own.db'}")
    engine = storage._backend.engine
    with engine.connect() as connection:
        assert connection.exec_driver_sql("PRAGMA busy_timeout").scalar() == 60_000
    assert engine.pool._pre_ping
    engine.dispose()
    assert optuna_study._engine_of("postgresql+psycopg://host/studies") == {"pool_pre_ping": True}


class Failing(InMemoryStorage):
    """A storage of which some calls fail, by their number: before they did anything, or with the answer lost."""

    def __init__(self):
        super().__init__()
        self.calls, self.fails = 0, {}


def _failing(name):
    work = getattr(InMemoryStorage, name)

    def call(self, *own, **named):
        if not self.fails:
            return work(self, *own, **named)
        self.calls += 1
        fails, self.fails = self.fails, {}  # its calls of its own methods are part of this one
        try:
            if fails.get(self.calls) == "before":
                raise StorageInternalError("away")
            answer = work(self, *own, **named)
            if fails.get(self.calls) == "after":
                raise StorageInternalError("away")
            return answer
        finally:
            self.fails = fails

    return call


for _name in BaseStorage.__abstractmethods__:
    setattr(Failing, _name, _failing(_name))

THREE = ("parallel: 1", "parallel: 3")
KINDS = {
    "one at a time": (),
    "three at a time": (THREE,),
    "two axes": (*TWO_AXES, THREE),
    "points that are refused": SHARED,
    "points that are given up": (PRUNED, LONG),
}
"""One point at a time once it was broken off: where three were out, two wait."""


@pytest.fixture(scope="module")
def played(tmp_path_factory):
    """Give a function that runs a search in a new store, broken off once, with a storage of which some calls fail."""
    folder = tmp_path_factory.mktemp("played")

    @functools.cache
    def planned(kind, is_first):
        path = folder / f"{kind} {is_first}" / "small.yaml"
        path.parent.mkdir()
        text = SPEC
        for old, new in (*JOINT, *(change for change in KINDS[kind] if is_first or change is not THREE)):
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)
        return prepare(path, path.parent / "store")

    def play(kind, fails=()):
        storage, said = Failing(), []
        with tempfile.TemporaryDirectory(dir=folder) as own, pytest.MonkeyPatch.context() as patch:
            patch.setattr(search, "open_in_store", lambda *_: storage)
            for is_first in (True, False):
                plan = replace(planned(kind, is_first), store=StoreFolder(Path(own)), inventory=Inventory())
                with opened(plan if is_first else prepare(plan.spec.document.path, Path(own)), said.append) as found:
                    if is_first:
                        by_hand = optuna.load_study(study_name="small", storage=storage)
                        for alpha in (3, 4, 1) if kind == "points that are refused" else (0.2, 0.001):
                            by_hand.enqueue_trial({"alpha": alpha})
                    storage.fails = dict(fails)
                    found.advance = until_it_answers(found.advance)
                    train(found) if kind == "points that are given up" else run(found, 5 if is_first else None)
                    storage.fails = {}
            asked = plan.store.sweep("small").asked()
        ended = [one for one in storage.get_all_trials(0) if one.state in (TrialState.COMPLETE, TrialState.PRUNED)]
        told = [(one.params, one.state, one.values, one.user_attrs, one.intermediate_values) for one in ended]
        failed = any(number <= storage.calls for number in fails)
        return (told, asked, found.progress), failed, [one for one in said if one.startswith("The Optuna storage")]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(check, "_judged", lambda *_: ())  # of the data, which takes most of the time
        yield play, functools.cache(play)


def until_it_answers(advance):
    """Return an `advance` that is called until the storage answers, as the stage queue calls it."""

    def patient(ended):
        for _ in range(100):
            with contextlib.suppress(NotNow):
                return advance(ended)
        raise AssertionError("it has failed more often than it was to")

    return patient


@given(
    kind=st.sampled_from(sorted(KINDS)),
    fails=st.dictionaries(st.integers(1, 120), st.sampled_from(["before", "after"]), min_size=1, max_size=30),
)
def test_a_storage_that_fails_at_any_calls_ends_with_the_same_points_told_once(played, kind, fails):
    play, once = played
    found, failed, said = play(kind, fails)
    assert found == once(kind)[0], "the same ones in the same order, with their numbers, stages and scores"
    numbers = [attributes["point"] for _, _, _, attributes, _ in found[0]]
    assert len(set(numbers)) == len(numbers)
    assert ["again" in one for one in said] == [False, True] * (len(said) // 2)
    assert bool(said) is failed
