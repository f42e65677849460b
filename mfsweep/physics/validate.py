"""All checks of one head, and what of them a reference method says is right: from settings to the record."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from ase import Atoms

from mfsweep.models.versions import versions
from mfsweep.physics.dynamics import Drift, Lasted, drift, stable
from mfsweep.physics.engine import Engine
from mfsweep.physics.minima import Minimum, apart, frequency_error, relax
from mfsweep.physics.molecules import Named
from mfsweep.physics.scans import Stretch, curve_error, deepest, inconsistency, stretches
from mfsweep.physics.settings import PhysicsChecks
from mfsweep.physics_record import Bond, PhysicsRecord, Structure, Trajectory

_SHAKEN = 0.05
"""Angstrom, standard deviation of every coordinate."""


class Reference(NamedTuple):
    """What a reference method says of one structure."""

    minimum: Minimum
    stretches: list[Stretch]


def refer(engine: Engine, structures: Sequence[Named], checks: PhysicsChecks) -> list[Reference]:
    """Return the reference's minimum of each structure, and the stretches of its bonds there; models share them."""
    found = []
    for one in structures:
        minimum = relax(engine, one.atoms, checks)
        found.append(Reference(minimum, stretches(engine, minimum.atoms, checks) if minimum.converged else []))
    return found


def validate(
    engine: Engine,
    structures: Sequence[Named],
    checks: PhysicsChecks,
    *,
    key: str,
    head: str,
    step: int,
    references: Sequence[Reference] | None = None,
) -> PhysicsRecord:
    """Check a model.

    Args:
        engine: the model.
        structures: those to look at.
        checks: the settings.
        key: of the stage.
        head: of it.
        step: of the weights.
        references: of each structure; None: what has no reference is left out.
    """
    began = time.monotonic()
    starts = [one.atoms for one in structures]
    if references is not None:
        pairs = zip(structures, references, strict=True)
        starts = [one.minimum.atoms if one.minimum.converged else named.atoms for named, one in pairs]
    minima = [relax(engine, start, checks) for start in starts]
    # Dynamics begin where the model itself is at rest, or where it should be.
    rests = [minimum.atoms if minimum.converged else start for minimum, start in zip(minima, starts, strict=True)]
    drifts: list[Drift | None] = [*drift(engine, rests, checks)] if checks.drift_time else [None] * len(rests)
    lasted = stable(engine, rests, checks) if checks.stable_time and checks.temperatures else [[] for _ in rests]
    found = []
    for place, one in enumerate(structures):
        reference = None if references is None else references[place]
        # The reference's geometry is the same for all models: at their own ones they would have different bonds.
        scanned = stretches(engine, starts[place], checks)
        found.append(
            Structure(
                name=one.name,
                atoms=len(one.atoms),
                inconsistency=_finite(inconsistency(engine, _shaken(starts[place], checks), checks)),
                bonds=_bonds(scanned, reference),
                **_at_rest(minima[place], reference),
                **_moving(drifts[place], lasted[place]),
            )
        )
    return PhysicsRecord(
        key=key,
        head=head,
        step=step,
        checks=checks.identity(),
        structures=found,
        seconds=round(time.monotonic() - began, 1),
        versions=versions(),
    )


def _at_rest(minimum: Minimum, reference: Reference | None) -> dict[str, Any]:
    known = reference is not None and reference.minimum.converged and minimum.converged
    right = reference.minimum if known and reference is not None else None
    frequencies = minimum.frequencies
    return {
        "relaxed": minimum.converged,
        "rmsd": None if right is None else apart(right.atoms, minimum.atoms),
        "frequencies": [] if frequencies is None else [round(one, 2) for one in frequencies.tolist()],
        "imaginary": None if frequencies is None else int((frequencies < 0).sum()),
        "frequency_error": None if right is None else frequency_error(frequencies, right.frequencies),
    }


def _moving(found: Drift | None, lasted: list[Lasted]) -> dict[str, Any]:
    own = (
        {} if found is None else {"drift": found.drift, "fluctuation": found.fluctuation, "drift_lasted": found.lasted}
    )
    return {**own, "trajectories": [Trajectory(**one._asdict()) for one in lasted]}


def _bonds(found: list[Stretch], reference: Reference | None) -> list[Bond]:
    right = {one.bond: one for one in reference.stretches} if reference is not None else {}
    return [
        Bond(
            bond=one.bond,
            hole=_finite(deepest(one)),
            error=curve_error(one, right[one.bond]) if one.bond in right else None,
        )
        for one in found
    ]


def _shaken(atoms: Atoms, checks: PhysicsChecks) -> Atoms:
    """Return a geometry that is no minimum, where forces are next to nothing."""
    shaken = atoms.copy()
    shaken.rattle(_SHAKEN, seed=checks.seed)
    return shaken


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None
