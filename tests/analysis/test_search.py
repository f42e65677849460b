import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.analysis.best import not_worse
from mfsweep.analysis.front import not_behind
from mfsweep.analysis.search import searched
from mfsweep.errors import FitError
from mfsweep.store import StoreFolder

OBJECTIVE = "validation.cc.energy_mae"
ALSO = "validation.dft.energy_mae"


@pytest.fixture
def search(world):
    """Give a function that writes the cells of a search, {alpha: score with each seed}, and analyses them."""

    def write(scores, axes=("alpha",), **others):
        for values, of_seeds in scores.items():
            point = dict(zip(axes, values if isinstance(values, tuple) else (values,), strict=True))
            for seed, score in enumerate(of_seeds):
                metrics = None if score is None else {OBJECTIVE: score}
                key = world.stage([("cc", "a", 10)], seed=seed, metrics=metrics, recipe={**others, **point})
                if score is None:
                    world.store.stage(key).record_path.unlink()
                world.cell({**others, **point, "seed": seed}, {"joint": key}, {}, result="joint")
        return searched(world.store, world.cells, axes, [OBJECTIVE])

    return write


def test_the_flat_region_is_what_cannot_be_told_from_the_best(search):
    # Two seeds, of which the second is worse for all: that is no difference of the points.
    scores = {0.9: (30, 60), 0.1: (10.4, 20), 0.3: (10, 20.4), 0.5: (10.2, 20.3), 0.7: (14, 28.3)}
    (study,) = search(scores)
    assert study.best.values == {"alpha": 0.1}
    assert [point.values["alpha"] for point in study.flat] == [0.1, 0.3, 0.5]
    said = " ".join(study.sentences())
    assert "best alpha 0.1: validation.cc.energy_mae 15.2 ± 4.8 meV/atom (5 points, 2 seeds each)" in said
    assert "flat region, not told from the best (Hsu, 95 %): alpha from 0.1 to 0.5 (0.1, 0.3, 0.5)" in said


def test_the_region_is_an_interval_only_where_every_point_in_between_is_of_it(search):
    (study,) = search({0.1: (10, 20), 0.3: (14, 28), 0.5: (10.2, 20.3), 0.7: (15, 31)})
    assert "flat region, not told from the best (Hsu, 95 %): alpha 0.1; alpha 0.5" in study.sentences()[1]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    folds=st.integers(2, 4), seeds=st.integers(1, 3), two=st.booleans(), folded=st.booleans(), draw=st.integers(0, 99)
)
def test_seeds_of_one_partition_are_averaged_before_points_are_told_apart(
    world, tmp_path, folds, seeds, two, folded, draw
):
    world = type(world)(StoreFolder(tmp_path / f"{folds}-{seeds}-{two}-{folded}-{draw}"))
    logs = np.random.default_rng(draw).normal(scale=0.2, size=(3, folds, seeds, 2))
    scores = np.exp(logs + np.linspace(0, 0.4, 3)[:, None, None, None])
    for alpha, fold, seed in np.ndindex(3, folds, seeds):
        metrics = dict(zip((OBJECTIVE, ALSO), scores[alpha, fold, seed].tolist(), strict=True))
        split = {"folds": folds, "fold": fold} if folded else {"split_seed": fold}
        sets = [("cc", "a", 10), ("dft", "b", 10)]
        key = world.stage(sets, seed=seed, metrics=metrics, recipe={"alpha": alpha}, **split)
        axes = {"alpha": alpha, "seed": seed, "fold" if folded else "split_seed": fold}
        world.cell(axes, {"joint": key}, {}, result="joint")
    (study,) = searched(world.store, world.cells, ["alpha"], [OBJECTIVE, *([ALSO] if two else [])])
    means = scores.mean(axis=2)
    np.testing.assert_allclose([point.scores for point in study.points], means[..., 0])
    np.testing.assert_allclose([point.mean for point in study.points], scores[..., 0].mean(axis=(1, 2)))
    kept = not_behind(np.moveaxis(means, 2, 0)) if two else not_worse(means[..., 0])
    assert [point.values["alpha"] for point in study.flat] == np.flatnonzero(kept).tolist()
    noun = "fold" if folded else "partition"
    assert f"3 points, {folds} {noun}s each" in study.sentences()[0]
    assert (study.as_json()["replicate"], f"{noun}s" in study.table()[1]) == (noun, True)


def test_one_seed_has_no_standard_error_and_the_best_five_are_named(search):
    (study,) = search({alpha / 10: (float(alpha),) for alpha in range(9, 0, -1)})
    assert study.flat == ()
    said = " ".join(study.sentences())
    assert "no standard error with one seed" in said
    assert "alpha 0.1 1; alpha 0.2 2; alpha 0.3 3; alpha 0.4 4; alpha 0.5 5" in said
    assert "0.6" not in said
    assert study.as_json()["flat"] is None


