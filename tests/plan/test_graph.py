import pytest
from hypothesis import given
from hypothesis import strategies as st

from mfsweep.errors import SpecError
from mfsweep.plan.expand import expand
from mfsweep.plan.graph import build
from mfsweep.plan.mixture import shared
from mfsweep.plan.smoke import smoke_graph
from mfsweep.spec.data import Content
from mfsweep.spec.load import load

DIGEST = "0" * 64


@pytest.fixture
def graph_of(write_spec):
    def plan(*changes, digest=DIGEST, parts=None, over=None):
        spec = load(write_spec(*changes), {"resources": over or {}})
        return build(spec, expand(spec), Content(digest=digest, parts=parts or {}))

    return plan


def keys(graph):
    return set(graph.nodes)


def test_cells_share_the_stages_they_have_in_common(graph_of):
    graph = graph_of()
    assert (len(graph.cells), len(graph.nodes), graph.stages_without_sharing) == (6, 8, 10)
    shared = [node for node in graph.nodes.values() if node.name == "pretrain"]
    assert [node.cells for node in shared] == [2, 2]


def test_parents_come_before_their_children(graph_of):
    seen = set()
    for node in graph_of().nodes.values():
        assert node.parent is None or node.parent in seen
        seen.add(node.key)


def what_is_given(changes, graph_of):
    return {
        (node.name, node.resources.workers, node.resources.cpus_per_worker)
        for node in graph_of(*changes).nodes.values()
    }


def of_finetune(text, *more):
    return [("    start_from: pretrain\n", f"    start_from: pretrain\n    resources: {text}\n"), *more]


def test_a_stage_is_given_what_it_says_and_else_what_the_spec_says(graph_of):
    assert what_is_given([], graph_of) == {("pretrain", 1, 1.0), ("finetune", 1, 1.0)}
    assert what_is_given(of_finetune("{workers: 2}"), graph_of) == {("pretrain", 1, 1.0), ("finetune", 2, 1.0)}
    by_axis = of_finetune('{cpus_per_worker: "${finetune_size}"}')
    assert what_is_given(by_axis, graph_of) == {("pretrain", 1, 1.0), ("finetune", 1, 60.0), ("finetune", 1, 20.0)}


ARM = ("axes:\n", "axes:\n  arm: {one: {given: {workers: 4, cpus_per_worker: 3}}}\n")


@pytest.mark.parametrize(("text", "more"), [("{workers: 4, cpus_per_worker: 3}", []), ("'${arm.given}'", [ARM])])
def test_the_command_line_goes_before_the_resources_of_all_stages(graph_of, text, more):
    found = graph_of(*of_finetune(text, *more), over={"workers": 2})
    assert {(node.name, node.resources.workers, node.resources.cpus_per_worker) for node in found.nodes.values()} == {
        ("pretrain", 2, 1),
        ("finetune", 2, 3),
    }


def test_axes_of_resources_alone_make_no_further_stages(graph_of):
    axis = ("axes:\n", "axes:\n  cpus: {one: {number: 2}, other: {number: 2.0}}\n")
    graph = graph_of(*of_finetune('{cpus_per_worker: "${cpus.number}"}', axis))
    assert (keys(graph), len(graph.cells)) == (keys(graph_of()), 12)
    assert all("cpus" not in node.values for node in graph.nodes.values())


