"""Which structures are chosen for a trained stage, what stays out, and which stages a choice leads to."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from performed import stage

from mfsweep.data import dataset
from mfsweep.data.adding import add
from mfsweep.data.part import part, write_dataset
from mfsweep.data.survey.opening import open_file
from mfsweep.data.view import open_view
from mfsweep.errors import DataError, StoreError
from mfsweep.files import sha256
from mfsweep.prepare import prepare
from mfsweep.records import EvaluationRecord
from mfsweep.store import StoreFolder
from mfsweep.sweep.candidates import PoolRequest, data_of
from mfsweep.sweep.select import HOWS, SelectionRequest, select
from mfsweep.sweep.selection_files import INDEX, write
from mfsweep.train.checkpoint import load_weights, save_weights

MINI = "bundled:mini-ccx"
SECOND_ROUND = """\
  again:
    start_from: pretrain
    max_steps: 4
    validate_every: 2
    train:
      - {labels: cc_2, subset: a, size: "${finetune_size}"}
      - {labels: cc_2, subset: b, size: labelled}
result: again"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Give a store with a stage of two heads and another seed of it, made by moving its weights a little."""
    made = StoreFolder(tmp_path_factory.mktemp("select") / "store")
    made.prepare()
    folder = stage("two heads")
    for key, seed in ((folder.key, 0), ("a" * 20, 1)):
        own = made.stage(key)
        shutil.copytree(folder.path, own.path)
        if seed:
            record = json.loads(own.record_path.read_text())
            weights = load_weights(own.selected)
            rng = np.random.default_rng(seed)
            moved = {
                name: tensor * float(rng.uniform(0.8, 1.2)) if "readouts" in name else tensor
                for name, tensor in weights.state.items()
            }
            save_weights(own.selected, weights._replace(state=moved))
            record["key"], record["training"]["seed"] = key, seed
            record["selected"]["sha256"] = sha256(own.selected)
            record["heads"] = dict.fromkeys(record["heads"], record["selected"])
            own.record_path.write_text(json.dumps(record))
    return made


@pytest.fixture(scope="module")
def mini():
    return open_file(MINI)


def request(how="random", count=12, method="cc", among=False, place=MINI, **more):
    return SelectionRequest(
        PoolRequest(str(place), method, among), count, stage("two heads").key, how, **({"most": 120} | more)
    )


def view_of(mini):
    return open_view({"": mini.path}, data_of(stage("two heads").record()))


@pytest.mark.parametrize("among", [False, True])
@pytest.mark.parametrize("how", HOWS)
def test_test_and_validation_structures_and_what_is_known_are_never_chosen(trained, mini, how, among):
    everything = request(how, 400 if how == "random" and not among else 12, among=among)
    chosen = select(everything, trained).indices
    view = view_of(mini)
    assert len(set(chosen.tolist())) == len(chosen) == everything.number
    tested = set(view.structures.formula[view.partition.train["t"]].tolist())
    assert not tested & set(view.structures.formula[chosen].tolist()), "a formula of the test set stays whole"
    held = np.concatenate(list(view.partition.validation.values()))
    assert not np.isin(chosen, held).any()
    labelled = view.structures.usable("cc")[chosen]
    assert labelled.all() if among else not labelled.any()
    assert not np.isin(chosen, view.partition.train["a"][:20]).any(), "the stage trained on these"