def test_a_point_that_lacks_a_seed_is_left_out_and_counted(search):
    (study,) = search({0.1: (1, None), 0.5: (2, 3), 0.9: (4, 5)})
    assert [point.values["alpha"] for point in study.points] == [0.5, 0.9]
    assert "1 point is left out" in " ".join(study.sentences())


def test_a_study_without_a_finished_point_is_not_there(search):
    assert search({0.1: (None, None)}) == []


def test_each_combination_of_the_other_axes_is_a_study_of_its_own(search):
    search({0.1: (1, 2), 0.5: (2, 3)}, method="dft")
    dft, xtb = search({0.1: (7, 7), 0.5: (6, 6)}, method="xtb")
    assert (dft.name, dft.best.values) == ("method=dft", {"alpha": 0.1})
    assert (xtb.name, xtb.best.values) == ("method=xtb", {"alpha": 0.5})


def test_several_searched_axes_are_named_together(search):
    (study,) = search({(0.1, 30): (1.0, 1.2), (0.2, 10): (1.1, 1.1)}, axes=("alpha", "size"))
    assert "best alpha 0.1 size 30" in study.sentences()[0] or "best alpha 0.2 size 10" in study.sentences()[0]
    assert "alpha 0.1 size 30; alpha 0.2 size 10" in study.sentences()[1]


def test_the_result_is_plain_data(search):
    (study,) = search({0.1: (1, 3), 0.5: (4, 4)})
    plain = json.loads(json.dumps(study.as_json()))
    assert plain["best"] == {"values": {"alpha": 0.1}, "mean": 2.0, "standard_error": 1.0, "scores": [1, 3]}
    assert plain["flat"] == [{"alpha": 0.1}, {"alpha": 0.5}]
    assert len(plain["points"]) == 2


def test_an_objective_that_no_result_has_is_an_error(search, world):
    search({0.1: (1, 2)})
    with pytest.raises(FitError, match="no such metric"):
        searched(world.store, world.cells, ["alpha"], ["validation.xtb.energy_mae"])


@pytest.fixture
def search_of_two(world):
    """Give a function that writes the cells of a search of two objectives, {alpha: two lists of scores}."""

    def write(scores):
        for alpha, both in scores.items():
            for seed, (one, other) in enumerate(zip(*both, strict=True)):
                metrics = {OBJECTIVE: one, ALSO: other}
                key = world.stage(
                    [("cc", "a", 10), ("dft", "b", 10)], seed=seed, metrics=metrics, recipe={"alpha": alpha}
                )
                world.cell({"alpha": alpha, "seed": seed}, {"joint": key}, {}, result="joint")
        return searched(world.store, world.cells, ["alpha"], [OBJECTIVE, ALSO])

    return write


def test_two_objectives_give_a_front_and_what_cannot_be_told_from_it(search_of_two):
    (study,) = search_of_two(
        {0.1: ((10, 11), (40, 44)), 0.3: ((14, 15.5), (30, 33)), 0.5: ((14.2, 15.6), (30.5, 33.4)), 0.9: ((60, 66), (80, 88))}
    )  # fmt: skip
    assert [point.values["alpha"] for point in study.front] == [0.1, 0.3]
    assert [point.values["alpha"] for point in study.flat] == [0.1, 0.3, 0.5]
    said = study.sentences()
    assert said[0].startswith("Pareto front of validation.cc.energy_mae (meV/atom) and validation.dft.energy_mae")
    assert said[1] == "  alpha 0.1: 10.5 ± 0.5 and 42 ± 2"
    assert said[-1] == "not told from the front either (Tukey, 95 %): alpha 0.5"
    plain = json.loads(json.dumps(study.as_json()))
    assert [point["values"] for point in plain["front"]] == [{"alpha": 0.1}, {"alpha": 0.3}]
    _, head, rows = study.table()
    assert head[-2:] == ["front", "not told from it"]
    assert [row[-2:] for row in rows] == [("yes", "yes"), ("yes", "yes"), ("", "yes"), ("", "")]


def test_pruned_points_are_counted_apart(search, world):
    search({0.1: (1, None), 0.5: (2, 3), 0.9: (4, 5)})
    (study,) = searched(world.store, world.cells, ["alpha"], [OBJECTIVE], [{"alpha": 0.1}])
    assert (study.pruned, study.unfinished) == (1, 0)
    assert "1 point pruned: given up by the curves, not compared here" in study.sentences()
