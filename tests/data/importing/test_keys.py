from __future__ import annotations

import pytest
from ase import units as ase_units

from mfsweep.data.importing.keys import labels_of, picked, units_of
from mfsweep.data.units import ASE_UNITS, BOHR, UNITS
from mfsweep.errors import DataError
from mfsweep.spec.data import LabelKeys


def test_labels_name_a_method_and_its_keys():
    assert labels_of(["cc=ccsd(t)_cbs.energy", "dft=E,F", "xtb"]) == {
        "cc": LabelKeys(energy="ccsd(t)_cbs.energy"),
        "dft": LabelKeys(energy="E", forces="F"),
        "xtb": None,
    }


@pytest.mark.parametrize(
    "text", ["", "=E", "cc=", "cc=E,", "cc=,F", "cc=E,F,G", "a/b=E", ".=E", "..", "a\0b=E", "\ud800=E"]
)
def test_labels_of_another_form_are_refused(text):
    with pytest.raises(DataError, match="--labels: expected NAME or NAME=ENERGY_KEY"):
        labels_of([text])


def test_method_named_twice_is_refused():
    with pytest.raises(DataError, match="'cc' twice"):
        labels_of(["cc=E", "cc"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("energy=eV", {"energy": "eV"}),
        ("energy=Hartree", {"energy": "hartree"}),
        ("energy=ha", {"energy": "hartree"}),
        ("energy=kcal/mol", {"energy": "kcal/mol"}),
        ("forces=kcal/mol/Ang", {"forces": "kcal/mol/Ang"}),
        ("forces=Hartree/Bohr", {"forces": "hartree/bohr"}),
        ("forces=ev/angstrom", {"forces": "eV/Ang"}),
        ("positions=Bohr", {"positions": "bohr"}),
    ],
)
def test_units_are_known_by_their_usual_names(text, expected):
    assert units_of([text]) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("energy=hartre", "Did you mean 'hartree'"),
        ("energy=m", "expected one of hartree, Ry, eV"),
        ("forces=eV", "A force is an energy over a length"),
        ("forces=eV/boh", "got 'boh'.*'bohr'"),
        ("positions=nm", "expected one of Ang, bohr"),
        ("enrgy=eV", "expected energy=UNIT.*Did you mean 'energy'"),
        ("eV", "expected energy=UNIT"),
    ],
)
def test_unknown_unit_is_refused_with_the_nearest(text, message):
    with pytest.raises(DataError, match=message):
        units_of([text])


def test_factors_are_those_of_ase():
    for name, factor in UNITS.items():
        energy, _, per = name.partition("/")
        theirs = {
            "hartree": ase_units.Hartree,
            "Ry": ase_units.Ry,
            "eV": 1.0,
            "meV": 1e-3,
            "kcal": ase_units.kcal,
            "kJ": ase_units.kJ,
        }[energy]
        assert factor == pytest.approx(theirs / (ase_units.mol if per else 1.0), rel=1e-7)  # CODATA 2014 there
    assert pytest.approx(ase_units.Bohr, rel=1e-8) == BOHR
    forces = ASE_UNITS._replace(forces="kcal/mol/bohr").forces_factor
    assert forces == pytest.approx(ase_units.kcal / ase_units.mol / ase_units.Bohr, rel=1e-7)


KEYS = {"a.energy", "a.forces", "b.energy", "c.forces", "smiles", "mp2.corr_energy"}


def test_every_pair_of_keys_is_a_method_where_none_is_asked_for():
    assert picked("f.h5", {}, KEYS) == {
        "a": LabelKeys(energy="a.energy", forces="a.forces"),
        "b": LabelKeys(energy="b.energy"),
    }


def test_methods_asked_for_take_their_pair_or_the_keys_named():
    asked = labels_of(["a", "x=mp2.corr_energy,c.forces"])
    assert picked("f.h5", asked, KEYS) == {
        "a": LabelKeys(energy="a.energy", forces="a.forces"),
        "x": LabelKeys(energy="mp2.corr_energy", forces="c.forces"),
    }


@pytest.mark.parametrize("text", ["x=a.enrgy", "a.enrgy", "x=a.energy,a.force"])
def test_key_that_is_not_there_is_refused_with_the_nearest(text):
    with pytest.raises(DataError, match=r"f\.h5: --labels .*Did you mean 'a\.(energy|forces)'.*smiles"):
        picked("f.h5", labels_of([text]), KEYS)


def test_file_without_pairs_is_refused():
    with pytest.raises(DataError, match=r"expected keys like X\.energy and X\.forces, got: energies, species"):
        picked("f.h5", {}, {"energies", "species"})
