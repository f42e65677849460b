"""Hartree-Fock, density functionals, MP2 and coupled cluster of molecules by PySCF."""

from __future__ import annotations

import functools
import re
import warnings
from collections.abc import Mapping
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field

from mfsweep.data.labellers.geometries import Geometry, Label, OneByOne, refuse_periodic, unpaired_electrons
from mfsweep.data.labellers.xtb import BOHR
from mfsweep.data.units import HARTREE
from mfsweep.errors import DataError, nearest
from mfsweep.spec.base import Frozen, Int, NonNegativeInt, PositiveFloat, PositiveInt

CORRELATED = ("mp2", "ccsd", "ccsd(t)")
"""Methods on top of Hartree-Fock, of which only energies are computed. Beside them stand `hf` and the functionals."""
_FAMILY = re.compile(r"^(hyb_)?(lda|gga|mgga)_(xc|x|c|k)_")
"""What libxc puts in front of a functional's name."""
_POTENTIALS = (
    (re.compile(r"(ccecp(?:he|reg|28|36)?)(?:aug)?ccpv.z"), r"\1", 1),
    (re.compile(r"bfdv.z"), "bfd", 1),
    (re.compile(r"(?:aug)?ccp(?:wc)?v.zpp"), "ccpvdzpp", 1),
    (re.compile(r"ccpv.zppnr"), None, 1),
    (re.compile(r"(?:ma)?def2.*"), "def2svp", 37),
)
"""Families of basis sets made for effective core potentials: names as in PySCF's table, the entry that holds the
family's potentials where a set's own does not (None: PySCF has none), and the lightest element that needs one."""


class PyscfOptions(Frozen):
    """What may be chosen of a PySCF calculation."""

    density_fit: bool | None = None
    """Density fitting of the mean field. Default: of functionals, not of `hf` and what stands on it."""
    grid_level: Annotated[Int, Field(ge=0, le=9)] = 3
    """PySCF's level of a functional's integration grid. Forces take the grid's response into account."""
    frozen_core: bool = True
    """Leave the core electrons out of MP2 and coupled cluster."""
    conv_tol: PositiveFloat = 1e-9
    """Hartree, of the self-consistent field."""
    max_cycle: PositiveInt = 100
    """Cycles of the self-consistent field, and of the coupled cluster's amplitudes."""
    spin: NonNegativeInt | Literal["lowest"] = 0
    """Unpaired electrons; `lowest`: 0 or 1 as the number of electrons asks. With any the reference is unrestricted."""


def check(functional: str, basis: str) -> None:
    """Refuse names that PySCF does not know.

    Raises:
        DataError: with the nearest name.
    """
    from pyscf.dft import libxc
    from pyscf.gto.basis import ALIAS
    from pyscf.scf.dispersion import parse_dft

    if functional not in ("hf", *CORRELATED):
        try:
            name, _, dispersion = parse_dft(functional)
            libxc.parse_xc(name or "none")
        except (KeyError, ValueError, NotImplementedError) as error:
            known = [_FAMILY.sub("", name.lower()) for name in (*libxc.XC_CODES, *libxc.XC_ALIAS)]
            known += ["hf", *CORRELATED]
            raise DataError(
                f"{functional}/{basis}: expected hf, {', '.join(CORRELATED)} or a functional that PySCF knows, got "
                f"{functional!r}.{nearest(functional, known)}"
            ) from error
        if dispersion:
            _require_dispersion(functional)
    if _plain(basis) not in ALIAS:
        near = nearest(_plain(basis), ALIAS)
        raise DataError(f"{functional}/{basis}: expected a basis set that PySCF knows, got {basis!r}.{near}")


def _plain(basis: str) -> str:
    """Return a basis set's name as PySCF's own table spells it."""
    return basis.lower().replace("-", "").replace("_", "").replace(" ", "")


