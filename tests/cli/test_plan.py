"""`mfsweep plan` of several specs, with their cost; `mfsweep bench`; `mfsweep data residuals`."""

import json

import pytest

ELSEWHERE = ("bundled:mini-ccx", "elsewhere.h5")


@pytest.fixture
def mfsweep(called, tmp_path):
    """Give a function that runs a command on a store of its own; it returns exit code, output and errors."""
    return lambda *args: called(*args, "--store", tmp_path / "store")


@pytest.fixture
def planned(mfsweep):
    """Give a function that returns what `plan --json` prints."""

    def plan(*args):
        code, out, err = mfsweep("plan", *args, "--json")
        assert code == 0, err
        return json.loads(out)

    return plan


@pytest.fixture
def costs(tmp_path):
    """Write a table of costs: 2 s with forces, 1 s without, of the small spec's model."""
    path = tmp_path / "costs.yaml"
    path.write_text(
        "- &row {device: Some GPU, model: &model {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1,\n"
        "    radial_hidden: [8], bessel: 4, r_max: 3.0}, forces: true, seconds: 2}\n"
        "- {device: Some GPU, model: *model, forces: false, seconds: 1e0}\n"
    )
    return path


def test_several_specs_are_planned_together(planned, write_spec):
    first = write_spec()
    second = write_spec(("name: small", "name: other"), ("[0, 20, 40]", "[0, 40, 50]"), name="other.yaml")
    printed = planned(first, second)
    assert [(spec["name"], spec["stages"], spec["new"]) for spec in printed["specs"]] == [
        ("small", 8, 8),
        ("other", 8, 3),
    ]
    assert (printed["cells"], printed["stages"], printed["stages_without_sharing"]) == (12, 11, 20)


def test_a_table_shows_each_spec_and_what_sharing_saves(mfsweep, write_spec):
    second = write_spec(("name: small", "name: other"), name="other.yaml")
    code, out, _ = mfsweep("plan", write_spec(), second)
    assert code == 0
    assert "8 stages to train once, in place of 20 (2.5x): 4 are shared within a spec, 8 between specs." in out


def test_hours_and_price_follow_from_a_given_table(planned, write_spec, costs):
    cost = planned(write_spec(), "--costs", costs, "--price", "3.6")["cost"]
    steps, batches, pretrainings, finetunings = 4, 4, 2, 6
    seconds = steps * batches * (2 * pretrainings + 1 * finetunings)
    assert cost["shared"]["device_hours"] == {"Some GPU": pytest.approx(seconds / 3600)}
    assert cost["shared"]["price"] == {"Some GPU": pytest.approx(seconds / 1000)}
    assert {row["source"].rpartition("/")[2] for row in cost["seconds_per_batch"]} == {"costs.yaml"}
    assert cost["steps_assumed"] is None


def test_hours_of_a_cpu_are_not_called_gpu_hours(mfsweep, write_spec, costs):
    _, out, _ = mfsweep("plan", write_spec())
    assert "device-hours (not GPU-hours) of CPU, 2 cores" in out
    assert "mfsweep's own table" in out
    _, out, _ = mfsweep("plan", write_spec(), "--costs", costs)
    assert "GPU-hours of Some GPU" in out
    assert "not GPU-hours" not in out


def test_steps_without_a_limit_are_assumed_and_can_be_set(mfsweep, planned, write_spec):
    spec = write_spec(("max_steps: 4", "schedule: {stop_steps: 100}"))
    assert planned(spec)["cost"]["steps_assumed"] == {"stages": 8, "steps": [300]}
    assert planned(spec, "--assume-steps", "50")["cost"]["shared"]["steps"] == 8 * 50
    assert "8 stages run to completion, in 300 steps each (3 x stop_steps" in mfsweep("plan", spec)[1]


def test_a_plan_answers_without_the_data_and_says_so(mfsweep, planned, write_spec):
    spec = write_spec(ELSEWHERE)
    printed = planned(spec)
    assert (printed["stages"], printed["done"]) == (8, 0)
    assert "elsewhere.h5" in printed["warnings"][0]
    code, out, _ = mfsweep("plan", spec)
    assert code == 0
    assert "not looked at" in " ".join(out.split())


@pytest.mark.parametrize("command", [("run",), ("status",), ("data", "residuals")])
def test_whatever_needs_the_data_does_not_begin_without(mfsweep, write_spec, tmp_path, command):
    code, _, err = mfsweep(*command, write_spec(ELSEWHERE))
    assert code == 2
    assert "elsewhere.h5" in err
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- {device: Some GPU, forces: true, seconds: 2}\n", ":1: [0]: got nothing, expected the field 'model'"),
        (
            "- {device: Some GPU, model: {architecture: mace}, forces: true, seconds: -2}\n",
            "[0].seconds: got -2, expected a number above 0",
        ),
        ("seconds: [\n", "not YAML: a value is missing, or a bracket"),
        ("- !!python/object/apply:os.getcwd []\n", "not YAML"),
        ("- &a [*a]\n", "not YAML"),
        ("[" * 20_000, "not YAML"),
    ],
)
def test_a_wrong_table_of_costs_ends_in_2(mfsweep, write_spec, tmp_path, text, says):
    path = tmp_path / "wrong.yaml"
    path.write_text(text)
    code, _, err = mfsweep("plan", write_spec(), "--costs", path)
    assert code == 2
    assert str(path) in err
    assert says in err


