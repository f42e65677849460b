"""Do labels that `mfsweep select` chooses help more than as many random ones? On mini-ani, error on the test set.

The recipe of search_spaces/mini/fig3.yaml: 300 DFT labels, then 60 CC labels, which is the stage that chooses. 60 more
CC labels are chosen by each way, from all structures outside of test and validation sets, and the fine-tuning is done
anew from the same pre-training with all 120. All folds; the committee has the stage and two more seeds of it.

    python tests/evidence/selecting.py [--pretrained STORE] [--folder FOLDER] [--folds 5]

STORE is one in which fig3.yaml was run: its pre-trainings are taken, else they are trained. What is trained is kept in
FOLDER, so that an interrupted run goes on.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy import stats

from mfsweep.data import dataset
from mfsweep.data.importing import Rules, import_files
from mfsweep.data.source import contents, digest, resolve
from mfsweep.data.structures import SYMBOLS
from mfsweep.data.view import DataView, open_view
from mfsweep.models.mace import Mace
from mfsweep.run.job import Job
from mfsweep.run.perform import perform
from mfsweep.spec.batching import Batching
from mfsweep.spec.data import LabelKeys, ResolvedData, Splits, Subset
from mfsweep.spec.resources import Resources
from mfsweep.spec.stage import Evaluation, LabelledSet, LossWeights, Recipe, Schedule, Training
from mfsweep.store import StageFolder, StoreFolder
from mfsweep.sweep.candidates import PoolRequest
from mfsweep.sweep.select import SelectionRequest, select
from mfsweep.train import World

START, MORE, PRETRAINED = 60, 60, 300
SEEDS = (0, 1, 2)
"""Of the committee."""
WAYS = ("features", "random 0", "random 1", "committee")
CANDIDATES = 1500
"""Structures that are looked at, of some 5,000."""
NEEDS = ("cc", "dft", "xtb")
MODEL = Mace(channels=16, max_L=0, max_ell=2, correlation=2, radial_hidden=(32, 32))
BATCH = Batching(max_atoms=128, batches_per_step=1)
RECIPE = Recipe(
    learning_rate=0.02,
    schedule=Schedule(factor=0.5, patience_steps=100, stop_steps=300),
    max_steps=5000,
    validate_every=50,
    batch=BATCH,
)


class Bench(NamedTuple):
    """Where things are."""

    pool: Path
    """All structures with all labels, and with the chosen ones under names of their own."""
    store: StoreFolder
    pretrained: StoreFolder | None
    """Where fig3.yaml was run."""


def splits(fold: int) -> Splits:
    """Return those of fig3.yaml."""
    return Splits(
        folds=5,
        fold=fold,
        a=Subset(size=1600, validation=300, needs=NEEDS),
        t=Subset(size="rest", validation=200, needs=NEEDS),
        b=Subset(size="rest", validation=200, needs=("dft", "xtb")),
    )


def data(bench: Bench, fold: int, *more: str, offsets: dict | None = None) -> ResolvedData:
    """Return the data of a fold, with some more methods."""
    labels = {name: LabelKeys(energy=f"{name}.energy") for name in ("cc", *more)}
    labels |= {name: LabelKeys(energy=f"{name}.energy", forces=f"{name}.forces") for name in ("dft", "xtb")}
    content = contents({"": bench.pool}, bench.store.digests)
    return ResolvedData(
        digest=content.digest,
        contents=content.of(labels),
        labels=labels,
        splits=splits(fold),
        offsets=offsets or "fixed",
    )


def trained(bench: Bench, training: Training, parent: Path | None, evaluations: tuple[Evaluation, ...]) -> StageFolder:
    """Train a stage unless that was done, and return it."""
    job = Job(
        name="stage",
        training=training,
        data=training.data,
        sources={"": str(bench.pool)},
        parent_file=str(parent) if parent else None,
        store=str(bench.store.root),
        evaluations=evaluations,
        resources=Resources(workers=1, gpus_per_worker=0),
    )
    assert perform(job, World.alone(), lambda _: True)
    return job.folder


def pretraining(bench: Bench, fold: int) -> Path:
    """Return the weights that a fold begins with."""
    if bench.pretrained is not None:
        for folder in bench.pretrained.stages():
            record = folder.record()
            if record is None or record.parent or record.training["data"]["splits"]["fold"] != fold:
                continue
            sets = [(own["labels"], own["subset"], own["size"]) for own in record.training["sets"]]
            if sets == [("dft", "b", PRETRAINED)] and record.training["seed"] == 0:
                return folder.selected
    recipe = RECIPE.but(loss={"dft": LossWeights(energy=100.0)}, select_on="validation.loss")
    own = LabelledSet(labels="dft", subset="b", size=PRETRAINED, probability=1.0)
    return trained(bench, _training(data(bench, fold), (own,), recipe), None, ()).selected


def _training(resolved: ResolvedData, sets: tuple[LabelledSet, ...], recipe: Recipe, **more) -> Training:
    return Training(data=resolved, model=MODEL, precision="float32", sets=sets, recipe=recipe, **({"seed": 0} | more))


def finetuned(
    bench: Bench, resolved: ResolvedData, method: str, sets: tuple[LabelledSet, ...], parent: Path, seed: int = 0
) -> StageFolder:
    """Return a fine-tuning, scored on the fold's test set."""
    recipe = RECIPE.but(
        learning_rate=0.002, loss={method: LossWeights(energy=100.0, forces=0.0)}, select_on="validation.loss"
    )
    training = _training(resolved, sets, recipe, seed=seed, file=digest(parent))
    test = Evaluation(labels="cc", subset="t", head=method, offsets=method)
    return trained(bench, training, parent, (test,))


