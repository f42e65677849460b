"""Versions of what makes the numbers: recorded with every stage, and compared where a spec asks for one of each."""

from __future__ import annotations

import contextlib
import platform
from importlib.metadata import PackageNotFoundError, version

from mfsweep.models.overlay import PINS
from mfsweep.models.registry import ARCHITECTURES

PACKAGES = (
    "mfsweep",
    "torch",
    *(package for architecture in ARCHITECTURES.values() for package in architecture.PACKAGES),
    "cuequivariance-torch",
    "openequivariance",
    "numpy",
    "ray",
)


def versions() -> dict[str, str]:
    """Return package -> version of this process, and Python's."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        with contextlib.suppress(PackageNotFoundError):  # what lies in an overlay, but in a process of it
            found[package] = version(package)
    return found


def expected(architecture: str) -> dict[str, str]:
    """Return the versions with which a stage of an architecture would be trained here: those of its overlay too."""
    pins = dict(pin.split("==") for pin in PINS.get(architecture, ()))
    return versions() | {package: own for package, own in pins.items() if package in PACKAGES}
