"""Every ready spec is loaded and planned; those of the source study share their stages."""

from functools import cache
from pathlib import Path

import pytest

from mfsweep.prepare import prepare
from mfsweep.spec.load import load

SPECS = Path(__file__).parents[1] / "search_spaces"
PAPER = sorted(SPECS.glob("paper/*.yaml"))
BUNDLED = sorted(set(SPECS.glob("**/*.yaml")) - set(PAPER))
TWINS = sorted(SPECS.glob("mini/*.yaml"))
REAL = sorted(SPECS.glob("real/*.yaml"))


@cache
def planned(name):
    return prepare(SPECS / "paper" / f"{name}.yaml", Path("no-store"), allow_missing_data=True)


def keys(name, stage=None):
    return {key for key, node in planned(name).graph.nodes.items() if stage in (None, node.name)}


@pytest.mark.parametrize("path", BUNDLED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_every_ready_spec_is_planned_on_its_data(path, tmp_path):
    plan = prepare(path, tmp_path / "store")
    assert plan.graph.nodes or plan.spec.searched


@pytest.mark.parametrize("name", [path.stem for path in PAPER])
def test_every_experiment_of_the_study_is_planned_without_its_data(name):
    plan = planned(name)
    assert plan.graph.nodes
    assert "not looked at" in plan.warnings[0]
    assert plan.spec.experiment.name == f"paper-{name}"
    assert plan.spec.experiment.figures
    assert plan.spec.experiment.claims


def test_every_experiment_has_a_twin_on_neural_teachers_and_the_main_ones_a_spec_on_real_labels():
    assert {path.stem for path in TWINS} == {path.stem for path in PAPER} | {"replay"}, "which is a question of ours"
    assert {path.stem for path in REAL} == {"fig3", "fig4", "fig6", "fig8", "figS4", "delta"}
    assert {load(path).experiment.data.source for path in TWINS} == {"bundled:mini-ani"}
    assert {load(path).experiment.data.source for path in REAL} == {"bundled:mini-ccx-2"}


def test_twins_have_folds_as_replicates_and_one_partition_and_recipe():
    twins, real = ([load(path).experiment for path in paths] for paths in (TWINS, REAL))
    assert {one.data.splits for one in twins} == {load(SPECS / "quickstart.yaml").experiment.data.splits}
    assert len({one.data.splits for one in real}) == 1
    assert twins[0].data.splits.folds == real[0].data.splits.folds == 5
    recipes = {
        (
            stage["learning_rate"],
            stage["max_steps"],
            str(stage["schedule"]),
            str(stage["batch"]),
        )
        for one in (*twins, *real)
        for stage in one.stages.values()
    }
    assert len(recipes) == 1


@pytest.mark.parametrize("suite", ["paper", "mini"])
def test_rates_of_fine_tuning_are_that_of_pre_training_and_its_tenths_as_the_statements_say(suite):
    plan = prepare(SPECS / suite / "figS3.yaml", Path("no-store"), allow_missing_data=True)
    (rate,) = {node.training.recipe.learning_rate for node in plan.graph.nodes.values() if node.name == "pretrain"}
    experiment = plan.spec.experiment
    assert experiment.axes["rate"] == pytest.approx([rate, rate / 10, rate / 100])
    tenth, hundredth = (experiment.claims[name] for name in ("tenth_suffices", "hundredth_adds_nothing"))
    assert [tenth.against["rate"], tenth.this["rate"]] == pytest.approx([rate, rate / 10])
    assert [hundredth.against["rate"], hundredth.this["rate"]] == pytest.approx([rate / 10, rate / 100])


def test_every_experiment_of_the_study_has_a_spec():
    figures = {f"fig{number}" for number in (3, 4, 5, 6, 7, 8, 9, 10, 11, "12a", "12b", "S2", "S3", "S4")}
    assert {path.stem for path in PAPER} == figures | {"table1", "tableS2", "one_head", "negative_control"}


def test_the_experiments_state_data_and_recipe_identically():
    trainings = [node.training for path in PAPER for node in planned(path.stem).graph.nodes.values()]
    assert len({training.data.splits.key for training in trainings}) == 1
    assert len({training.recipe.batch.key for training in trainings}) == 1
    assert not trainings[0].recipe.batch.adapt_bins
    assert {training.recipe.max_steps for training in trainings} == {None}


@pytest.mark.parametrize("other", ["fig4", "figS4"])
def test_figure_3_is_part_of_the_grids_that_repeat_it(other):
    assert keys("fig3") < keys(other)


@pytest.mark.parametrize("other", ["fig7", "fig9", "figS2", "figS3", "tableS2", "negative_control"])
def test_the_pretrainings_of_figure_3_reappear(other):
    assert len(keys("fig3", "pretrain") & keys(other)) >= 3, "at least one size, for each of three seeds"


def test_direct_training_is_one_stage_wherever_it_is_drawn():
    direct = {key for key in keys("fig3", "finetune") if planned("fig3").graph.nodes[key].parent is None}
    assert len(direct) == 15
    for other in ("fig4", "fig7", "fig8", "figS2", "figS3", "figS4", "one_head", "negative_control"):
        assert direct <= keys(other), other


def test_multi_head_training_is_one_stage_wherever_it_is_drawn():
    assert keys("table1", "joint") < keys("fig8", "joint")
    assert keys("fig12a", "two_heads") < keys("fig8", "joint")
    assert len(keys("fig11", "joint") & keys("fig8", "joint")) == 3


def test_full_fine_tuning_is_plain_fine_tuning():
    full = {
        key
        for planned_cell in planned("fig7").graph.cells
        if planned_cell.cell.values["variant"] == "full"
        for key in planned_cell.keys.values()
    }
    assert full < keys("figS4")


def test_only_figure_11_trains_on_the_test_structures():
    for path in PAPER:
        trained = {s.subset for node in planned(path.stem).graph.nodes.values() for s in node.training.sets}
        assert ("t" in trained) == (path.stem == "fig11")
