"""The names under which files keep energies and forces, and what else in them looks like a label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mfsweep.data.importing.frames import AseFrame, results
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys

ENERGY = re.compile(r"energ|^e$|^e_?(tot|total|dft|ref)$|^(tot|total|dft|ref)_?e$", re.IGNORECASE)
FORCES = re.compile(r"forc|^f$|^f_?(dft|ref)$|^(dft|ref)_?f$", re.IGNORECASE)
GRADIENTS = re.compile(r"grad", re.IGNORECASE)
STRESS = re.compile(r"stress|virial", re.IGNORECASE)
OTHER = re.compile(
    r"weight|mask|std|var|err|unc|sigma|shift|offset|per_?atom|formation|kinetic|dispersion", re.IGNORECASE
)
"""What stands in names of energies and forces that are no labels."""
FIRST = ("energy", "ref_energy", "dft_energy", "totenergy", "total_energy", "free_energy")
"""Names of energies in the order in which they are taken, in any case; a calculator's come before."""


def usual_keys(place: str, name: str, frames: Sequence[AseFrame]) -> LabelKeys:
    """Return where the labels of a method are that is named without keys.

    Its own keys (`NAME_energy`) come first, then a calculator's results, then the usual names.

    Args:
        place: the file, for messages.
        name: label method.
        frames: the first of the file.

    Raises:
        DataError: there are several energies and none has a usual name.
    """
    energies = energy_keys(frames)
    own = [key for key in energies if re.fullmatch(rf"{re.escape(name)}[_.\-]?(tot(al)?_?)?energy", key, re.IGNORECASE)]
    calculated = ["energy"] if any("energy" in results(frame.atoms) for frame in frames) else []
    usual = [key for first in FIRST for key in energies if key.lower() == first]
    found = own or calculated or usual or energies
    if not found:
        return LabelKeys(energy="energy")
    if not (own or calculated or usual) and len(found) > 1:
        raise DataError(
            f"{place}: --labels {name}: there are several energies, {', '.join(found)}: say which, for example "
            f"--labels {name}={found[0]}"
        )
    return LabelKeys(energy=found[0], forces=_forces_of(found[0], frames))


def _forces_of(energy: str, frames: Sequence[AseFrame]) -> str | None:
    """Return the forces that go with energies: the calculator's, those of the same name, else the only ones."""
    forces = force_keys(frames)
    alike = [
        key for key in forces if re.sub(r"(?i)forces?", "", key).lower() == re.sub(r"(?i)energy", "", energy).lower()
    ]
    if energy == "energy" and any("forces" in results(frame.atoms) for frame in frames):
        return "forces"
    if alike:
        return alike[0]
    return forces[0] if len(forces) == 1 else None


def energy_keys(frames: Sequence[AseFrame]) -> list[str]:
    """Return the names of what look like energies in some frames."""
    return _keys(frames, lambda _, key, own: ENERGY.search(key) is not None and _is_number(own))


def force_keys(frames: Sequence[AseFrame], names: re.Pattern[str] = FORCES) -> list[str]:
    """Return the names of what look like forces."""
    return _keys(frames, lambda frame, key, own: names.search(key) is not None and _is_vectors(frame, own))


def left_out(frames: Sequence[AseFrame], labels: Mapping[str, LabelKeys]) -> list[str]:
    """Return what looks like a label and belongs to no method, in words."""
    taken = {key for own in labels.values() for key in (own.energy, own.forces)}
    told_else = {"free_energy"} if "energy" in taken else set()  # compared frame by frame
    told = [
        f"{key!r} (energies)"
        for key in energy_keys(frames)
        if key not in taken | told_else and not _copy(frames, key, taken)
    ]
    told += [f"{key!r} (forces)" for key in force_keys(frames) if key not in taken]
    told += [f"{key!r} (gradients?)" for key in force_keys(frames, GRADIENTS) if key not in taken]
    stress = _keys(frames, lambda _, key, own: STRESS.search(key) is not None and np.size(own) in (6, 9))
    return told + [f"{key!r} (nothing trains on stresses)" for key in stress]


def _copy(frames: Sequence[AseFrame], key: str, taken: set[str | None]) -> bool:
    """Return whether a key says the same as one that is taken, as `free_energy` of most calculators does."""
    pairs = [
        (scalars[key], scalars[own])
        for scalars in (f.scalars() for f in frames)
        for own in taken
        if own in scalars and key in scalars and _is_number(scalars[own]) and _is_number(scalars[key])
    ]
    return bool(pairs) and all(abs(float(np.ravel(one)[0]) - float(np.ravel(other)[0])) < 1e-9 for one, other in pairs)


def _keys(frames: Sequence[AseFrame], looks: Any) -> list[str]:
    found: dict[str, None] = {}
    for frame in frames:
        for key, own in frame.arrays().items():
            if str(key) not in found and not OTHER.search(str(key)) and looks(frame, str(key), own):
                found[str(key)] = None
    return list(found)


def _is_number(own: Any) -> bool:
    array = np.asarray(own)
    return array.size == 1 and array.dtype.kind in "fiu"


def _is_vectors(frame: AseFrame, own: Any) -> bool:
    array = np.asarray(own)
    return array.shape == (len(frame.atoms), 3) and array.dtype.kind in "fiu"