def test_structures_on_which_a_stage_that_starts_from_it_is_tested_are_never_chosen(mini, tmp_path):
    made, parent = StoreFolder(tmp_path / "store"), stage("two heads")
    made.prepare()
    shutil.copytree(parent.path, made.stage(parent.key).path)
    of_b = view_of(mini).partition.train["b"]
    asked = request(count=200, among=True)
    assert np.isin(select(asked, made).indices, of_b).any()
    # Two fine-tunings, one from the other; the last is scored on what the first one of all pre-trains on.
    for key, before in (("b" * 20, parent.key), ("c" * 20, "b" * 20)):
        record = json.loads(parent.record_path.read_text()) | {"key": key, "parent": before}
        record["training"]["parent"] = before
        made.stage(key).path.mkdir()
        made.stage(key).record_path.write_text(json.dumps(record))
    made.stage("c" * 20).evaluations.mkdir()
    made.stage("c" * 20).write_evaluation(
        EvaluationRecord(
            name="test.cc",
            evaluation={"labels": "cc", "subset": "b", "part": "test"},
            metrics={"energy_mae": 1.0},
            offsets_only={},
            structures=len(of_b),
            predictions="none.npz",
        )
    )
    left = select(request(count=1, among=True), made).ground.candidates
    assert len(left)
    tested = np.unique(view_of(mini).structures.formula[of_b])
    assert not np.isin(view_of(mini).structures.formula[left], tested).any()


def test_a_choice_is_the_same_each_time_and_models_choose_otherwise_than_chance(trained):
    chosen = {how: select(request(how), trained).indices.tolist() for how in HOWS}
    assert chosen == {how: select(request(how), trained).indices.tolist() for how in HOWS}
    assert len({tuple(sorted(own)) for own in chosen.values()}) == len(HOWS)
    assert select(request(seed=1), trained).indices.tolist() != chosen["random"]


def test_dear_labels_of_large_molecules_are_chosen_less(trained):
    plain, priced = (select(request("features", power=power), trained) for power in (0.0, 7.0))
    sizes = plain.ground.structures.sizes
    assert sizes[priced.indices].mean() < sizes[plain.indices].mean()
    assert priced.price.mean() < 1
    assert plain.price.tolist() == [1.0] * 12


def test_another_data_set_needs_the_spec_and_the_stages_test_structures_stay_out_of_it_too(
    trained, mini, tmp_path, write_spec
):
    other = tmp_path / "other.h5"
    order = np.random.default_rng(1).permutation(len(mini.structures.sizes))[:1500]
    mine = part(mini.structures, order)
    write_dataset(other, mine._replace(labels={"dft": mine.labels["wb97x_631gd"]}), {})
    with pytest.raises(StoreError, match="Expected --spec with the spec of the stage"):
        select(request(place=other), trained)
    plan = prepare(write_spec(), trained.root)
    found = select(request("features", place=other), trained, plan)
    view = view_of(mini)
    tested = {view.structures.formulae[code] for code in view.structures.formula[view.partition.train["t"]].tolist()}
    assert not tested & {row["formula"] for row in found.rows()}
    chosen = order[found.indices]
    learned = view.partition.train["a"][:20]
    assert not np.isin(chosen, [*learned, *np.concatenate(list(view.partition.validation.values()))]).any()


def test_a_choice_is_written_as_a_list_and_as_structures_that_can_be_labelled(trained, tmp_path):
    found = select(request("features", 5), trained)
    files = write(found, tmp_path / "deep" / "own")
    rows = json.loads(files.summary.read_text())["structures"]
    assert [row["index"] for row in rows] == found.indices.tolist()
    assert files.table.read_text().splitlines()[0] == "index,formula,atoms,score,cost,reason"
    read = dataset.read(files.dataset, {})
    column = read.columns[INDEX]
    assert [int(column.values[code]) for code in column.codes] == found.indices.tolist()
    assert read.sizes.tolist() == [row["atoms"] for row in rows]
    again = open_file(str(files.frames)).structures
    np.testing.assert_array_equal(again.positions, read.positions)
    with pytest.raises(DataError, match=r"own\.csv exists"):
        write(found, tmp_path / "deep" / "own")
    for folder in (".", "..", "/", "a/.."):
        with pytest.raises(DataError, match=r"--out .*: expected a path that ends in a name, for example .*select"):
            write(found, Path(folder), overwrite=True)


