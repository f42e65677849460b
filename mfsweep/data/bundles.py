"""The data sets that come with the package: `bundled:NAME` in a spec.

Each is an HDF5 file of the ANI-1x layout beside a page that says how it was made.
"""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import NamedTuple

from mfsweep.errors import DataError, nearest

BUNDLED = "bundled:"
"""Prefix of their names in a spec."""
_FOLDER = Path(str(resources.files("mfsweep.data"))) / "bundled"

SAYS = {
    "mini-ani": "predictions of two public neural potentials, one fine-tuned from the other, at the source study's "
    "fidelities: enough of them for a law in minutes; transfer may come out too good",
    "mini-ccx": "real CCSD(T) and wB97X labels, few of the dear ones",
    "mini-ccx-2": "the structures of mini-ccx with nearly three times as many real CCSD(T) labels, of nearly twice as "
    "many formulae: conclusions for chemistry rest on this set",
}
"""Name -> what its labels are, in a sentence."""


class Bundle(NamedTuple):
    """One of them."""

    name: str
    path: Path
    page: Path
    """How it was made, in Markdown."""
    says: str


def bundles() -> list[Bundle]:
    """Return all that come with the package, by name."""
    return [Bundle(name, _FOLDER / f"{name}.h5", _FOLDER / f"{name}.md", says) for name, says in sorted(SAYS.items())]


def bundled(name: str, place: str) -> Path:
    """Return the file of one.

    Args:
        name: without the prefix.
        place: where a spec asks for it.

    Raises:
        DataError: there is none of this name.
    """
    if name not in SAYS:
        known = ", ".join(sorted(SAYS))
        raise DataError(f"{place}: no bundled data set {name!r}.{nearest(name, SAYS)} There are: {known}")
    return _FOLDER / f"{name}.h5"
