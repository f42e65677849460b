"""The files that a trained model leaves as: each format is one function that writes one file.

mace        mace-torch's own module: MACECalculator, mace_eval_configs
ase         plain data of ours, for every architecture: mfsweep.load_model and its ASE calculator; holds no code
lammps      TorchScript for `pair_style mace` of LAMMPS, by mace-torch's converter; one head
mliap       for `pair_style mliap unified` of LAMMPS, by mace-torch's class; one head
torch-sim   mace-torch's own module with one head, since torch-sim takes a model's first one
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Literal, NamedTuple, get_args

import torch

from mfsweep.data.structures import SYMBOLS
from mfsweep.errors import TrainingError
from mfsweep.files import write_file, write_text
from mfsweep.models.architecture import PackageFiles, Shape
from mfsweep.models.registry import ARCHITECTURES, build
from mfsweep.passport import NAME, Passport, attach, beside
from mfsweep.train.checkpoint import DTYPES, Weights, restore
from mfsweep.train.predictor import Precision
from mfsweep.train.trained import Trained

Format = Literal["mace", "ase", "lammps", "mliap", "torch-sim"]
FORMATS: tuple[Format, ...] = get_args(Format)


class ExportFormat(NamedTuple):
    """One format."""

    suffix: str
    """Ends the name of the file."""
    one_head: bool
    """Whether a file holds one head only."""
    write: Callable[[Mapping[str, Trained], Precision, Passport, Path], None]
    """Writes heads in a precision, and their passport, into a file."""


def write(models: Mapping[str, Trained], kind: Format, precision: Precision, passport: Passport, path: Path) -> None:
    """Write a model file and its passport beside it.

    Args:
        models: head -> what is exported, at least one, all of one training.
        kind: the format.
        precision: of the weights in the file.
        passport: its passport.
        path: of the file.

    Raises:
        TrainingError: the format cannot hold the model; the text says why and what can.
    """
    if KINDS[kind].one_head and len(models) > 1:
        raise TrainingError(
            f"a file of the format {kind} holds one readout head, and the model has {', '.join(models)}: name one "
            "with --head"
        )
    KINDS[kind].write(models, precision, passport, path)


def _write_module(models: Mapping[str, Trained], precision: Precision, passport: Passport, path: Path) -> None:
    network = _module(models, precision)

    def save(temporary: Path) -> None:
        with warnings.catch_warnings(), temporary.open("wb") as file:
            warnings.simplefilter("ignore")  # of TorchScript, in which e3nn's modules keep their code
            torch.save(network, file)
        attach(temporary, passport)

    write_file(path, save)
    write_text(beside(path), passport.text())


def _write_lammps(models: Mapping[str, Trained], precision: Precision, passport: Passport, path: Path) -> None:
    (head,) = models
    script = _files(models).lammps(_module(models, precision), head)
    text = passport.text()
    write_file(path, lambda temporary: script.save(str(temporary), _extra_files={NAME: text}))
    write_text(beside(path), text)


def _write_mliap(models: Mapping[str, Trained], precision: Precision, passport: Passport, path: Path) -> None:
    (head,) = models
    module = _files(models).mliap(_module(models, precision), head)

    def save(temporary: Path) -> None:
        with warnings.catch_warnings(), temporary.open("wb") as file:
            warnings.simplefilter("ignore")
            torch.save(module, file)
        attach(temporary, passport)

    write_file(path, save)
    write_text(beside(path), passport.text())


def _write_plain(models: Mapping[str, Trained], precision: Precision, passport: Passport, path: Path) -> None:
    """Write weights as our own checkpoints have them, with the chosen heads alone."""
    first = next(iter(models.values()))
    weights = first.weights._replace(precision=precision)
    whole = restore(weights)
    shape = whole.shape
    hidden = {head: widths for head, widths in shape.hidden.items() if head in models}
    kept = Shape(tuple(models), shape.elements, shape.avg_num_neighbors, hidden)
    offsets = {head: model.offsets for head, model in models.items()}
    part = build(weights.spec, kept, offsets, seed=0, dtype=DTYPES[precision])
    part.adopt(whole.state_dict(), shape, {head: head for head in models})
    content = Weights(
        model=weights.model,
        precision=precision,
        heads=list(models),
        elements=list(shape.elements),
        avg_num_neighbors=shape.avg_num_neighbors,
        offsets=offsets,
        step=weights.step,
        state={name: tensor.detach().clone() for name, tensor in part.state_dict().items()},
        hidden=dict(hidden),
    )

    def save(temporary: Path) -> None:
        with temporary.open("wb") as file:
            torch.save(content._asdict(), file)
        attach(temporary, passport)

    write_file(path, save)
    write_text(beside(path), passport.text())


def _files(models: Mapping[str, Trained]) -> PackageFiles:
    """Return what makes the files of the architecture's own package.

    Raises:
        TrainingError: there is no such thing.
    """
    spec = next(iter(models.values())).weights.spec
    files = spec.files()
    if files is None:
        able = ", ".join(name for name, own in ARCHITECTURES.items() if own.files() is not None)
        raise TrainingError(
            f"a model of `architecture: {spec.architecture}` has no file of its own package (those of {able} have): "
            "expected `--format ase`, which mfsweep.load_model loads for every architecture"
        )
    return files


def _module(models: Mapping[str, Trained], precision: Precision) -> torch.nn.Module:
    """Return the module of the architecture's own package.

    Raises:
        TrainingError: there is none, or it cannot hold the model.
    """
    files = _files(models)
    first = next(iter(models.values()))
    known = {head: model.elements for head, model in models.items()}
    if len({tuple(elements) for elements in known.values()}) > 1:
        said = "; ".join(f"{head}: {', '.join(SYMBOLS[z] for z in elements)}" for head, elements in known.items())
        raise TrainingError(
            f"the readout heads know different elements ({said}), and one file can hold one set of them: name one head "
            "with --head"
        )
    weights = first.weights
    offsets = {**weights.offsets, **{head: model.offsets for head, model in models.items()}}
    names, dtype = list(models), DTYPES[precision]
    return files.module(weights.spec, weights.shape, weights.state, offsets, names, first.elements, dtype)


KINDS: dict[Format, ExportFormat] = {
    "mace": ExportFormat(".model", one_head=False, write=_write_module),
    "ase": ExportFormat(".pt", one_head=False, write=_write_plain),
    "lammps": ExportFormat("-lammps.pt", one_head=True, write=_write_lammps),
    "mliap": ExportFormat("-mliap_lammps.pt", one_head=True, write=_write_mliap),
    "torch-sim": ExportFormat("-torchsim.model", one_head=True, write=_write_module),
}
"""The formats by name."""
