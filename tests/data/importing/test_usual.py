"""Names of labels as the field writes them: found and said, or left and warned of."""

from __future__ import annotations

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mfsweep.data.importing.ase_files import AseSource
from mfsweep.data.importing.keys import labels_of, units_of
from mfsweep.data.importing.rules import Rules
from mfsweep.errors import DataError


def frames(count=12):
    """Rattled molecules with EMT energies and forces, as plain arrays."""
    rng = np.random.default_rng(0)
    for number in range(count):
        atoms = molecule(("H2O", "CH4", "NH3")[number % 3])
        atoms.rattle(0.05, rng=rng)
        labelled = atoms.copy()
        labelled.calc = EMT()
        yield atoms, labelled.get_potential_energy(), labelled.get_forces()


def named(energy, forces, **info):
    made = []
    for atoms, e, f in frames():
        atoms.info |= {energy: e, **info}
        if forces:
            atoms.arrays[forces] = f
        made.append(atoms)
    return made


def in_any_case(word):
    return st.lists(st.booleans(), min_size=len(word), max_size=len(word)).map(
        lambda upper: "".join(c.upper() if u else c.lower() for c, u in zip(word, upper, strict=True))
    )


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(
        [("energy", "force"), ("REF_energy", "REF_forces"), ("dft_energy", "dft_force"), ("TotEnergy", "force"),
         ("free_energy", "forces"), ("total_energy", "f"), ("pbe_energy", "pbe_forces")]
    ).flatmap(lambda pair: st.tuples(*map(in_any_case, pair)))
)  # fmt: skip
def test_usual_names_are_found_and_said(importing, tmp_path, names):
    path = tmp_path / "own.xyz"
    ase.io.write(path, named(*names))
    imported = importing(path, labels=["pbe"])
    expected = list(frames())
    np.testing.assert_allclose(imported.structures.labels["pbe"].energy, [e for _, e, _ in expected])
    np.testing.assert_allclose(imported.forces("pbe", 4), expected[4][2], atol=1e-6)
    if names != ("energy", "forces"):
        said = f"pbe is {names[0]!r} with forces {names[1]!r}"
        assert any(said in text for text in imported.summary.warnings)


def test_several_energies_without_a_usual_name_are_refused_with_all(importing, tmp_path):
    path = tmp_path / "own.xyz"
    ase.io.write(path, named("mp2_energy", None, hf_energy=1.0))
    with pytest.raises(DataError, match="there are several energies, mp2_energy, hf_energy: say which"):
        importing(path, labels=["cc"])
    assert importing(path, labels=["mp2"]).summary.energies == {"mp2": 12}


def test_what_looks_like_a_label_and_is_left_out_is_told(importing, tmp_path):
    path = tmp_path / "own.xyz"
    made = named("REF_energy", "REF_forces", virial=np.eye(3), config_energy_weight=1.0)
    for atoms in made:
        atoms.arrays["gradients"] = -atoms.arrays["REF_forces"]
    ase.io.write(path, made)
    (text,) = [text for text in importing(path, labels=["dft=REF_energy"]).summary.warnings if "left out" in text]
    for key in ("'REF_forces' (forces)", "'gradients' (gradients?)", "'virial' (nothing trains on stresses)"):
        assert key in text
    assert "weight" not in text


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.floats(-9, 9).filter(lambda shift: abs(shift) > 1e-3))
def test_a_calculator_wins_over_what_is_in_info_and_the_difference_is_told(importing, tmp_path, shift):
    path = tmp_path / "stale.traj"
    made, energies = [], []
    for atoms, energy, forces in frames():
        atoms.calc = SinglePointCalculator(atoms, energy=energy, forces=forces)
        atoms.info["energy"] = energy + shift
        made.append(atoms)
        energies.append(energy)
    ase.io.write(path, made)
    imported = importing(path, labels=["dft"])
    np.testing.assert_allclose(imported.structures.labels["dft"].energy, energies)
    said = f"the 'energy' of the calculator is taken; the file has another one beside it (12 frames, by up to {abs(shift):.4g})"
    assert any(said in text for text in imported.summary.warnings)


def test_free_energy_that_differs_is_told_with_how_to_choose(importing, tmp_path):
    path = tmp_path / "vasp.traj"
    made = []
    for atoms, energy, forces in frames():
        atoms.calc = SinglePointCalculator(atoms, energy=energy, free_energy=energy - 0.2, forces=forces)
        made.append(atoms)
    ase.io.write(path, made)
    imported = importing(path, labels=["dft"])
    (text,) = [text for text in imported.summary.warnings if "name the key free_energy in place of energy" in text]
    assert "by up to 0.2" in text
    free = importing(path, labels=["dft=free_energy,forces"]).structures.labels["dft"].energy
    np.testing.assert_allclose(free, imported.structures.labels["dft"].energy - 0.2)