def test_one_stage_for_which_two_cells_or_two_places_ask_for_different_resources_is_refused(graph_of):
    axis = ("axes:\n", "axes:\n  cpus: [2, 3]\n")
    with pytest.raises(SpecError) as refused:
        graph_of(*of_finetune('{cpus_per_worker: "${cpus}"}', axis))
    assert (
        "stages.finetune.resources: got {cpus_per_worker: 3.0}, expected {cpus_per_worker: 2.0}, as the cell with "
        "{'cpus': 2} has, in that with {'cpus': 3} too: it is one stage, trained once"
    ) in str(refused.value)
    twin = (
        "  finetune:\n",
        '  twin: {train: [{labels: dft, subset: b, size: "${pretrain_size}"}], max_steps: 4, validate_every: 2, resources: {workers: 2}}\n  finetune:\n',
    )
    mixed = ("start_from: pretrain", "start_from: '${first}'"), ("axes:\n", "axes:\n  first: [pretrain, twin]\n")
    with pytest.raises(
        SpecError,
        match=r"stages.twin.resources: got {workers: 2}, expected {workers: 1}, as stages.pretrain \(line \d+\) has",
    ):
        graph_of(twin, *mixed)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{groups: 2}", "stages.finetune.resources.groups: got 2, expected groups in the spec's own `resources:`"),
        ("{price_per_hour: 2}", "resources.price_per_hour: got 2, expected price_per_hour in the spec's own"),
        ("{co2_g_per_kwh: 2}", "resources.co2_g_per_kwh: got 2, expected co2_g_per_kwh in the spec's own"),
        ("{worker: 2}", "Did you mean 'workers'?"),
        ("{workers: 2, gpus_per_worker: 0.5}", "stages.finetune.resources.gpus_per_worker: got 0.5, expected 0 or 1 with several"),
        ("{workers: 3}", "stages.finetune.batch.batches_per_step: got 4, expected a multiple of resources.workers (3)"),
        ('{workers: "${nothing}"}', "expected ${...} to name an axis"),
        ('{cpus_per_worker: "${pretrain_size}"}', "axes.pretrain_size[0]: got 0, expected a number above 0"),
    ],
)  # fmt: skip
def test_resources_of_a_stage_that_cannot_be_are_refused_at_their_place(graph_of, text, says):
    with pytest.raises(SpecError) as refused:
        graph_of(*of_finetune(text))
    assert says in str(refused.value)


def test_the_keys_are_what_they_were(graph_of):
    # These change only with spec.stage.SCHEMA, since every store in use would be trained again.
    names = {(n.name, *n.values.values()): n.key for n in graph_of().nodes.values()}
    assert names["pretrain", 20] == "b6e5fc12cc2ae525a408"
    assert names["finetune", 20, 60] == "43ae04518f687c5ee9f2"
    assert names["finetune", 60] == "6177dcc7ec60bb4e65f9"


@pytest.mark.parametrize(
    "changes",
    [
        [("workers: 1", "workers: 2")],
        [("gpus_per_worker: 0", "gpus_per_worker: 1")],
        [("    start_from: pretrain\n", "    start_from: pretrain\n    resources: {workers: 2, cpus_per_worker: 3, keep_workers: false}\n")],
        [("    start_from: pretrain\n", '    start_from: pretrain\n    resources: {cpus_per_worker: "${finetune_size}"}\n')],
        [("resources:", "tracking: {uri: 'http://host:5000', steps_per_decade: 10}\nresources:")],
        [("name: small", "name: other")],
        [("pretrain_size", "n_dft"), ("finetune_size", "n_cc")],
        [("pretrain:", "first:"), ("start_from: pretrain", "start_from: first"), ("x: pretrain", "x: first")],
        [('    xtb: {energy: "gfn2_xtb.energy", forces: "gfn2_xtb.forces"}\n', "")],
        [("evaluate: [{labels: cc, subset: t}]", "evaluate: [{labels: cc, subset: t}, {labels: cc, subset: a, part: train}]")],
        [("source: bundled:mini-ccx", "source: elsewhere.h5")],
        [("fits:\n", "fits:\n  other: {x: pretrain.validation.energy_rmse, y: result.test.cc.energy_mae}\n")],
        [("[0, 20, 40]", "[40, 0, 20]")],
        [("splits:\n", "splits:\n    by: formula\n")],
        [("    a: {size: 60, validation: 20, needs: [cc, dft]}\n    t: {size: 40, needs: [cc, dft]}\n",
          "    t: {size: 40, needs: [cc, dft]}\n    a: {size: 60, validation: 20, needs: [dft, cc]}\n")],
        [('    train: [{labels: cc, subset: a, size: "${finetune_size}"}]\n    max_steps: 4',
          '    train: [{labels: cc, subset: a, size: "${finetune_size}", probability: 1}]\n    max_steps: 4\n    loss: {cc: {energy: 100, forces: 0}}\n    select_on: validation.loss')],
        [("architecture: mace,", "architecture: mace, conditioning: heads,")],
    ],
    ids=["workers", "devices", "of-a-stage", "of-a-stage-by-axis", "tracking", "name", "axis-names", "stage-names", "unused-method", "evaluations", "path", "fits", "order", "by-formula", "subset-order", "defaults-written-out", "heads-said"],
)  # fmt: skip
def test_what_is_not_identity_does_not_matter(graph_of, changes):
    assert keys(graph_of(*changes)) == keys(graph_of())


