import pytest

from mfsweep.models.allegro import Allegro
from mfsweep.models.mace import Mace
from mfsweep.plan.cost import OWN, BatchWork, Costs, Estimator, MeasuredSeconds, latest, rate, steps, total, works
from mfsweep.plan.expand import expand
from mfsweep.plan.graph import build
from mfsweep.plan.overview import overview
from mfsweep.spec.data import Content
from mfsweep.spec.load import load

SMALL = Mace(channels=4, max_L=0, max_ell=1, correlation=1, radial_hidden=(8,), bessel=4, r_max=3.0)


def row(forces, seconds, model=SMALL, **more):
    return MeasuredSeconds(**{"device": "Fast GPU", "model": model, "forces": forces, "seconds": seconds, **more})


@pytest.fixture
def graph(write_spec):
    """Give a function that builds the graph of the small spec with some of its text replaced."""

    def make(*changes):
        spec = load(write_spec(*changes))
        return build(spec, expand(spec), Content(digest="0" * 64))

    return make


def trainings(graph, name):
    return [node.training for node in graph.nodes.values() if node.name == name]


def test_a_stage_costs_steps_times_batches_times_seconds(graph):
    table = Costs("a table", (row(True, 3.0), row(False, 1.0)))
    pretrain, finetune = (trainings(graph(), name)[0] for name in ("pretrain", "finetune"))
    hours = Estimator([table]).cost(pretrain).hours
    assert hours == {"Fast GPU": pytest.approx(4 * 4 * 3.0 / 3600)}
    hours = Estimator([table]).cost(finetune).hours
    assert hours == {"Fast GPU": pytest.approx(4 * 4 * 1.0 / 3600)}, "energies alone"


def test_a_mixture_costs_the_mean_by_the_shares_of_its_batches(graph):
    mixed = graph(
        ('train: [{labels: cc, subset: a, size: "${finetune_size}"}]',
         "train: [{labels: cc, subset: a, probability: 0.75}, {labels: dft, subset: a}]"),
        ("  finetune_size: [20, 60]\n", ""),
        ("group_by: [finetune_size]", "group_by: []"),
    )  # fmt: skip
    training = trainings(mixed, "finetune")[0]
    assert {work.forces: share for work, share in works(training).items()} == {True: 0.25, False: 0.75}
    table = Costs("a table", (row(True, 3.0), row(False, 1.0)))
    hours = Estimator([table]).cost(training).hours
    assert hours["Fast GPU"] == pytest.approx(4 * 4 * (0.25 * 3 + 0.75 * 1) / 3600)


def test_the_number_of_workers_does_not_change_the_hours(graph):
    alone, four = graph(), graph(("workers: 1", "workers: 4"))
    costs = [[Estimator([OWN]).cost(training) for training in trainings(g, "pretrain")] for g in (alone, four)]
    assert costs[0] == costs[1]


def test_a_stage_without_a_limit_runs_three_times_its_stop_unless_told(graph):
    (endless, *_) = trainings(graph(("max_steps: 4", "schedule: {stop_steps: 100}")), "pretrain")
    assert steps(endless) == 300
    assert steps(endless, 70) == 70
    (limited, *_) = trainings(graph(), "pretrain")
    assert steps(limited, 70) == 4


def test_a_measured_batch_is_taken_as_it_is_and_another_is_scaled_from_the_nearest():
    table = Costs("a table", (row(True, 2.0, Mace(channels=64)), row(True, 9.0, Mace(channels=256))))
    exact = rate(BatchWork(Mace(channels=64), 256, True, "all"), [table])
    assert (exact.seconds, exact.exact) == (2.0, True)
    scaled = rate(BatchWork(Mace(channels=32), 128, True, "all"), [table])
    assert (scaled.seconds, scaled.exact) == (pytest.approx(0.5), False)
    assert scaled.row.model.channels == 64


def test_the_first_table_that_knows_the_architecture_counts():
    allegro = Allegro(architecture="allegro")
    tables = [Costs("given", (row(True, 5.0, allegro),)), OWN]
    assert rate(BatchWork(allegro, 256, True, "all"), tables).origin == "given"
    assert rate(BatchWork(Mace(), 256, True, "all"), tables).origin == OWN.origin
    assert rate(BatchWork(allegro, 256, True, "all"), [OWN]) is None


def test_what_was_not_measured_is_taken_as_the_dearer_thing_that_was():
    table = Costs("a table", (row(True, 5.0, Mace()),))
    assert rate(BatchWork(Mace(), 256, False, "readouts"), [table]).seconds == 5.0
    energies_only = Costs("a table", (row(False, 5.0, Mace()),))
    assert rate(BatchWork(Mace(), 256, True, "all"), [energies_only]) is None


def test_readouts_that_methods_share_cost_a_whole_step(graph):
    """The gradients of the methods' vectors come through the backbone."""
    trained = ("continued: {learning_rate: 1.0e-4}", "continued: {learning_rate: 1.0e-4, trainable: readouts}")
    plain, conditioned = (
        graph(trained),
        graph(trained, ("architecture: mace,", "architecture: mace, conditioning: embedding,")),
    )
    for one, expected in ((plain, "readouts"), (conditioned, "all")):
        child = next(own for own in trainings(one, "finetune") if own.parent)
        assert {work.trainable for work in works(child)} == {expected}


def test_stages_of_an_unknown_model_are_counted_apart(graph):
    allegro = graph(
        ("model: {architecture: mace, channels: 4, max_L: 0, max_ell: 1, correlation: 1, radial_hidden: [8], bessel: 4, r_max: 3.0}",
         "model: {architecture: allegro}")
    )  # fmt: skip
    found = total((Estimator([OWN]).cost(node.training), 2) for node in allegro.nodes.values())
    assert (found.unknown, found.stages, found.hours) == (16, 16, {})


def test_the_device_measured_last_counts_unless_one_is_named():
    rows = [row(True, 1.0, date="2026-01-02"), row(True, 2.0, device="Slow GPU", date="2026-01-01")]
    assert [one.device for one in latest(rows)] == ["Fast GPU"]
    assert [one.device for one in latest(rows, "slow")] == ["Slow GPU"]
    assert latest(rows, "tpu") == ()


def test_an_overview_counts_what_specs_share_once(graph):
    first, second = graph(), graph(("[0, 20, 40]", "[0, 40, 50]"))
    table = Costs("a table", (row(True, 3.0), row(False, 1.0)))
    done = set(list(first.nodes)[:2])
    made = overview([first, second], done, Estimator([table]))
    assert [share.stages for share in made.shares] == [8, 8]
    shared = first.nodes.keys() & second.nodes.keys()
    assert len(shared) == 5, "direct training twice, and the chains from 40"
    assert [share.new for share in made.shares] == [8, 3]
    assert (made.each_cell.stages, made.each_spec.stages, made.shared.stages) == (20, 16, 11)
    assert (made.done, made.to_do.stages) == (2, 9)
    assert made.to_do.hours["Fast GPU"] < made.shared.hours["Fast GPU"] < made.each_cell.hours["Fast GPU"]
