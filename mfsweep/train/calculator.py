"""One head of a trained stage as an ASE calculator: molecular dynamics, relaxations, phonons with a trained model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from ase import Atoms
from ase.calculators.calculator import Calculator, PropertyNotImplementedError, all_changes

from mfsweep.errors import DataError
from mfsweep.train.predictor import Precision, Predictor, load_model


class StageCalculator(Calculator):
    """Energy, free energy and forces of any atoms, and the stress of what is periodic along all three vectors."""

    implemented_properties: ClassVar[list[str]] = ["energy", "free_energy", "forces", "stress"]  # pyright: ignore[reportIncompatibleVariableOverride]

    def __init__(self, predictor: Predictor, base: Calculator | None = None, **parameters: Any) -> None:
        """Make the calculator.

        Args:
            predictor: the head.
            base: what is added, for a head that learned a difference (delta-learning): a calculator of the method that
                the difference was taken against.
            parameters: ASE's own.

        Raises:
            DataError: the head learned a difference and there is no `base`, or the other way round.
        """
        if (base is None) != (predictor.minus is None):
            raise DataError(
                f"{predictor.place}: the head {predictor.head!r} learned "
                + (
                    f"a difference to {predictor.minus}, which is no total energy: give `base`, an ASE calculator of "
                    f"{predictor.minus}"
                    if predictor.minus
                    else "total energies: leave out `base`"
                )
            )
        super().__init__(**parameters)
        self.predictor = predictor
        self.base = base

    def calculate(
        self,
        atoms: Atoms | None = None,
        properties: Sequence[str] = ("energy",),
        system_changes: Sequence[str] = all_changes,
    ) -> None:
        """Compute what ASE asks for; forces come with a stress, and neither where only the energy is wanted.

        Raises:
            PropertyNotImplementedError: a stress of what is not periodic along all three lattice vectors.
            DataError: an element that the head does not know.
        """
        super().calculate(atoms, list(properties), list(system_changes))
        own = self.atoms
        assert own is not None, "set by ASE"
        stress = "stress" in properties
        if stress and not own.pbc.all():
            raise PropertyNotImplementedError("a stress needs three periodic lattice vectors")
        forces = stress or "forces" in properties
        found = self.predictor.predict([own], forces=forces, stress=stress)
        results: dict[str, Any] = {"energy": float(found.energy[0])}
        if found.forces is not None:
            results["forces"] = found.forces[0]
        if found.stress is not None:
            results["stress"] = found.stress[0]
        if self.base is not None:
            results = {name: value + self.base.get_property(name, own) for name, value in results.items()}
        self.results = {**results, "free_energy": results["energy"]}


def load_calculator(
    path: str | Path,
    head: str | None = None,
    *,
    base: Calculator | None = None,
    offsets: str | None = None,
    checkpoint: Literal["selected", "best"] = "selected",
    device: str | torch.device = "cpu",
    dtype: Precision | None = "float64",
) -> StageCalculator:
    """Return the ASE calculator of a stage's folder or a model file.

    Args:
        path: as of `load_model`.
        head: as of `load_model`.
        base: as of `StageCalculator`.
        offsets: as of `load_model`.
        checkpoint: as of `load_model`.
        device: to compute on.
        dtype: float64 by default, since relaxations and frequencies need its smooth forces; None: that of the weights.

    Raises:
        MfsweepError: as of `load_model` and `StageCalculator`.
    """
    predictor = load_model(path, head, offsets=offsets, checkpoint=checkpoint, device=device, dtype=dtype)
    return StageCalculator(predictor, base)