@pytest.mark.parametrize(
    "changes",
    [
        [("splits:\n", "splits:\n    seed: 1\n")],
        [("splits:\n", "splits:\n    by: family\n")],
        [("axes:\n", "seed: 1\naxes:\n")],
        [("channels: 4", "channels: 8")],
        [("max_steps: 4", "max_steps: 6")],
        [("validate_every: 2", "validate_every: 4")],
        [("axes:\n", "precision: float64\naxes:\n")],
        [("{size: 60, validation: 20", "{size: 60, validation: 24")],
        [("wb97x_631gd.energy", "wb97x_dz.energy")],
        [("splits:\n", "offsets: paid\n  splits:\n")],
        [("    max_steps: 4", "    max_steps: 4\n    batch: {batches_per_step: 2}")],
        [("    max_steps: 4", "    max_steps: 4\n    batch: {adapt_bins: false}")],
        [("    max_steps: 4", "    max_steps: 4\n    batch: {packer: cost_aware}")],
        [("    max_steps: 4", "    max_steps: 4\n    schedule: {factor: 0.5}")],
        [("needs: [dft]", "needs: [dft, xtb]")],
    ],
    ids=["split-seed", "split-column", "seed", "model", "steps", "validation-steps", "precision", "splits", "key", "offsets", "batches-per-step", "bins", "packer", "schedule", "needs"],
)  # fmt: skip
def test_what_is_identity_changes_every_key(graph_of, changes):
    assert not keys(graph_of(*changes)) & keys(graph_of())


def test_an_evaluation_says_which_keys_its_methods_stood_for(graph_of):
    zero_shot = (
        "evaluate: [{labels: cc, subset: t}]",
        "evaluate: [{labels: cc, subset: t}, {labels: xtb, subset: t, head: cc}]",
    )
    before, after = (
        graph_of(zero_shot, *change) for change in ((), [('"gfn2_xtb.energy"', '"hf_631gd.energy"')])
    )  # fmt: skip
    assert keys(before) == keys(after), "nothing trains on xtb"
    of_xtb = [
        next(e for e in node.evaluations if e.labels == "xtb").key
        for graph in (before, after)
        for node in list(graph.nodes.values())[:1]
    ]
    assert of_xtb[0] != of_xtb[1]


TRAIN = 'train: [{labels: cc, subset: a, size: "${finetune_size}"}]'
PATHS = ("validation.cc.energy_mae", "validation.dft.energy_mae")


def two_sets(first, second, select_on="null"):
    """Return `train:` of two methods, with the probability of each, and `select_on:`."""
    pairs = [("cc", "a", '"${finetune_size}"', first), ("dft", "b", "40", second)]
    sets = [
        f"{{labels: {labels}, subset: {subset}, size: {size}" + (f", probability: {own}}}" if own is not None else "}")
        for labels, subset, size, own in pairs
    ]
    return f"train: [{', '.join(sets)}]\n    select_on: {select_on}"


def one_set(select_on="null", size='"${finetune_size}"'):
    return f"train: [{{labels: cc, subset: a, size: {size}}}]\n    select_on: {select_on}"


def weighted(one, other, paths=PATHS):
    return f"{{{paths[0]}: {one}, {paths[1]}: {other}}}"


SPELLINGS = {
    "one metric": [
        one_set(own)
        for own in (
            "null",
            "validation.loss",
            "validation.cc.loss",
            "{validation.cc.loss: 2}",
            "{validation.loss: 0.5}",
        )
    ],
    "weights of metrics": [
        two_sets(None, None, own)
        for own in (weighted(1, 3), weighted(0.1, 0.3), weighted(2.5, 7.5), weighted(0.75, 0.25, PATHS[::-1]))
    ],
    "even shares": [two_sets(None, None), two_sets(0.5, None), two_sets(None, 0.5), two_sets(0.5, 0.5)],
    "a share and the rest": [two_sets(None, 0.9), two_sets(0.1, None), two_sets(0.1, 0.9)],
}