@functools.cache
def core_potential(basis: str, number: int) -> list[Any] | None:
    """Return the effective core potential that belongs to a basis set, as PySCF takes it.

    Args:
        basis: its name.
        number: of the element.

    Returns:
        The potential; None where the set is for all electrons of that element.

    Raises:
        DataError: the set needs one, and PySCF has none for the element.
    """
    from pyscf.data.elements import ELEMENTS
    from pyscf.gto.basis import ALIAS, load_ecp

    name, symbol = _plain(basis), ELEMENTS[number]
    file = ALIAS[name]
    # Sets that consist of several files or of a module hold no potential.
    if isinstance(file, str) and file.endswith(".dat") and (own := load_ecp(name, symbol)):
        return own
    for family, source, lightest in _POTENTIALS:
        if (match := family.fullmatch(name)) and number >= lightest:
            if source and (found := load_ecp(match.expand(source), symbol)):
                return found
            raise DataError(f"PySCF has no effective core potential for {symbol} that belongs to {basis}")
    return None


def _require_dispersion(functional: str) -> None:
    try:
        import pyscf.dispersion  # noqa: F401  # pyright: ignore[reportMissingImports] (optional)
    except ImportError as error:
        raise DataError(f"{functional}: its dispersion needs `pip install pyscf-dispersion`") from error


def build(functional: str, basis: str, options: Mapping[str, Any]) -> OneByOne:
    """Return the labeller of a method.

    Args:
        functional: `hf`, one of CORRELATED, or a functional.
        basis: PySCF's name of a basis set.
        options: those of `PyscfOptions`, all of them.
    """
    # All that a structure needs is imported here, so that the first one's cost is its own.
    from pyscf import cc, gto, mp  # noqa: F401
    from pyscf.data.elements import ELEMENTS

    chosen = PyscfOptions.model_validate(dict(options))

    def single(geometry: Geometry) -> Label:
        refuse_periodic(geometry, f"{functional}/{basis}")
        numbers = geometry.numbers.astype(int)
        spin = unpaired_electrons(int((numbers.sum() - geometry.charge) % 2), chosen.spin, geometry.charge)
        elements = sorted(set(numbers.tolist()))
        potentials = {ELEMENTS[z]: found for z in elements if (found := core_potential(basis, z)) is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an unknown element's basis: the error that follows says so
            molecule = gto.M(
                atom=list(zip(numbers.tolist(), geometry.positions.tolist(), strict=True)),
                basis=basis,
                ecp=potentials,
                charge=geometry.charge,
                spin=spin,
                unit="angstrom",
                verbose=0,
            )
            field = _mean_field(molecule, functional, chosen)
            field.kernel()
            _require_converged(field.converged, "self-consistent field", chosen)
            if functional in CORRELATED:
                return Label(_correlated(field, functional, chosen) * HARTREE, None)
            gradient = field.nuc_grad_method()
            if functional != "hf":
                gradient.grid_response = True
            return Label(float(field.e_tot) * HARTREE, -np.asarray(gradient.kernel()) * (HARTREE / BOHR))

    return OneByOne(single)


def _mean_field(molecule: Any, functional: str, options: PyscfOptions) -> Any:
    from pyscf import dft, scf

    restricted = molecule.spin == 0
    if functional in ("hf", *CORRELATED):
        field = scf.RHF(molecule) if restricted else scf.UHF(molecule)
    else:
        field = dft.RKS(molecule, xc=functional) if restricted else dft.UKS(molecule, xc=functional)
        field.grids.level = options.grid_level
    field.conv_tol, field.max_cycle = options.conv_tol, options.max_cycle
    fitted = functional not in ("hf", *CORRELATED) if options.density_fit is None else options.density_fit
    return field.density_fit() if fitted else field


def _correlated(field: Any, method: str, options: PyscfOptions) -> float:
    """Return the total energy of a method on top of Hartree-Fock, hartree."""
    from pyscf import cc, mp

    solver: Any = mp.MP2(field) if method == "mp2" else cc.CCSD(field)
    if options.frozen_core:
        solver.set_frozen()
    if method == "mp2":
        solver.kernel()
        return float(solver.e_tot)
    solver.max_cycle = options.max_cycle
    solver.kernel()
    _require_converged(solver.converged, "coupled cluster", options)
    return float(solver.e_tot) + (float(solver.ccsd_t()) if method == "ccsd(t)" else 0.0)


def _require_converged(converged: bool, what: str, options: PyscfOptions) -> None:
    if not converged:
        raise DataError(f"the {what} did not converge in {options.max_cycle} cycles")