def test_what_cannot_be_chosen_is_said(trained, tmp_path):
    left = len(select(request(), trained).ground.candidates)
    for asked, said in (
        (request(count=left + 1), f"expected at most {left}"),
        (request(method="ccd"), r"expected a label method of the stage .*Did you mean 'cc'"),
        (request(method="gfn2_xtb"), "every structure has gfn2_xtb labels"),
        (request(place="none.h5"), "no such file"),
    ):
        with pytest.raises(DataError, match=said):
            select(asked, trained)
    with pytest.raises(StoreError, match="no stage of"):
        select(request()._replace(stage="zzz"), trained)
    alone = StoreFolder(tmp_path / "alone")
    alone.prepare()
    shutil.copytree(stage("two heads").path, alone.stage(stage("two heads").key).path)
    with pytest.raises(StoreError, match=r"no replicate .* a committee needs 2 members"):
        select(request("committee"), alone)
    alone.stage(stage("two heads").key).selected.unlink()
    with pytest.raises(StoreError, match="weights of stage"):
        select(request("features"), alone)
    alone.stage(stage("two heads").key).record_path.unlink()
    with pytest.raises(StoreError, match="is not trained to its end"):
        select(request(), alone)


def test_elements_that_the_stage_did_not_learn_are_said(trained, mini, tmp_path, write_spec):
    other = tmp_path / "other.h5"
    mine = part(mini.structures, np.arange(0, 2000, 20))
    species = mine.species.copy()
    species[species == 8] = 16
    write_dataset(other, mine._replace(labels={}, species=species), {})
    plan = prepare(write_spec(), trained.root)
    with pytest.raises(DataError, match="these structures have S too"):
        select(request("features", 3, place=other), trained, plan)


def test_a_round_of_labels_trains_new_stages_alone(mini, tmp_path, write_spec):
    """The loop of docs/how-to/select.md: the pool, two labels more under a second name, the spec with one stage more."""
    pool, structures = tmp_path / "pool.h5", mini.structures
    both = [structures.labels["ccsd(t)_631gd"], structures.labels["wb97x_631gd"], structures.labels["gfn2_xtb"]]
    write_dataset(pool, structures._replace(labels=dict(zip(("cc", "dft", "xtb"), both, strict=True))), {})
    keys = (
        ("bundled:mini-ccx", str(pool)),
        ('cc: {energy: "ccsd(t)_631gd.energy"}', 'cc: {energy: "cc.energy"}'),
        ('dft: {energy: "wb97x_631gd.energy", forces: "wb97x_631gd.forces"}', 'dft: {energy: "dft.energy", forces: "dft.forces"}'),
        ('xtb: {energy: "gfn2_xtb.energy", forces: "gfn2_xtb.forces"}', 'xtb: {energy: "xtb.energy", forces: "xtb.forces"}'),
    )  # fmt: skip
    first = prepare(write_spec(*keys), tmp_path / "store")
    view = first.view(next(iter(first.graph.nodes.values())))
    free = view.partition.train["b"][~view.structures.usable("cc")[view.partition.train["b"]]][:2]
    chosen = part(structures, free)
    write_dataset(
        tmp_path / "chosen.h5", chosen._replace(labels={"cc": both[0]._replace(energy=both[1].energy[free])}), {}
    )
    add(pool, tmp_path / "chosen.h5", "cc", "cc_2")
    assert prepare(write_spec(*keys), tmp_path / "store").graph.nodes.keys() == first.graph.nodes.keys()
    second = prepare(
        write_spec(
            *keys,
            ("  splits:", '    cc_2: {energy: "cc_2.energy"}\n  splits:'),
            ("result: finetune", SECOND_ROUND),
            ("evaluate: [{labels: cc, subset: t}]", "evaluate: [{labels: cc_2, subset: t}]"),
            ("result.test.cc.energy_mae", "result.test.cc_2.energy_mae"),
            name="second.yaml",
        ),
        tmp_path / "store",
    )
    old = {key for key, node in first.graph.nodes.items() if node.name == "pretrain"}
    assert old == {key for key, node in second.graph.nodes.items() if node.name == "pretrain"}
    sizes = {cell.sizes["again"]["cc_2"] - cell.values["finetune_size"] for cell in second.cells()}
    already = int(view.structures.usable("cc")[view.partition.train["b"]].sum())
    assert sizes == {already + 2}