@pytest.mark.parametrize("texts", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_one_training_has_one_key_however_it_is_written(graph_of, texts):
    assert len({frozenset(keys(graph_of((TRAIN, text)))) for text in texts}) == 1


def test_all_of_a_subset_is_its_number_where_the_spec_says_it(graph_of):
    by_number = graph_of(("[20, 60]", "[60]"))
    by_name = graph_of(("[20, 60]", "[all]"))
    assert keys(by_number) == keys(by_name)


def test_weights_that_differ_in_more_than_scale_are_other_trainings(graph_of):
    texts = [two_sets(None, None, weighted(*own)) for own in ((1, 3), (1, 2), (3, 1))]
    assert len({frozenset(keys(graph_of((TRAIN, text)))) for text in texts}) == 3


@given(st.lists(st.integers(1, 40), min_size=1, max_size=5), st.data())
def test_probabilities_are_one_mixture_whichever_sets_state_theirs(parts, data):
    total = sum(parts)
    whole = [round(part / total, 6) for part in parts[1:]]
    whole = [round(1 - sum(whole), 6), *whole]
    canonical = shared(whole)
    assert sum(canonical) == pytest.approx(1, abs=1e-15)
    assert canonical == pytest.approx(whole, abs=1e-8)
    left_out = data.draw(st.integers(0, len(parts) - 1))
    assert shared([None if index == left_out else own for index, own in enumerate(whole)]) == canonical
    alike = [index for index, own in enumerate(whole) if own == whole[left_out]]
    assert shared([None if index in alike else own for index, own in enumerate(whole)]) == canonical


def test_a_shuffle_within_the_parts_is_another_one_than_by_formula(graph_of):
    """By formula it always was within the parts: those keys stay. By a column it went across them: those change."""
    shuffle = ("train: [{labels: dft, subset: b", "train: [{labels: {shuffled: dft}, subset: b")
    by_column = ("splits:\n", "splits:\n    by: family\n")

    def said(*changes):
        nodes = graph_of(*changes).nodes.values()
        return {node.name: node.training.data.identity().get("shuffled") for node in nodes}

    assert said(shuffle) == {"pretrain": None, "finetune": None}
    assert said(by_column) == {"pretrain": None, "finetune": None}
    assert said(shuffle, by_column) == {"pretrain": "within parts", "finetune": None}


LABELS = ("ccsd(t)_631gd.energy", "wb97x_631gd.energy", "wb97x_631gd.forces", "gfn2_xtb.energy", "gfn2_xtb.forces")


@pytest.mark.parametrize("changed", LABELS)
@pytest.mark.parametrize(
    "evaluation",
    ["labels: xtb, head: cc", "labels: cc, offsets: xtb", "labels: xtb, head: cc, offsets: dft", "labels: cc"],
)
@pytest.mark.parametrize("needs", ["needs: [cc, dft]", "needs: [cc, dft, xtb]"])
def test_whatever_an_evaluation_reads_is_in_the_identity_of_its_score(graph_of, changed, evaluation, needs):
    """Corrected labels under the same name: what read them is another stage or evaluation, and nothing else is."""
    changes = [("evaluate: [{labels: cc, subset: t}]", f"evaluate: [{{{evaluation}, subset: t}}]")]
    changes += [("t: {size: 40, needs: [cc, dft]}", f"t: {{size: 40, {needs}}}")]
    before = {key: key * 4 for key in LABELS}
    found = [graph_of(*changes, parts={"": own}) for own in (before, before | {changed: "corrected"})]

    def scores(graph):
        nodes = [node for node in graph.nodes.values() if node.name == "finetune"]
        return {(tuple(node.values.items()), (node.key, node.evaluations[0].key)) for node in nodes}

    method = {"c": "cc", "w": "dft", "g": "xtb"}[changed[0]]
    # All stages read cc and dft: the partition needs them.
    read = method in ("cc", "dft") or "xtb" in needs or "xtb" in evaluation
    assert (scores(found[0]) == scores(found[1])) is not read
    if "xtb" not in needs:
        assert (keys(found[0]) == keys(found[1])) is (method == "xtb")


def test_an_evaluation_of_what_its_stage_is_made_of_keeps_its_identity(graph_of):
    # Golden: evaluations of older stores would be made again.
    parts = {key: key * 4 for key in LABELS}
    found = {node.evaluations[0].key for node in graph_of(parts={"": parts}).nodes.values() if node.evaluations}
    assert found == {node.evaluations[0].key for node in graph_of().nodes.values() if node.evaluations}
    assert found == {"418c9864f5ec1b07e943"}


def test_the_texts_of_a_column_matter_to_those_who_split_by_it(graph_of):
    by = ("splits:\n", "splits:\n    by: family\n")
    one, other = ({"": {"columns/family": text, "columns/note": text}} for text in "xy")
    assert not keys(graph_of(by, parts=one)) & keys(graph_of(by, parts=other))
    assert keys(graph_of(parts=one)) == keys(graph_of(parts=other))


def test_other_data_change_every_key(graph_of):
    assert not keys(graph_of(digest="1" * 64)) & keys(graph_of())


def test_a_change_of_the_parent_changes_its_descendants_and_nothing_else(graph_of):
    before = {(n.name, *n.values.values()): n.key for n in graph_of().nodes.values()}
    changed = (
        "    max_steps: 4\n    validate_every: 2\n  finetune",
        "    max_steps: 6\n    validate_every: 2\n  finetune",
    )
    after = {(n.name, *n.values.values()): n.key for n in graph_of(changed).nodes.values()}
    same = {name for name in before if before[name] == after[name]}
    assert same == {("finetune", 20), ("finetune", 60)}


def test_a_new_axis_value_adds_only_its_own_stages(graph_of):
    before, after = graph_of(), graph_of(("[20, 60]", "[20, 40, 60]"))
    assert keys(before) < keys(after)
    assert {node.values["finetune_size"] for key, node in after.nodes.items() if key not in before.nodes} == {40}


def test_a_seed_axis_acts_without_being_referred_to(graph_of):
    graph = graph_of(("[20, 60]", "[20, 60]\n  seed: [0, 1]\n  split_seed: [5]"))
    assert {(n.training.seed, n.training.data.splits.seed) for n in graph.nodes.values()} == {(0, 5), (1, 5)}
    assert len(graph.nodes) == 16


def test_folds_are_replicates_and_no_partition_without_them_changes(graph_of):
    folded = ("  splits:\n", '  splits:\n    folds: 3\n    fold: "${fold}"\n')
    graph = graph_of(("[20, 60]", "[20, 60]\n  fold: [0, 2]"), folded)
    splits = [node.training.data.splits for node in graph.nodes.values()]
    assert {(one.seed, one.folds, one.fold) for one in splits} == {(0, 3, 0), (0, 3, 2)}
    assert len(graph.nodes) == 2 * len(graph_of().nodes)
    fixed = graph_of(("  splits:\n", "  splits:\n    folds: 3\n    fold: 2\n"))
    assert keys(fixed) < keys(graph)
    assert not keys(graph) & keys(graph_of())


def test_needs_default_to_the_methods_that_the_spec_uses_on_a_subset(graph_of):
    graph = graph_of((", needs: [cc, dft]}\n    b", "}\n    b"), (", needs: [dft]", ""))
    splits = next(iter(graph.nodes.values())).training.data.splits
    assert (splits.t.needs, splits.b.needs) == (("cc",), ("dft",))


def test_steps_are_counted_with_and_without_sharing(graph_of):
    graph = graph_of()
    assert (graph.steps(), graph.steps(shared=False)) == (32, 40)
    assert graph_of(("    max_steps: 4\n    validate_every: 2\n  f", "    validate_every: 2\n  f")).steps() is None


def test_a_smoke_run_has_one_short_chain_for_each_kind_of_stage(graph_of):
    graph = smoke_graph(graph_of())
    kinds = [(node.name, node.parent is None) for node in graph.nodes.values()]
    assert sorted(kinds) == [("finetune", False), ("finetune", True), ("pretrain", True)]
    assert {node.training.recipe.max_steps for node in graph.nodes.values()} == {20}


ON_T = "train: [{labels: dft, subset: t"


@pytest.mark.parametrize(
    ("changes", "place", "says"),
    [
        ([("train: [{labels: dft, subset: b", ON_T)], "stages.pretrain.train[0]", "allow_auxiliary_on_test: [dft]"),
        ([("train: [{labels: cc, subset: a", "train: [{labels: cc, subset: t")], "stages.finetune.train[0]", "not on the test subset"),
        ([("splits:\n", "allow_auxiliary_on_test: [cc]\n  splits:\n")], "data.allow_auxiliary_on_test", "no target method"),
        ([("max_steps: 4", "max_steps: 4\n    select_on: test.cc.energy_mae")], "stages.finetune.select_on", "test labels touch nothing"),
        ([("    max_steps: 4\n    validate_every: 2\n    continued", "    select_on: validation.cc.energy_mea\n    continued")], "stages.finetune.select_on", "Did you mean 'energy_mae'?"),
        ([("    max_steps: 4\n    validate_every: 2\n    continued", "    select_on: validation.dft.loss\n    continued")], "stages.finetune.select_on", "a method this stage trains on (cc)"),
        ([("    max_steps: 4\n    validate_every: 2\n    continued", "    select_on: validation.cc.force_mae\n    continued")], "stages.finetune.select_on", "without forces"),
        ([("    max_steps: 4\n    validate_every: 2\n    continued", "    loss: {cc: {energy: 1, forces: 1}}\n    continued")], "stages.finetune.loss.cc.forces", "energy-only"),
        ([("[20, 60]", "[20, 600]")], "stages.finetune.train[0].size", "at most the 60 training structures"),
        ([("labels: dft, subset: b", "labels: dtf, subset: b")], "stages.pretrain.train[0].labels", "Did you mean 'dft'?"),
        ([("labels: dft, subset: b", "labels: dft, subset: c")], "stages.pretrain.train[0].subset", "a subset of data.splits: a, b, t"),
        ([("evaluate: [{labels: cc, subset: t}]", "evaluate: [{labels: dft, subset: t}]")], "evaluate[0]", "name one with `head:`"),
        ([("evaluate: [{labels: cc, subset: t}]", 'evaluate: [{labels: cc, subset: "${where}"}]'), ("[20, 60]", "[20, 60]\n  where: [t, a]")], "stages.finetune.train[0]", "not on the test subset 'a'"),
        ([('train: [{labels: dft, subset: b, size: "${pretrain_size}"}]', 'train: [{labels: dft, subset: b, size: "${pretrain_size}"}, {labels: xtb, subset: b, size: "${pretrain_size}"}]')], "stages.finetune.start_from", "a parent with a head 'cc'"),
        ([("workers: 1", "workers: 3")], "stages.finetune.batch.batches_per_step", "a multiple of resources.workers (3)"),
        ([("{size: rest, validation: 20,", "{size: rest,")], "data.splits.b.validation", "a validation set"),
        ([("needs: [dft]", "needs: [dtf]")], "data.splits.b.needs[0]", "Did you mean 'dft'?"),
    ],
)  # fmt: skip
def test_a_broken_rule_is_refused_at_its_place(graph_of, changes, place, says):
    with pytest.raises(SpecError) as caught:
        graph_of(*changes)
    assert f": {place}: got " in str(caught.value)
    assert says in str(caught.value)


def test_auxiliary_labels_on_the_test_structures_are_allowed_when_asked_for(graph_of):
    graph = graph_of(
        ("train: [{labels: dft, subset: b", ON_T),
        ("{size: 40, needs: [cc, dft]}", "{size: 40, validation: 10, needs: [cc, dft]}"),
        ("splits:\n", "allow_auxiliary_on_test: [dft]\n  splits:\n"),
    )
    assert any(s.subset == "t" for node in graph.nodes.values() for s in node.training.sets)
