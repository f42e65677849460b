"""Synthetic stores: records written through mfsweep.store, with a known law in them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from mfsweep.fingerprint import fingerprint
from mfsweep.records import BestCheckpoint, CellRecord, EvaluationRecord, Record, Share
from mfsweep.store import StoreFolder


@dataclass
class World:
    """A store, and the writers of its stages, evaluations and cells."""

    store: StoreFolder
    cells: list[CellRecord] = field(default_factory=list)
    asked: dict[str, list[dict[str, object]]] = field(default_factory=dict)
    """Stage key -> the evaluations that this study asks for."""

    def stage(
        self, sets, seed=0, split_seed=0, parent=None, metrics=None, converged=True, recipe=None, alphas=None, shares=(),
        *, heads=None, file=None, reasons=None, best_steps=None, best_metrics=None, folds=None, fold=None,
    ):  # fmt: skip
        """Write a trained stage and return its key; `sets` are (method, subset, size), `alphas` their probabilities.

        The selected checkpoint is that of step 80; `best_steps` are head -> step of its own best.
        """
        folded = {"folds": folds, "fold": fold} if folds else {}
        own_heads = [{"head": head} for head in heads] if heads else [{}] * len(sets)
        training = {
            "schema_number": 1,
            "data": {"digest": "0" * 64, "labels": {}, "splits": {"seed": split_seed} | folded},
            "model": {"architecture": "mace", "channels": 16},
            "precision": "float32",
            "seed": seed,
            "sets": [
                {"labels": method, "subset": subset, "size": size, "probability": alpha} | head
                for (method, subset, size), alpha, head in zip(
                    sets, alphas or [1 / len(sets)] * len(sets), own_heads, strict=True
                )
            ],
            "recipe": recipe or {},
        }
        training |= ({"parent": parent} if parent else {}) | ({"file": file} if file else {})
        key = fingerprint(training)
        best = BestCheckpoint(metric="validation.loss", step=80, value=0.5, file="checkpoints/selected.pt")
        record = Record(
            key=key,
            training=training,
            parent=parent,
            started=1.7e9,
            seconds=12.5,
            steps=100,
            stop_reason="converged" if converged else "max_steps",
            selected=best,
            heads={
                head: best.model_copy(update={"step": (best_steps or {}).get(head, best.step)})
                for head in heads or [method for method, _, _ in sets]
            },
            head_reasons=reasons or {},
            metrics=metrics or {},
            best_metrics=best_metrics or {},
            offsets={},
            shares=list(shares),
            parameters=1234,
            workers=1,
            host="node-1",
            versions={"torch": "2.13.0", "mfsweep": "0.1.0"},
        )
        self.store.stage(key).write_record(record)
        return key

    def evaluate(
        self, key, method, metrics, *, part="test", subset="t", offsets_only=None, head=None, offsets=None, ours=True,
        own=False, checkpoint=None, step=None,
    ):  # fmt: skip
        """Write one evaluation of a stage, one of `ours` or one that another study on this store asked for."""
        identity = {"labels": method, "subset": subset, "part": part}
        identity |= ({"head": head} if head else {}) | ({"offsets": offsets} if offsets else {})
        identity |= ({"own": True} if own else {}) | ({"checkpoint": checkpoint} if checkpoint else {})
        name = f"{part}.{method}" + (f"@{head}" if head and not own else "")
        record = EvaluationRecord(
            name=name,
            evaluation=identity,
            metrics=metrics,
            offsets_only=offsets_only or {},
            structures=200,
            step=step,
            predictions="none.npz",
        )
        self.store.stage(key).write_evaluation(record)
        asked = self.asked.setdefault(key, [])
        if ours and identity not in asked:
            asked.append(identity)
            for cell in self.cells:
                cell.evaluations.update({name: list(asked) for name, own in cell.stages.items() if own == key})

    def cell(self, values, stages, sizes, result="finetune", sets=None):
        """Add a cell to the grid; `sets` are stage -> (labels, methods, subset, start, end)."""
        asked = {name: self.asked.get(key, []) for name, key in stages.items()}
        cell = CellRecord(values=values, stages=stages, result=result, sizes=sizes, evaluations=asked, sets=_sets(sets))
        self.cells.append(cell)
        return cell

    def grid(
        self,
        gradients,
        *,
        pretrain_sizes=(25, 100, 300, 1000),
        finetune_sizes=(30, 120),
        seeds=(0,),
        direct=True,
        noise=0.0,
        shared=0.0,
        capped=(),
        rng=None,
        prefactor=2.0,
        seed_axis="seed",
    ):
        """Write a pre-train/fine-tune grid with the law y = prefactor * x ** gradient (times a size factor).

        `gradients` maps label method -> gradient; `noise` is the deviation of log y, `shared` that of log x about its
        law, the same for all cells of a pre-training; `capped` lists pre-train sizes stopped by max_steps.
        """
        rng = rng or np.random.default_rng(0)
        for seed in seeds:
            seeding = {seed_axis: seed}
            for size in finetune_sizes:
                scale = (size / 30) ** -0.3
                if direct:
                    key = self.finetune(size, seeding, None, 60 * scale * np.exp(noise * rng.normal()))
                    values = {
                        "label_method": next(iter(gradients)),
                        "pretrain_size": 0,
                        "finetune_size": size,
                        **seeding,
                    }
                    own = {"finetune": [("cc", ["cc"], "a", 0, size)]}
                    self.cell(values, {"finetune": key}, {"finetune": {"cc": size}}, sets=own)
            for method, gradient in gradients.items():
                for n in pretrain_sizes:
                    truth = 300 * n**-0.45
                    x = truth * np.exp(shared * rng.normal())
                    metrics = {
                        f"validation.{method}.energy_mae": x,
                        f"validation.{method}.force_mae": 10 * x,
                        "validation.loss": x / 9,
                    }
                    parent = self.stage([(method, "b", n)], metrics=metrics, converged=n not in capped, **seeding)
                    for size in finetune_sizes:
                        y = prefactor * truth**gradient * (size / 30) ** -0.3 * np.exp(noise * rng.normal())
                        key = self.finetune(size, seeding, parent, y)
                        values = {"label_method": method, "pretrain_size": n, "finetune_size": size, **seeding}
                        sizes = {"pretrain": {method: n}, "finetune": {"cc": size}}
                        own = {
                            "pretrain": [(method, [method], "b", 0, n)],
                            "finetune": [("cc", ["cc"], "a", 0, size)],
                        }
                        self.cell(values, {"pretrain": parent, "finetune": key}, sizes, sets=own)
        return self

    def mixtures(
        self, alphas=(0.01, 0.1, 0.5, 0.9, 0.99), methods=("dft", "xtb"), seeds=(0, 1, 2), *, capped=(), noise=0.05
    ):
        """Write multi-head trainings over alpha, a U-shaped cc error, and the direct training beside them."""
        rng = np.random.default_rng(1)
        for seed in seeds:
            key = self.stage([("cc", "a", 120)], seed=seed, metrics={"validation.cc.energy_mae": 30.0})
            self.evaluate(key, "cc", {"energy_mae": 30 * np.exp(noise * rng.normal())})
            own = {"joint": [("cc", ["cc"], "a", 0, 120)]}
            values = {"strategy": "direct", "seed": seed}
            self.cell(values, {"joint": key}, {"joint": {"cc": 120}}, result="joint", sets=own)
            for method in methods:
                for alpha in alphas:
                    sets = [("cc", "a", 120), (method, "b", 1000)]
                    good = 12 if method == "dft" else 16
                    error = (good + 4 * np.log(alpha / (1 - alpha)) ** 2 / 4) * np.exp(noise * rng.normal())
                    batches = round(4000 * alpha)
                    shares = [
                        Share(labels="cc", subset="a", size=120, requested=1 - alpha, batches=4000 - batches,
                              structures=20 * (4000 - batches), atoms=160 * (4000 - batches), passes=3.0),
                        Share(labels=method, subset="b", size=1000, requested=alpha, batches=batches,
                              structures=24 * batches, atoms=200 * batches, passes=1.5),
                    ]  # fmt: skip
                    key = self.stage(
                        sets, seed, converged=alpha not in capped, alphas=[1 - alpha, alpha], shares=shares
                    )
                    self.evaluate(key, "cc", {"energy_mae": error})
                    self.evaluate(key, method, {"energy_mae": 8 / alpha**0.2 * (2 if method == "xtb" else 1)})
                    own = {"joint": [("cc", ["cc"], "a", 0, 120), (method, [method], "b", 0, 1000)]}
                    values = {"strategy": "multihead_joint", "aux": method, "alpha": alpha, "seed": seed}
                    sizes = {"joint": {"cc": 120, method: 1000}}
                    self.cell(values, {"joint": key}, sizes, result="joint", sets=own)
        return self

    def finetune(self, size, seeding, parent, error):
        """Write a fine-tuning (or direct training) with its test error."""
        metrics = {"validation.cc.energy_mae": 0.9 * error, "validation.loss": error / 5}
        key = self.stage([("cc", "a", size)], parent=parent, metrics=metrics, **seeding)
        scores = {"energy_mae": error, "energy_mae_within_formula": 0.7 * error}
        self.evaluate(key, "cc", scores, offsets_only={"energy_mae": 110.0, "energy_mae_within_formula": 90.0})
        return key

    def delta(self, size, error):
        """Add a cell that learns cc as a difference to xtb, with its test error."""
        key = self.stage([("cc-xtb", "a", size)])
        self.evaluate(key, "cc", {"energy_mae": error}, head="cc-xtb", own=True)
        own = {"delta": [("cc-xtb", ["cc", "xtb"], "a", 0, size)]}
        sizes = {"delta": {"cc-xtb": size}}
        return self.cell({"strategy": "delta"}, {"delta": key}, sizes, result="delta", sets=own)


def _sets(sets):
    names = "labels", "methods", "subset", "start", "end"
    return {stage: [dict(zip(names, one, strict=True)) for one in own] for stage, own in (sets or {}).items()}


@pytest.fixture
def world(tmp_path):
    """Return an empty synthetic store."""
    return World(StoreFolder(tmp_path / "store"))
