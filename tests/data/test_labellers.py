from __future__ import annotations

import subprocess
import sys

import h5py
import numpy as np
import pytest

from mfsweep.data.labellers import Geometries, Label, OneByOne, build, default_name, parse, read_options
from mfsweep.data.labellers.geometries import refuse_periodic
from mfsweep.data.labellers.pyscf_methods import core_potential
from mfsweep.data.structures import Structures
from mfsweep.data.units import HARTREE
from mfsweep.errors import DataError

WATER = np.array([[0, 0, 0.119], [0, 0.763, -0.477], [0, -0.763, -0.477]])
LJ = "ase:ase.calculators.lj.LennardJones"


def one(numbers, positions, *, charge=0, cell=None, pbc=None) -> Geometries:
    return Geometries(
        np.array([len(numbers)]),
        np.array(numbers, np.uint8),
        np.array(positions, np.float64),
        np.array([charge], np.int16) if charge else None,
        None if cell is None else np.array(cell, np.float64)[None],
        None if pbc is None else np.array(pbc)[None],
    )


def water(**state) -> Geometries:
    return one([8, 1, 1], WATER, **state)


def label(text: str, geometries: Geometries, **options):
    return build(parse(text, options))(geometries)


def bundled(path, formula: str, key: str):
    """Give the first geometry of a formula that has a label, the label in hartree, and the forces if there are any."""
    with h5py.File(path, "r") as file:
        group = next(group for group in file.values() if group.name.strip("/").startswith(formula))
        energies = group[f"{key}.energy"][()]
        row = int(np.flatnonzero(~np.isnan(energies))[0])
        forces = group[f"{key}.forces"][row] if f"{key}.forces" in group else None
        return one(group["atomic_numbers"][()], group["coordinates"][row]), energies[row], forces


def test_water_by_gfn2_xtb_has_the_energy_of_the_reference():
    computed = label("gfn2-xtb", water())
    assert computed.energy[0] / HARTREE == pytest.approx(-5.07023327, abs=1e-8)
    assert computed.seconds[0] > 0
    assert not computed.failures


@pytest.mark.parametrize(
    ("text", "options", "atol"),
    [
        ("gfn2-xtb", {}, 1e-4),
        ("gfn1-xtb", {}, 1e-4),
        ("hf/sto-3g", {}, 1e-4),
        ("pbe/sto-3g", {"grid_level": 2}, 1e-3),
        ("hf/sbkjc", {}, 1e-4),
        (LJ, {}, 1e-3),
    ],
)
def test_forces_are_minus_the_slope_of_the_energy(text, options, atol):
    labeller = build(parse(text, options))
    step = 1e-3
    slopes = []
    for sign in (1, -1):
        moved = WATER.copy()
        moved[1, 2] += sign * step
        slopes.append(labeller(one([8, 1, 1], moved)).energy[0])
    forces = labeller(water()).forces
    assert forces is not None
    assert forces[1, 2] == pytest.approx(-(slopes[0] - slopes[1]) / (2 * step), abs=atol)


@pytest.mark.parametrize("formula", ["H2O", "CH4O", "C2H5NO"])
def test_xtb_labels_of_the_bundled_set_are_reproduced(mini, formula):
    geometries, energy, forces = bundled(mini, formula, "gfn2_xtb")
    computed = label("gfn2-xtb", geometries)
    assert computed.energy[0] / HARTREE == pytest.approx(energy, abs=1e-8)
    assert computed.forces is not None
    np.testing.assert_allclose(computed.forces / HARTREE, forces, atol=1e-6)


def test_coupled_cluster_label_of_the_bundled_set_is_reproduced(mini):
    geometries, energy, _ = bundled(mini, "H2O", "ccsd(t)_631gd")
    computed = label("ccsd(t)/6-31g*", geometries)
    assert computed.energy[0] / HARTREE == pytest.approx(energy, abs=1e-7)
    assert computed.forces is None