def test_bench_measures_each_kind_of_batch_once_and_the_plan_reckons_with_it(mfsweep, planned, write_spec, tmp_path):
    spec = write_spec()
    code, out, err = mfsweep("bench", spec, "--steps", "1", "--json", "--device", "cpu")
    assert code == 0, err
    rows = json.loads(out)
    assert [row["forces"] for row in rows] == [False, True]
    assert all(row["seconds"] > 0 and row["device"].startswith("CPU") and row["torch"] for row in rows)
    assert json.loads((tmp_path / "store" / "costs.json").read_text()) == rows
    kinds = planned(spec)["cost"]["seconds_per_batch"]
    assert {row["seconds"] for row in kinds} == {row["seconds"] for row in rows}
    assert {row["scaled_from"] for row in kinds} == {None}
    mfsweep("bench", spec, "--steps", "1", "--device", "cpu")
    assert len(json.loads((tmp_path / "store" / "costs.json").read_text())) == 2, "measured again, not added"


def test_bench_skips_an_architecture_whose_packages_are_missing(mfsweep, write_spec, tmp_path, monkeypatch):
    monkeypatch.setenv("MFSWEEP_OVERLAYS", str(tmp_path / "none"))
    spec = write_spec(
        ("model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}",
         "model: {architecture: allegro}")
    )  # fmt: skip
    code, out, _ = mfsweep("bench", spec, "--steps", "1")
    assert code == 0
    assert "skipped" in out
    assert "mfsweep env allegro" in out
    assert not (tmp_path / "store" / "costs.json").exists()


def test_residuals_are_printed_and_drawn_without_training(mfsweep, write_spec, tmp_path):
    code, out, err = mfsweep("data", "residuals", write_spec(), "--json", "--out", tmp_path / "pictures")
    assert code == 0, err
    printed = json.loads(out)
    found = printed["figures"]["residuals"]
    assert found["target"] == "cc"
    assert found["structures"] > 100
    assert found["mean_abs"]["xtb"] > found["mean_abs"]["dft"] > 0
    assert -1 < found["pearson"]["dft"]["xtb"] < 1
    assert sorted(path.name for path in (tmp_path / "pictures").iterdir()) == ["residuals.png", "residuals.svg"]
    assert len(printed["files"]) == 2


def test_the_residuals_that_a_spec_asks_for_go_into_its_sweep(mfsweep, write_spec, tmp_path):
    figures = "figures:\n  far: {kind: residuals, target: cc, methods: [xtb]}\nresources:"
    code, out, err = mfsweep("data", "residuals", write_spec(("resources:", figures)))
    assert code == 0, err
    assert "far: cc less each method" in out
    assert (tmp_path / "store" / "sweeps" / "small" / "figures" / "far.svg").exists()


def test_a_search_that_has_asked_for_nothing_is_bounded_by_its_trials_and_seeds(mfsweep, planned, write_spec, costs):
    path = write_spec(
        ("pretrain_size: [0, 20, 40]", "pretrain_size: {low: 0, high: 40, step: 20}\n  seed: [0, 1, 2]"),
        ("fits:", "search: {objective: validation.cc.energy_mae, trials: 5}\nfits:"),
    )
    (spec,) = planned(path, "--costs", costs)["specs"]
    # Two studies (finetune_size) of 5 points and 3 seeds; the dearest point has a pretraining and a fine-tuning.
    stages, steps, batches = 2 * 5 * 3 * 2, 4, 4
    assert spec["stages"] == 0
    assert spec["search"] == {
        "studies": 2,
        "points_at_most": 10,
        "points_asked": 0,
        "stages_at_most": stages,
        "steps_at_most": stages * steps,
        "device_hours_at_most": {"Some GPU": pytest.approx(stages / 2 * steps * batches * (2 + 1) / 3600)},
        "stages_without_a_cost": 0,
    }
    _, out, _ = mfsweep("plan", path, "--costs", costs)
    assert "2 studies of 5 points, 3 cells each: only the 0 asked for so far" in out
    assert "at most 60 stages" in out


def test_what_stages_are_given_is_said_of_each_kind_where_it_differs(mfsweep, write_spec):
    assert "Each has 1 worker with 1 CPU. Store" in mfsweep("plan", write_spec())[1]
    own = (
        "    start_from: pretrain\n",
        '    start_from: pretrain\n    resources: {workers: 2, cpus_per_worker: "${finetune_size}"}\n',
    )
    out = mfsweep("plan", write_spec(own))[1]
    assert "finetune finetune_size=20 has 2 workers with 20 CPU; " in out
    assert "; pretrain has 1 worker with 1 CPU" in out
