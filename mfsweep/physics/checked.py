"""One stage checked, as a user asks for it: its model, its structures, its reference, and the record in the store."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from mfsweep.data.labellers.methods import build, parse
from mfsweep.data.source import digest
from mfsweep.errors import DataError
from mfsweep.physics.engine import Engine, added, of_labeller, of_model
from mfsweep.physics.molecules import Named, builtin, from_file
from mfsweep.physics.settings import PhysicsChecks
from mfsweep.physics.validate import Reference, refer, validate
from mfsweep.physics_record import PhysicsRecord
from mfsweep.store import StageFolder
from mfsweep.train.predictor import Predictor
from mfsweep.train.trained import read_trained


class Subject(NamedTuple):
    """One head of one stage, ready to be checked."""

    folder: StageFolder
    head: str
    step: int
    engine: Engine
    structures: list[Named]


class Validator:
    """Checks stages with the same settings; what the reference says of a structure is computed once."""

    def __init__(self, checks: PhysicsChecks, structures: Path | None = None) -> None:
        """Take the settings.

        Args:
            checks: the settings, without `file`.
            structures: a file in place of the molecules.

        Raises:
            DataError: the file cannot be read, or there is no such reference.
        """
        self.checks = checks if structures is None else checks.but(file=digest(structures), molecules=())
        self._given = None if structures is None else from_file(structures)
        self._reference = None if checks.reference is None else _engine(checks.reference, "--reference")
        self._known: dict[str, Reference] = {}

    def subject(self, folder: StageFolder, head: str | None) -> Subject:
        """Return a head of a stage.

        Raises:
            MfsweepError: as of `load_model`; DataError: the head learned a difference and the settings have no `base`.
        """
        trained = read_trained(folder.path, head)
        predictor = Predictor(trained, dtype="float64")
        engine = of_model(predictor)
        base = self.checks.base
        if (base is None) != (trained.minus is None):
            raise DataError(
                f"{trained.place}: the head {trained.head!r} learned "
                + (f"a difference to {trained.minus}: expected --base with a method that computes it, as gfn2-xtb"
                   if trained.minus else "total energies: leave out --base")
            )  # fmt: skip
        if base is not None:
            engine = added(engine, _engine(base, "--base"))
        structures = self._given or builtin(self.checks.molecules, predictor.elements)
        return Subject(folder, trained.head, trained.weights.step, engine, structures)

    def check(self, subject: Subject) -> PhysicsRecord:
        """Return the checks of a stage, made now and written beside its record."""
        references = None
        if self._reference is not None:
            for one in subject.structures:
                if one.name not in self._known:
                    (self._known[one.name],) = refer(self._reference, [one], self.checks)
            references = [self._known[one.name] for one in subject.structures]
        found = validate(
            subject.engine,
            subject.structures,
            self.checks,
            key=subject.folder.key,
            head=subject.head,
            step=subject.step,
            references=references,
        )
        subject.folder.write_physics(found)
        return found


def _engine(method: str, option: str) -> Engine:
    try:
        return of_labeller(build(parse(method, {})), method)
    except DataError as error:
        raise DataError(str(error).replace("--method", option, 1)) from error
