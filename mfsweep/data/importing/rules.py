"""What is taken from files and what it means: the options of `mfsweep data import`, and the command that gives them."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from mfsweep.data.dataset import Chunk
from mfsweep.data.judging import Mend
from mfsweep.data.units import Units
from mfsweep.spec.data import LabelKeys


@dataclass(frozen=True)
class Rules:
    """What is taken from the files, and what it means."""

    labels: Mapping[str, LabelKeys | None]
    """Label method -> its keys; None for those that a file has under that name. Empty: every pair X.energy, X.forces
    of an HDF5 file."""
    needs: tuple[str, ...] = ()
    """Label methods that a structure must carry to come in."""
    columns: tuple[str, ...] | None = None
    """Texts that come along; None for those that the file has as texts."""
    units: Mapping[str, str] | None = None
    """Quantity, or METHOD:quantity -> unit, where it is not that of the file's layout."""
    charge: str | None = None
    """Key of the total charge, or `none`; None for the usual ones (charges.py)."""
    geometries: bool = False
    """Whether to leave all labels."""
    method_column: str | None = None
    """Column of files that ASE reads which names the label method of each frame."""
    gradients: tuple[str, ...] = ()
    """Label methods whose forces are gradients: their sign is turned."""
    per_atom: tuple[str, ...] = ()
    """Label methods whose energies are divided by the number of atoms: they are taken times it."""
    drop_bad: bool = False
    """Whether structures with values that cannot be are left out; else they are an error."""
    trust_units: bool = False
    """Whether labels come in that do not look like what they are said to be."""

    @property
    def file_units(self) -> dict[str, str]:
        """Return quantity -> unit, of all methods."""
        return {name: unit for name, unit in (self.units or {}).items() if ":" not in name}

    def units_of(self, method: str, layout: Units) -> Units:
        """Return the units of a method in a file.

        Args:
            method: label method.
            layout: the units of the file's layout, with those that were stated for all methods.
        """
        own = {name: unit for name, unit in (self.units or {}).items() if name.rpartition(":")[0] == method}
        return layout._replace(**{name.rpartition(":")[2]: unit for name, unit in own.items()})

    def stated(self, methods: Collection[str]) -> set[str]:
        """Return the methods of which the user said a unit of energies or forces."""
        units = self.units or {}
        if {"energy", "forces"} & set(units):
            return set(methods)
        return {name.rpartition(":")[0] for name in units} & set(methods)

    def corrected(self, chunk: Chunk, layout: Units) -> Chunk:
        """Return structures that were read in the units of their file with the labels that they stand for."""
        energies, forces = dict(chunk.energies), dict(chunk.forces)
        for method in chunk.energies:
            own = self.units_of(method, layout)
            if own.energy != layout.energy:
                energies[method] = energies[method] * (own.energy_factor / layout.energy_factor)
            if method in self.per_atom:
                energies[method] = energies[method] * chunk.sizes
            if method in forces and own.forces != layout.forces:
                factor = own.forces_factor / layout.forces_factor
                forces[method] = (forces[method].astype(np.float64) * factor).astype(np.float32)
            if method in forces and method in self.gradients:
                forces[method] = -forces[method]
        return chunk._replace(energies=energies, forces=forces)

    def mended(self, mends: Mapping[str, Mend], taken: Mapping[str, LabelKeys]) -> Rules:
        """Return the rules by which labels would pass.

        Args:
            mends: label method -> how its labels would.
            taken: the label methods that these rules take, and where their values are.
        """
        labels, units = dict(self.labels), dict(self.units or {})
        changed = {method: own.units for method, own in mends.items() if own.units is not None}
        if changed and set(changed) == set(taken) and len(set(changed.values())) == 1:
            units = {name: unit for name, unit in units.items() if name == "positions"}
            new = next(iter(changed.values()))
            units |= {"energy": new.energy} | (
                {"forces": new.forces} if any(own.forces for own in taken.values()) else {}
            )
        else:
            for method, new in changed.items():
                units[f"{method}:energy"] = new.energy
                if taken[method].forces is not None:
                    units[f"{method}:forces"] = new.forces
        alone = {method for method, own in mends.items() if own.energies_alone}
        if alone:
            labels = {
                method: LabelKeys(energy=keys.energy) if method in alone else self.labels.get(method) or keys
                for method, keys in taken.items()
            }
        return replace(
            self,
            labels=labels,
            units=units,
            gradients=self.gradients + tuple(method for method, own in mends.items() if own.gradients),
            per_atom=self.per_atom + tuple(method for method, own in mends.items() if own.per_atom),
            drop_bad=self.drop_bad or any(own.drop_bad for own in mends.values()),
        )

    def command(self, sources: Sequence[Path | str], target: Path | str, *, overwrite: bool = False) -> str:
        """Return the line that imports files by these rules."""
        words = ["mfsweep", "data", "import", *map(str, sources), str(target), *self._options()]
        return shlex.join([*words, *(["--overwrite"] if overwrite else [])])

    def _options(self) -> Iterator[str]:
        for name, keys in self.labels.items():
            text = "" if keys is None else "=" + ",".join(filter(None, (keys.energy, keys.forces)))
            yield from ("--labels", name + text)
        several = {
            "--needs": self.needs,
            "--column": self.columns or (),
            "--unit": [f"{name}={unit}" for name, unit in (self.units or {}).items()],
            "--method-column": [self.method_column] if self.method_column else (),
            "--charge": [self.charge] if self.charge else (),
            "--gradients": self.gradients,
            "--per-atom": self.per_atom,
        }
        for option, values in several.items():
            for value in values:
                yield from (option, value)
        flags = {"--geometries": self.geometries, "--drop-bad": self.drop_bad, "--trust-units": self.trust_units}
        yield from (option for option, on in flags.items() if on)
