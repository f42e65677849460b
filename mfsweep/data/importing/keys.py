"""What a user says of a file: which keys make which label method, and in which units they are."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from mfsweep.data.hdf5 import pairs
from mfsweep.data.units import ANI_UNITS, ASE_UNITS, LENGTHS, UNITS, Units  # noqa: F401 (for the layouts, beside the rest)
from mfsweep.errors import DataError, nearest
from mfsweep.spec.data import LabelKeys

OTHER_NAMES = {"Ha": "hartree", "Eh": "hartree", "angstrom": "Ang", "A": "Ang", "Rydberg": "Ry"}


def storable(name: str) -> bool:
    """Return whether a method or column of a data set can have a name: HDF5 takes it for that of one dataset."""
    return name not in ("", ".", "..") and not re.search(r"[/\0\ud800-\udfff]", name)


def labels_of(texts: Sequence[str]) -> dict[str, LabelKeys | None]:
    """Read what `--labels` says.

    Args:
        texts: `NAME` or `NAME=ENERGY_KEY[,FORCES_KEY]` each.

    Returns:
        Label method -> its keys; None for a name alone, which means those that a file has under that name.

    Raises:
        DataError: a text of another form, or a name twice.
    """
    found: dict[str, LabelKeys | None] = {}
    for text in texts:
        name, equals, rest = text.partition("=")
        keys = rest.split(",") if equals else []
        if not storable(name) or len(keys) > 2 or (equals and not all(keys)):
            raise DataError(
                f"--labels: expected NAME or NAME=ENERGY_KEY[,FORCES_KEY], a name without a slash, got {text!r}"
            )
        if name in found:
            raise DataError(f"--labels: expected each label method once, got {name!r} twice")
        found[name] = LabelKeys(energy=keys[0], forces=keys[1] if len(keys) == 2 else None) if keys else None
    return found


def units_of(texts: Sequence[str]) -> dict[str, str]:
    """Read what `--unit` says.

    Args:
        texts: `energy=eV`, `forces=eV/Ang`, `positions=bohr`; `METHOD:energy=eV` of one method alone.

    Returns:
        Quantity, or METHOD:quantity -> unit, by its name in `UNITS` and `LENGTHS`.

    Raises:
        DataError: a text of another form, an unknown quantity or unit.
    """
    return dict(_unit_of(text) for text in texts)


def _unit_of(text: str) -> tuple[str, str]:
    name, _, unit = text.partition("=")
    method, _, quantity = name.rpartition(":")
    if quantity == "energy":
        return name, _known(text, unit, UNITS)
    if quantity == "forces":
        energy, _, length = unit.rpartition("/")
        return name, f"{_known(text, energy, UNITS)}/{_known(text, length, LENGTHS)}"
    if quantity == "positions" and not method:
        return quantity, _known(text, unit, LENGTHS)
    raise DataError(
        f"--unit: expected energy=UNIT, forces=UNIT/LENGTH or positions=LENGTH, got {text!r}."
        f"{nearest(quantity, Units._fields)}"
    )


def _known(text: str, word: str, known: Collection[str]) -> str:
    names = {name.lower(): OTHER_NAMES.get(name, name) for name in (*known, *OTHER_NAMES)}
    found = names.get(word.lower(), "")
    if found in known:
        return found
    raise DataError(
        f"--unit {text}: expected one of {', '.join(known)}, got {word!r}.{nearest(word, known)}"
        + (" A force is an energy over a length, for example eV/Ang" if "forces" in text.partition("=")[0] else "")
    )


def require(place: str, option: str, asked: str, known: Collection[str]) -> None:
    """Refuse a key that a file does not have.

    Raises:
        DataError: with the nearest key and all that there are.
    """
    if asked not in known:
        there = ", ".join(sorted(known)) or "none"
        where = f"{place}: " if place else ""
        raise DataError(f"{where}{option}: there is no {asked!r}.{nearest(asked, known)} There are: {there}")


def picked(place: str, asked: Mapping[str, LabelKeys | None], keys: Collection[str]) -> dict[str, LabelKeys]:
    """Return the keys of the label methods asked for; of all pairs where none is asked for.

    Args:
        place: the file, for messages.
        asked: what `labels_of` gives.
        keys: those in the file.

    Raises:
        DataError: a key that the file does not have, or no pair of keys.
    """
    every = pairs(keys)
    if not asked and not every:
        there = ", ".join(sorted(keys)) or "none"
        raise DataError(
            f"{place}: expected keys like X.energy and X.forces, got: {there}. "
            "Say --labels NAME=ENERGY_KEY,FORCES_KEY, or --geometries to take the structures without labels"
        )
    found: dict[str, LabelKeys] = {}
    for name, own in (asked or dict.fromkeys(every)).items():
        if own is None:
            require(place, f"--labels {name}", f"{name}.energy", keys)
        else:
            for key in filter(None, (own.energy, own.forces)):
                require(place, f"--labels {name}", key, keys)
        found[name] = own or every[name]
    return found