def error(folder: StageFolder) -> float:
    """Return the energy MAE on the test set, meV/atom."""
    ((_, record),) = folder.every_evaluation()
    return record.metrics["energy_mae"]


def add_masked(bench: Bench, view: DataView, name: str, chosen: np.ndarray) -> None:
    """Give the pool CC labels under another name: of the start, of the validation set, and of what was chosen."""
    kept = np.concatenate([view.partition.train["a"][:START], view.partition.validation["a"], chosen])
    energy = np.full(len(view.structures.sizes), np.nan)
    energy[kept] = view.structures.labels["cc"].energy[kept]
    made = dataset.Labelling(np.full(len(energy), np.nan, np.float32), {}, {})
    dataset.add_labels(bench.pool, name, dataset.NewLabels(energy, None, made))


def fold_errors(bench: Bench, fold: int, ways: tuple[str, ...]) -> dict[str, float]:
    """Return the test error before, and after the choice of each of some ways."""
    parent = pretraining(bench, fold)
    view = open_view({"": bench.pool}, data(bench, fold))
    symbols = view.offsets("cc", [LabelledSet(labels="cc", subset="a", size=START)])
    table = {SYMBOLS[z]: value for z, value in symbols.items()}
    resolved = data(bench, fold, offsets={"cc": table})
    own = LabelledSet(labels="cc", subset="a", size=START, probability=1.0)
    seeds = SEEDS if "committee" in ways else SEEDS[:1]
    start, *_ = [finetuned(bench, resolved, "cc", (own,), parent, seed) for seed in seeds]
    found = {f"{START} labels": error(start)}
    for way in ways:
        how, _, seed = way.partition(" ")
        name = f"cc_{fold}_{way.replace(' ', '_')}"
        if name not in dataset.methods(bench.pool):
            pool = PoolRequest(str(bench.pool), "cc", among=True)
            asked = SelectionRequest(pool, MORE, start.key, how, most=CANDIDATES, seed=int(seed or 0))
            add_masked(bench, view, name, select(asked, bench.store).indices)
        again = data(bench, fold, name, offsets={"cc": table, name: table})
        labelled = open_view({"": bench.pool}, again).structures.usable(name)
        counts = {subset: int(labelled[view.partition.train[subset]].sum()) for subset in ("a", "b")}
        assert sum(counts.values()) == START + MORE
        sets = tuple(
            LabelledSet(labels=name, subset=subset, size="labelled", probability=count / (START + MORE))
            for subset, count in counts.items()
            if count
        )
        found[way] = error(finetuned(bench, again, name, sets, parent))
        print(f"fold {fold}, {way}: {found[way]:.2f} meV/atom, before {found[f'{START} labels']:.2f}", flush=True)
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pretrained", type=Path)
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--folds", type=int, default=5)
    asked = parser.parse_args()
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="mfsweep-selecting-"))
    folder.mkdir(parents=True, exist_ok=True)
    pool = folder / "pool.h5"
    if not pool.exists():
        labels = {
            "cc": LabelKeys(energy="ani1ccx.energy"),
            "dft": LabelKeys(energy="ani1x.energy", forces="ani1x.forces"),
            "xtb": LabelKeys(energy="gfn2_xtb.energy", forces="gfn2_xtb.forces"),
        }
        import_files([resolve("bundled:mini-ani", folder)], pool, Rules(labels=labels))
    store = StoreFolder(folder / "store")
    store.prepare()
    bench = Bench(pool, store, StoreFolder(asked.pretrained) if asked.pretrained else None)
    rows = [fold_errors(bench, fold, WAYS[:3]) for fold in range(asked.folds)]
    print_table(rows)
    print_table([row | fold_errors(bench, fold, WAYS[3:]) for fold, row in enumerate(rows)])


def print_table(rows: list[dict[str, float]]) -> None:
    """Print errors by fold, and ratios to random choice with Student's interval over the folds."""
    print("| 120 labels | " + " | ".join(f"fold {fold}" for fold in range(len(rows))) + " | over random, 95 % |")
    print("| --- |" + " --- |" * (len(rows) + 1))
    random = np.mean([[np.log(row[way]) for way in WAYS if way.startswith("random")] for row in rows], axis=1)
    for way in rows[0]:
        ratios = np.log([row[way] for row in rows]) - random
        shown = "" if way.startswith("random") else f"{np.exp(ratios.mean()):.2f}"
        if shown and len(rows) > 1:
            half = stats.t.ppf(0.975, len(rows) - 1) * ratios.std(ddof=1) / np.sqrt(len(rows))
            shown += f" ({np.exp(ratios.mean() - half):.2f} to {np.exp(ratios.mean() + half):.2f})"
        print(f"| {way} | " + " | ".join(f"{row[way]:.1f}" for row in rows) + f" | {shown} |")


if __name__ == "__main__":
    main()