def test_functional_label_of_the_bundled_set_is_reproduced(mini):
    geometries, energy, forces = bundled(mini, "H2O", "wb97x_631gd")
    computed = label("wb97x/6-31g*", geometries, grid_level=2)
    assert computed.energy[0] / HARTREE == pytest.approx(energy, abs=1e-7)
    assert computed.forces is not None
    np.testing.assert_allclose(computed.forces / HARTREE, forces, atol=1e-6)


def test_iodine_has_the_energy_of_its_core_potential():
    iodide = one([1, 53], [[0, 0, 0], [0, 0, 1.609]])
    assert label("hf/def2-svp", iodide).energy[0] / HARTREE == pytest.approx(-297.232, abs=1e-3)
    assert label("hf/lanl2dz", iodide).energy[0] / HARTREE == pytest.approx(-11.726, abs=1e-3)


@pytest.mark.parametrize(
    ("basis", "number", "core"),
    [
        ("def2-svp", 53, 28),
        ("def2-svp", 35, None),
        ("def2-mTZVP", 53, 28),
        ("LANL2DZ", 17, 10),
        ("cc-pVTZ-PP", 53, 28),
        ("aug-cc-pVTZ-PP", 47, 28),
        ("ccECP-cc-pVDZ", 8, 2),
        ("bfd-vdz", 17, 10),
        ("6-31g*", 53, None),
        ("cc-pCVDZ", 8, None),
        ("dyall-v2z", 53, None),
    ],
)
def test_a_basis_set_brings_the_core_potentials_of_its_family(basis, number, core):
    found = core_potential(basis, number)
    assert (None if found is None else found[0]) == core


def test_a_basis_set_without_its_core_potential_is_refused():
    copper = one([29, 29], [[0, 0, 0], [0, 0, 2.2]])
    failures = label("hf/cc-pvdz-pp-nr", copper).failures
    assert failures == {0: "PySCF has no effective core potential for Cu that belongs to cc-pvdz-pp-nr"}


def test_correlated_methods_give_energies_in_their_order():
    energies = [label(f"{method}/sto-3g", water()).energy[0] for method in ("hf", "mp2", "ccsd", "ccsd(t)")]
    assert energies == sorted(energies, reverse=True)


def test_the_core_may_be_correlated():
    frozen, whole = (label("mp2/6-31g*", water(), frozen_core=frozen).energy[0] for frozen in (True, False))
    assert whole < frozen - 0.01


def test_a_charge_is_taken_from_the_structure():
    hydroxide = one([8, 1], WATER[:2], charge=-1)
    assert not label("gfn2-xtb", hydroxide).failures
    assert not label("hf/sto-3g", hydroxide).failures


@pytest.mark.parametrize("text", ["gfn2-xtb", "hf/sto-3g"])
def test_odd_electrons_fail_unless_a_spin_is_chosen(text):
    cation = water(charge=1)
    refused = label(text, cation)
    assert np.isnan(refused.energy[0])
    assert np.isnan(refused.seconds[0])
    assert "odd number of electrons" in refused.failures[0]
    assert label(text, cation, spin="lowest").energy[0] > label(text, water(), spin="lowest").energy[0]


def test_lanthanides_count_three_electrons_in_xtb():
    from mfsweep.data.labellers.xtb import _parity

    cerium = next(one([58, 17, 17, 17], np.zeros((4, 3))).each())
    assert _parity(cerium) == 0


def test_a_crystal_by_xtb_does_not_depend_on_how_its_cell_is_chosen():
    cell = np.array([[0.0, 1.78, 1.78], [1.78, 0.0, 1.78], [1.78, 1.78, 0.0]])
    diamond = np.array([[0.0, 0.0, 0.0], [0.89, 0.89, 0.89]])
    moved = diamond + np.array([[0.0, 0.0, 0.0], cell[0]])
    energies = [label("gfn1-xtb", one([6, 6], p, cell=cell, pbc=[True] * 3)).energy[0] for p in (diamond, moved)]
    assert energies[0] == pytest.approx(energies[1], abs=1e-6)


