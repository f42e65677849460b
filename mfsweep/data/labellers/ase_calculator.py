"""Any ASE calculator by its import path: energies, and forces where it implements them."""

from __future__ import annotations

import importlib
import inspect
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ase import Atoms

from mfsweep.data.labellers.geometries import Geometry, Label, OneByOne
from mfsweep.errors import DataError, nearest


def check(path: str, options: Mapping[str, Any]) -> type[Any]:
    """Return the class of a calculator.

    Raises:
        DataError: there is none, or the options hold what is a structure's own.
    """
    found = find(path)
    if "charge" in options:
        raise DataError(
            f"--options: the charge of ase:{path} is each structure's own, as the data set states it (neutral where "
            f"it states none): leave out `charge`, got {options['charge']!r}"
        )
    return found


def build(path: str, options: Mapping[str, Any]) -> OneByOne:
    """Return the labeller of a calculator.

    Args:
        path: `package.module.Class`.
        options: keyword arguments of the class.

    Raises:
        DataError: there is no such class, or the options are refused.
    """
    try:
        calculator = check(path, options)(**options)
    except DataError:
        raise
    except Exception as error:
        raise DataError(
            f"the ASE calculator {path} refuses the options {dict(options)} ({type(error).__name__}: {error}): "
            '--options takes its keyword arguments as JSON, for example \'{"label": "x"}\''
        ) from error
    implemented = set(getattr(calculator, "implemented_properties", ()))
    if "energy" not in implemented:
        raise DataError(f"the ASE calculator {path} gives no energies: it implements {', '.join(implemented) or '-'}")
    writes_anywhere = "directory" not in options and hasattr(calculator, "directory")
    takes_charge = "charge" in getattr(calculator, "default_parameters", {})

    def single(geometry: Geometry) -> Label:
        if geometry.charge and not takes_charge:
            raise DataError(f"its charge is {geometry.charge}, and {path} has no parameter `charge`")
        # What it keeps of the structure before must not decide what comes out of this one.
        calculator.reset()
        if takes_charge:
            calculator.set(charge=geometry.charge)
        # Programs write their files into a folder: two at a time in one would read each other's.
        with tempfile.TemporaryDirectory(prefix="mfsweep-label-") as folder:
            if writes_anywhere:
                calculator.directory = Path(folder)
            atoms = Atoms(geometry.numbers, geometry.positions, cell=geometry.cell, pbc=geometry.pbc)
            atoms.calc = calculator
            energy = float(atoms.get_potential_energy())
            return Label(energy, np.asarray(atoms.get_forces()) if "forces" in implemented else None)

    return OneByOne(single)


def find(path: str) -> type[Any]:
    """Return the class at an import path.

    Raises:
        DataError: there is none, with the nearest name.
    """
    place, _, name = path.rpartition(".")
    if not place:
        raise DataError(f"ase:{path}: expected the import path of a class, for example ase:ase.calculators.emt.EMT")
    try:
        module = importlib.import_module(place)
    except ModuleNotFoundError as error:
        raise DataError(_absent(path, place, error)) from error
    except Exception as error:
        raise DataError(f"ase:{path}: {place} cannot be imported ({type(error).__name__}: {error})") from error
    found = getattr(module, name, None)
    if not inspect.isclass(found):
        classes = [other for other, value in vars(module).items() if inspect.isclass(value)]
        what = "holds no" if found is None else "holds something else than a class of that name:"
        raise DataError(f"ase:{path}: the module {place} {what} {name!r}.{nearest(name, classes)}")
    return found


def _absent(path: str, place: str, error: ModuleNotFoundError) -> str:
    """Return the message for a module that is not there, or that needs one that is not."""
    missing = error.name or place
    if place != missing and not place.startswith(f"{missing}."):
        return f"ase:{path}: {place} needs {missing!r}, which is not installed: `pip install {missing}`"
    above, _, last = missing.rpartition(".")
    if not above:
        return f"ase:{path}: no package {missing!r} is installed here: `pip install {missing}`, or correct the name"
    import pkgutil

    beside = [module.name for module in pkgutil.iter_modules(importlib.import_module(above).__path__)]
    return f"ase:{path}: {above} has no module {last!r}.{nearest(last, beside)}"