@pytest.mark.parametrize("nothing", ["None", "none", "NULL", "N/A"])
def test_texts_that_mean_nothing_are_no_label_and_counted(importing, tmp_path, nothing):
    path = tmp_path / "own.xyz"
    made = named("REF_energy", "REF_forces")
    for atoms in made[::4]:
        atoms.info["REF_energy"] = nothing
    ase.io.write(path, made)
    imported = importing(path, labels=["dft=REF_energy,REF_forces"])
    assert np.isnan(imported.structures.labels["dft"].energy).tolist() == [n % 4 == 0 for n in range(12)]
    assert any("3 frames with 'REF_energy'" in text and "no label there" in text for text in imported.summary.warnings)


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["cc", "dft", "xtb"]), min_size=12, max_size=12))
def test_a_column_names_the_method_of_each_frame(importing, tmp_path, heads):
    path = tmp_path / "heads.xyz"
    made = named("REF_energy", "REF_forces")
    for atoms, head in zip(made, heads, strict=True):
        atoms.info["head"] = head
    ase.io.write(path, made)
    for labels in ((), ["x=REF_energy,REF_forces"]):
        structures = importing(path, labels=labels, method_column="head").structures
        assert structures.labels.keys() == set(heads)
        for method, own in structures.labels.items():
            assert (~np.isnan(own.energy)).tolist() == [head == method for head in heads]
            assert structures.carries(method, forces=True).tolist() == [head == method for head in heads]
    if len(set(heads)) > 1:
        with pytest.raises(
            DataError, match=r"--column head .*, or --method-column head.*: mfsweep data import .* --method-column head"
        ):
            importing(path, labels=["dft=REF_energy,REF_forces"])


@pytest.mark.parametrize(
    ("energy", "forces", "factor"), [("eV", "eV/Ang", 1.0), ("kcal/mol", "kcal/mol/Ang", 23.06054783)]
)
def test_a_database_of_schnetpack_comes_in_with_its_units(importing, tmp_path, energy, forces, factor):
    path = tmp_path / "schnet.db"
    with ase.db.connect(path) as database:
        database.metadata = {
            "_distance_unit": "Ang",
            "_property_unit_dict": {"energy": energy, "forces": forces},
        }
        for atoms, e, f in frames():
            database.write(atoms, data={"energy": np.array([e * factor]), "forces": f * factor})
    imported = importing(path, labels=["dft"])
    expected = list(frames())
    np.testing.assert_allclose(imported.structures.labels["dft"].energy, [e for _, e, _ in expected], rtol=1e-6)
    np.testing.assert_allclose(imported.forces("dft", 3), expected[3][2], atol=1e-5)
    assert imported.summary.units["schnet.db"].energy == energy


CARRIED = {"positions": "Bohr", "energy": "kcal/mol", "forces": "kcal/mol/Bohr"}
"""Units that a database may carry."""
STATED = {"positions": "Ang", "energy": "hartree", "forces": "hartree/bohr"}
"""Others, that a user may state in their place."""


@given(carried=st.sets(st.sampled_from(sorted(CARRIED))), stated=st.sets(st.sampled_from(sorted(STATED))))
@settings(max_examples=64, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_unit_that_a_database_carries_holds_unless_that_quantity_is_stated(tmp_path, carried, stated):
    path = tmp_path / f"{'-'.join(['units', *sorted(carried)])}.db"
    if not path.exists():
        with ase.db.connect(path) as database:
            units = {name: CARRIED[name] for name in carried - {"positions"}}
            length = {"_distance_unit": CARRIED["positions"]} if "positions" in carried else {}
            database.metadata = length | ({"_property_unit_dict": units} if units else {})
            for atoms, e, f in frames(1):
                database.write(atoms, data={"energy": np.array([e]), "forces": f})
    rules = Rules(labels_of(["dft"]), units={name: STATED[name] for name in stated})
    expected = {"energy": "eV", "forces": "eV/Ang", "positions": "Ang"}
    for name in carried:
        if name == "positions" or not stated & {"energy", "forces"}:  # energy and forces go together
            expected |= units_of([f"{name}={CARRIED[name]}"])
    assert AseSource(path, rules).units._asdict() == expected | {name: STATED[name] for name in stated}


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(*(in_any_case(word) for word in ("lattice", "properties", "pbc")))
def test_keys_of_extxyz_are_read_in_any_case(importing, tmp_path, lattice, properties, pbc):
    path = tmp_path / "own.xyz"
    made = []
    for number in range(4):
        atoms = bulk("Cu", cubic=True)
        atoms.rattle(0.05, seed=number)
        atoms.pbc = (True, True, number % 2 == 0)
        atoms.calc = EMT()
        forces = atoms.get_forces()
        atoms.calc = SinglePointCalculator(atoms, energy=atoms.get_potential_energy(), forces=forces)
        made.append(atoms)
    ase.io.write(path, made)
    text = path.read_text()
    path.write_text(
        text.replace("Lattice=", f"{lattice}=").replace("Properties=", f"{properties}=").replace("pbc=", f"{pbc}=")
    )
    imported = importing(path, labels=["emt"])
    assert imported.structures.pbc.tolist() == [atoms.pbc.tolist() for atoms in made]
    np.testing.assert_allclose(imported.forces("emt", 1), made[1].calc.results["forces"], atol=1e-6)