def test_xtb_sees_the_neighbouring_cells():
    alone, wide, narrow = (
        label("gfn2-xtb", water(**cell)).energy[0]
        for cell in ({}, *({"cell": side * np.eye(3), "pbc": [True] * 3} for side in (20.0, 3.0)))
    )
    assert wide == pytest.approx(alone, abs=0.01)
    assert abs(narrow - alone) > 0.1


def test_a_slab_is_refused_by_xtb_and_any_periodic_structure_by_pyscf():
    slab = water(cell=20 * np.eye(3), pbc=[True, True, False])
    assert "all three" in label("gfn2-xtb", slab).failures[0]
    assert "periodic" in label("hf/sto-3g", slab).failures[0]


def test_an_ase_calculator_takes_its_arguments():
    pair = one([18, 18], [[0, 0, 0], [0, 0, 1.2]])
    assert label(LJ, pair, epsilon=2.0).energy[0] == pytest.approx(2 * label(LJ, pair).energy[0])


def test_an_ase_calculator_gets_the_cell():
    cube = one([29], [[0, 0, 0]], cell=2.5 * np.eye(3), pbc=[True] * 3)
    assert (
        label("ase:ase.calculators.emt.EMT", cube).energy[0]
        != label("ase:ase.calculators.emt.EMT", one([29], [[0, 0, 0]])).energy[0]
    )


CHARGED = """
from ase.calculators.calculator import Calculator, all_changes

class Charged(Calculator):
    implemented_properties = ["energy"]
    default_parameters = {"charge": 0}

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": float(self.parameters.charge)}
"""


@pytest.fixture
def charged(tmp_path, monkeypatch):
    """Write a calculator of the user's own, whose energy is the charge."""
    path = tmp_path / "charged.py"
    path.write_text(CHARGED)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "charged", raising=False)
    return path


def test_the_charge_is_the_structures_and_no_option(charged):
    assert label("ase:charged.Charged", water(charge=-1)).energy[0] == -1
    with pytest.raises(DataError, match="each structure's own, as the data set states it"):
        parse("ase:charged.Charged", {"charge": -1})


def test_an_edited_calculator_is_another_method(charged):
    before = parse("ase:charged.Charged", {})
    assert parse("ase:charged.Charged", {}).identity() == before.identity()
    charged.write_text(CHARGED.replace("charge)}", "charge) + 1}"))
    assert parse("ase:charged.Charged", {}).identity() != before.identity()


def test_a_calculator_of_a_package_is_known_by_its_version():
    from importlib.metadata import version

    assert parse(LJ, {}).versions == {"ase": version("ase")}
    assert parse("ase:tblite.ase.TBLite", {}).versions == {"ase": version("ase"), "tblite": version("tblite")}


def test_an_ase_calculator_without_charges_refuses_ions():
    assert "no parameter `charge`" in label(LJ, water(charge=-1)).failures[0]


WRITER = """
from pathlib import Path
from ase.calculators.calculator import Calculator, all_changes

class Writer(Calculator):
    implemented_properties = ["energy"]

    def calculate(self, atoms=None, properties=("energy",), system_changes=all_changes):
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": float(len(list(Path(self.directory).iterdir())))}
        Path(self.directory, "out").touch()
"""


def test_every_calculation_writes_into_a_folder_of_its_own(tmp_path, monkeypatch):
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules" / "writer.py").write_text(WRITER)
    (tmp_path / "here").mkdir()
    monkeypatch.syspath_prepend(tmp_path / "modules")
    monkeypatch.chdir(tmp_path / "here")
    labeller = build(parse("ase:writer.Writer", {}))
    assert [labeller(water()).energy[0] for _ in range(2)] == [0, 0]
    assert not list((tmp_path / "here").iterdir())


def test_a_failure_is_one_structures_own():
    two = Geometries(
        np.array([1, 3]), np.array([79, 8, 1, 1], np.uint8), np.vstack([np.zeros((1, 3)), WATER]), None, None, None
    )
    computed = label("ase:ase.calculators.emt.EMT", two._replace(species=np.array([92, 8, 1, 1], np.uint8)))
    assert list(computed.failures) == [0]
    assert computed.forces is not None
    assert np.isnan(computed.forces[0]).all()
    assert np.isfinite(computed.forces[1:]).all()


