"""Stages of every kind that matters to a model which leaves, trained for some steps in a store of their own.

`stage(kind)` trains each once in a process. All are of float64: what they predicted at their evaluations is compared
with what is predicted later to rounding.
"""

from __future__ import annotations

import functools
import tempfile
import warnings
from pathlib import Path

import torch
from ase import Atoms

from mfsweep.data.source import digest, resolve
from mfsweep.data.view import DataView, open_view
from mfsweep.models.mace import Mace
from mfsweep.run.job import Job
from mfsweep.run.perform import perform
from mfsweep.spec.batching import Batching
from mfsweep.spec.data import Difference, LabelKeys, ResolvedData, Splits, Subset
from mfsweep.spec.resources import Resources
from mfsweep.spec.stage import Evaluation, Head, LabelledSet, LossWeights, Recipe, Training
from mfsweep.store import StageFolder, StoreFolder
from mfsweep.train import World
from mfsweep.train.predictor import Predictor, load_model

NEEDS = ("cc", "dft")
MODEL = Mace(channels=4, max_L=0, max_ell=1, correlation=2, radial_hidden=(8,), readout_hidden=4, bessel=4, r_max=3.0)
ENERGIES = LossWeights(energy=100.0, forces=0.0)
CC = LabelledSet(labels="cc", subset="a", size=20)
DFT = LabelledSet(labels="dft", subset="b", size=20)
TABLE = {"cc": {"H": -16.0, "C": -1034.0, "N": -1485.0, "O": -2041.0}, "dft": {"H": -16.2, "C": -1036.5, "N": -1488.5, "O": -2045.5}}  # fmt: skip
FOUNDATION = MODEL.but(max_L=1, max_ell=2, interaction_first="residual", cutoff_order=6, readout_hidden=3)


def data(offsets="fixed") -> ResolvedData:
    path = source()
    return ResolvedData(
        digest=digest(path),
        labels={
            "cc": LabelKeys(energy="ccsd(t)_631gd.energy"),
            "dft": LabelKeys(energy="wb97x_631gd.energy", forces="wb97x_631gd.forces"),
        },
        derived={"cc-dft": Difference(target="cc", minus="dft")},
        splits=Splits(
            a=Subset(size=60, validation=12, needs=NEEDS),
            b=Subset(size="rest", validation=15, needs=NEEDS),
            t=Subset(size=20, needs=NEEDS),
        ),
        offsets=offsets,
    )


def source() -> Path:
    return resolve("bundled:mini-ccx", Path(tempfile.gettempdir()))


@functools.cache
def store() -> StoreFolder:
    made = StoreFolder(Path(tempfile.mkdtemp(prefix="mfsweep-performed-")))
    made.prepare()
    return made


def _test(labels: str, **fields) -> Evaluation:
    return Evaluation(labels=labels, subset="t", **({"head": labels, "offsets": labels} | fields))


STAGES = {
    "two heads": {"sets": (CC, DFT), "evaluations": (_test("cc"), _test("dft"))},
    "two methods of one head": {
        "sets": (CC, DFT.but(head="cc")),
        "evaluations": (_test("cc"), _test("dft", head="cc")),
        "offsets": TABLE,
    },
    "a difference": {
        "sets": (LabelledSet(labels="cc-dft", subset="a", size=60),),
        "evaluations": (_test("cc", head="cc-dft", offsets="cc-dft", base="dft"),),
        "offsets": "paid",
    },
    "vectors of methods": {
        "sets": (CC, DFT),
        "evaluations": (_test("cc"), _test("dft")),
        "model": MODEL.but(conditioning="embedding"),
    },
    "a foundation model": {
        "sets": (CC, DFT),
        "evaluations": (_test("cc"), _test("dft")),
        "model": FOUNDATION,
        "heads": {"cc": Head(source="pbe"), "dft": Head(source="fresh", hidden=(6,))},
    },
}


@functools.cache
def stage(kind: str) -> StageFolder:
    """Return the folder of one of the `STAGES`, trained and evaluated."""
    asked = dict(STAGES[kind])
    sets, offsets, file = asked["sets"], asked.get("offsets", "fixed"), None
    if kind == "a foundation model":
        file = foundation()
    recipe = Recipe(
        max_steps=4,
        validate_every=2,
        learning_rate=1e-2,
        batch=Batching(max_atoms=60, batches_per_step=2),
        loss={one.labels: LossWeights() if one.labels == "dft" else ENERGIES for one in sets},
    )
    job = Job(
        name="stage",
        training=Training(
            data=data(offsets),
            model=asked.get("model", MODEL),
            precision="float64",
            seed=0,
            sets=tuple(one.but(probability=1 / len(sets)) for one in sets),
            recipe=recipe,
            file=digest(file) if file else None,
            heads=asked.get("heads"),
        ),
        data=data(offsets),
        sources={"": str(source())},
        parent_file=str(file) if file else None,
        store=str(store().root),
        evaluations=asked["evaluations"],
        resources=Resources(workers=1, gpus_per_worker=0),
    )
    assert perform(job, World.alone(), lambda _: True)
    return job.folder


@functools.cache
def predictor(kind: str, head: str) -> Predictor:
    """Return what predicts by a head of a stage."""
    return load_model(stage(kind).path, head)


@functools.cache
def foundation() -> Path:
    """Return a file of mace-torch: two heads, a scale and a shift, an element (S) that our data lack."""
    from mfsweep.models.mace.building import quickly
    from mfsweep.models.mace.network import mace, o3

    path = store().root / "foundation.model"
    residual = mace.interaction_classes["RealAgnosticResidualInteractionBlock"]
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(3)
        with warnings.catch_warnings(), quickly(own_layers=False):
            warnings.simplefilter("ignore")
            network = mace.ScaleShiftMACE(
                atomic_inter_scale=[0.8, 1.7], atomic_inter_shift=[0.1, -0.2], r_max=3.0, num_bessel=4,
                num_polynomial_cutoff=6, max_ell=2, interaction_cls_first=residual, interaction_cls=residual,
                num_interactions=2, num_elements=5, hidden_irreps=o3.Irreps("4x0e+4x1o"), MLP_irreps=o3.Irreps("3x0e"),
                atomic_energies=[[-13.5, -1030.0, -1485.0, -2042.0, -10000.0]] * 2, avg_num_neighbors=7.25,
                atomic_numbers=[1, 6, 7, 8, 16], correlation=2, gate=torch.nn.functional.silu, radial_MLP=[8],
                heads=["pbe", "r2scan"],
            )  # fmt: skip
            torch.save(network, path)
    finally:
        torch.set_default_dtype(torch.float32)
    return path


@functools.cache
def dataset() -> DataView:
    return open_view({"": source()}, data())


def atoms_of(index) -> list[Atoms]:
    """Return structures of the data set as a user has them."""
    found = dataset().structures
    spans = [slice(found.offsets[one], found.offsets[one + 1]) for one in index]
    return [Atoms(found.species[span], found.positions[span]) for span in spans]
