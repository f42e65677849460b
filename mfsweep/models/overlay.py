"""Overlays: folders of packages that the workers of one architecture put in front of the environment.

Two architectures may need different versions of one package, and cannot be installed beside each other. An overlay
holds what the environment lacks or has in another version, and nothing else; `mfsweep env NAME` builds it.

Invariant: an overlay is a folder with a stamp that names its pins, and is renamed into place when it is complete; a
process that reads an older one keeps it until it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from mfsweep.errors import ResourceError, nearest
from mfsweep.files import locked
from mfsweep.models.registry import ARCHITECTURES

PINS: dict[str, tuple[str, ...]] = {name: own.PINS for name, own in ARCHITECTURES.items() if own.PINS}
"""Architecture -> what is installed for it, without dependencies."""

VARIABLE = "MFSWEEP_OVERLAYS"
"""Environment variable: the folder of all overlays, in place of the one inside the Python environment."""
_STAMP = "mfsweep-pins.txt"
_TAIL = 3
"""Last lines of pip's that an error repeats."""


def root() -> Path:
    """Return the folder of all overlays."""
    return Path(os.environ.get(VARIABLE) or Path(sys.prefix) / "mfsweep-overlays").absolute()


def overlay_path(architecture: str) -> Path | None:
    """Return an architecture's overlay; None where it needs none, or it is missing or of other pins than these."""
    path = root() / architecture
    return path if architecture in PINS and _pins(path) == PINS[architecture] else None


def require(architecture: str) -> Path | None:
    """Return the overlay that an architecture's workers need, or None for one that needs none.

    Raises:
        ResourceError: it is missing or outdated.
    """
    if architecture not in PINS:
        return None
    path = overlay_path(architecture)
    if path is not None:
        return path
    place = root() / architecture
    found = ", ".join(_pins(place)) or "none"
    raise ResourceError(
        f"stages with `architecture: {architecture}` need packages that the environment cannot hold beside its own: "
        f"expected {', '.join(PINS[architecture])} in {place}, found {found}. "
        f"Run `mfsweep env {architecture}` (in a checkout: `make {architecture}`), or set {VARIABLE} to where they are"
    )


def enter(architecture: str) -> None:
    """Let this process import an architecture's packages; called before its model is built.

    Raises:
        ResourceError: its overlay is missing, or the process has imported other versions of what the overlay holds.
    """
    place = require(architecture)
    entered = [path for path in map(os.path.realpath, sys.path) if Path(path).parent == root().resolve()]
    if entered == ([] if place is None else [os.path.realpath(place)]):
        return
    pinned = [pin.partition("==")[0] for pin in PINS.get(architecture, ())]
    loaded = sorted(name for name in pinned if name in sys.modules)
    if entered or loaded:
        why = f"packages of {Path(entered[0]).name}" if entered else f"another {' and '.join(loaded)}"
        raise ResourceError(
            f"a model of `architecture: {architecture}` cannot be loaded into this process, which has imported {why}: "
            "expected a process of its own. Start Python anew and load this model first"
        )
    sys.path.insert(0, str(place))


def build(name: str) -> Path:
    """Install an architecture's overlay unless it is there; return it. A second process waits for the first.

    Raises:
        ResourceError: no architecture of that name needs one, the folder cannot be written, or pip fails.
    """
    if name not in PINS:
        expected = f"expected an architecture with packages of its own: {', '.join(PINS)}.{nearest(name, PINS)}"
        raise ResourceError(f"there is no overlay {name!r} to install: {expected}")
    folder = root()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with locked(folder / f".{name}.lock", wait=True):
            return overlay_path(name) or _install(name, folder)
    except OSError as error:
        raise ResourceError(
            f"the overlay {folder / name} cannot be written: {error}. Set {VARIABLE} to a folder that can"
        ) from error


def _install(name: str, folder: Path) -> Path:
    pins, place = PINS[name], folder / name
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=folder) as temporary:
        fresh, old = Path(temporary) / "fresh", Path(temporary) / "old"
        _pip_install(pins, fresh)
        (fresh / _STAMP).write_text("\n".join(pins), encoding="utf-8")
        if place.exists():
            place.rename(old)
        fresh.rename(place)
    return place


def _pip_install(pins: tuple[str, ...], target: Path) -> None:
    """Install packages into a folder by pip.

    Raises:
        ResourceError: pip fails; the text ends in its last lines.
    """
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    done = subprocess.run([*pip, "--target", str(target), *pins], capture_output=True, text=True, check=False)
    if done.returncode:
        said = "; ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-_TAIL:])
        raise ResourceError(f"pip could not install {', '.join(pins)} (is a package index within reach?): {said}")


def _pins(path: Path) -> tuple[str, ...]:
    try:
        return tuple((path / _STAMP).read_text(encoding="utf-8").splitlines())
    except (FileNotFoundError, NotADirectoryError):
        return ()