def test_numbers_that_are_not_finite_are_a_failure():
    computed = OneByOne(lambda _: Label(float("inf"), None))(water())
    assert "not finite" in computed.failures[0]
    computed = OneByOne(lambda _: Label(0.0, np.full((3, 3), np.nan)))(water())
    assert "not finite" in computed.failures[0]
    assert np.isnan(computed.energy[0])


def test_cost_counts_the_programs_that_a_calculator_runs():
    program = "import time\nwhile time.process_time() < 0.3: pass"

    def single(geometry):
        subprocess.run([sys.executable, "-c", program], check=True)
        return Label(0.0, None)

    assert OneByOne(single)(water()).seconds[0] >= 0.25


def test_gathering_keeps_each_structures_own():
    structures = Structures(
        offsets=np.array([0, 3, 5]),
        species=np.array([8, 1, 1, 8, 1], np.uint8),
        positions=np.arange(15, dtype=np.float32).reshape(5, 3),
        formula=np.zeros(2, np.int32),
        formulae=("",),
        rank=np.arange(2, dtype=np.int32),
        labels={},
        charge=np.array([0, -1], np.int16),
    )
    second, first = Geometries.of(structures, np.array([1, 0])).each()
    assert second.charge == -1
    assert second.numbers.tolist() == [8, 1]
    np.testing.assert_array_equal(first.positions, structures.positions[:3])
    refuse_periodic(first, "any")


@pytest.mark.parametrize(
    ("text", "options", "said"),
    [
        ("gfn2xtb", {}, "Did you mean 'gfn2-xtb'"),
        ("foo", {}, "FUNCTIONAL/BASIS"),
        ("wb97xx/6-31g*", {}, "Did you mean 'wb97x'"),
        ("wb97x-d/6-31g*", {}, "a functional that PySCF knows"),
        ("/6-31g*", {}, "a functional that PySCF knows"),
        ("hf/6-31gg*", {}, "Did you mean '631g*'"),
        ("hf/", {}, "a basis set"),
        ("ase:EMT", {}, "the import path of a class"),
        ("ase:ase.calculators.emt.EMTT", {}, "Did you mean 'EMT'"),
        ("ase:ase.calculators.emtt.EMT", {}, "Did you mean 'emt'"),
        ("ase:nowhere.calculators.EMT", {}, "no package 'nowhere'"),
        ("ase:ase.calculators.emt.parameters", {}, "something else"),
        ("gfn2-xtb", {"acuracy": 1}, "Did you mean 'accuracy'"),
        ("gfn2-xtb", {"accuracy": -1}, "accuracy: expected a number above 0"),
        ("hf/sto-3g", {"grid_level": 12}, "grid_level"),
    ],
)
def test_a_wrong_method_or_option_names_the_right_one(text, options, said):
    with pytest.raises(DataError, match=said.replace("*", r"\*").replace("(", r"\(")):
        parse(text, options)


def test_an_option_that_a_calculator_refuses_is_the_users_mistake():
    with pytest.raises(DataError, match="refuses the options"):
        build(parse("ase:ase.calculators.emt.EMT", {"nonsense": 1, "label": 3}))


def test_options_are_a_json_object():
    assert read_options(None) == {}
    assert read_options('{"a": 1}') == {"a": 1}
    for text in ("[1]", "{a: 1}", "3"):
        with pytest.raises(DataError, match="expected a JSON object"):
            read_options(text)


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(DataError, match="pip install tblite`"):
        parse("gfn2-xtb", {})


def test_names_and_identities():
    names = {text: default_name(parse(text, {})) for text in ("gfn2-xtb", "WB97X/6-31G*", LJ)}
    assert names == {"gfn2-xtb": "gfn2_xtb", "WB97X/6-31G*": "wb97x_6-31g*", LJ: "lennardjones"}
    assert parse("gfn2-xtb", {}).identity() == parse("GFN2-xTB", {"accuracy": 0.1}).identity()
    assert parse("gfn2-xtb", {}).identity() != parse("gfn2-xtb", {"accuracy": 1.0}).identity()
