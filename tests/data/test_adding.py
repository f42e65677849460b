"""Labels that come from another data set, by geometry."""

from __future__ import annotations

import numpy as np
import pytest

from mfsweep.data import dataset
from mfsweep.data.adding import add
from mfsweep.data.part import part, write_dataset
from mfsweep.data.structures import Labels
from mfsweep.errors import DataError

CC = np.array([-1.0, np.nan, -3.0, np.nan, np.nan, -6.0])


@pytest.fixture
def make(tmp_path):
    """Write a data set of some of six shaken molecules, with the energies and forces of methods."""
    rng = np.random.default_rng(5)
    sizes = [3, 4, 3, 5, 3, 4]
    positions, forces = rng.normal(size=(22, 3)), rng.normal(size=(22, 3)).astype(np.float32)

    def write(name, members=range(6), with_forces=(), **energies):
        members = np.array(members)
        path = tmp_path / name
        with dataset.Writer(path, energies=["dft"]) as writer:
            species = np.concatenate([[8, *[1] * (size - 1)] for size in sizes]).astype(np.uint8)
            writer.add(dataset.Chunk(np.array(sizes), species, positions, {"dft": np.arange(6.0)}, {}))
            writer.finish({})
        whole = dataset.read(path, {"dft": dataset.methods(path)["dft"]})
        labels = {}
        for method, values in energies.items():
            missing = np.repeat(np.isnan(values), sizes)[:, None]
            labels[method] = Labels(
                np.array(values), np.where(missing, np.nan, forces) if method in with_forces else None
            )
        write_dataset(path, part(whole._replace(labels={**whole.labels, **labels}), members), {})
        return path

    return write


def energies(path, name):
    return dataset.read(path, {name: dataset.methods(path)[name]}).labels[name].energy


def test_labels_find_their_structures_in_any_order_and_old_ones_stay_under_their_name(make):
    pool, chosen = make("pool.h5", cc=CC), make("chosen.h5", [4, 3, 0], cc=[-1, 0, 0, -4, -5, 0])
    before = dataset.digests(pool)
    done = add(pool, chosen, "cc", "cc_2")
    assert done == ("cc_2", 3, 3, 2, 5, 6)
    assert np.array_equal(energies(pool, "cc_2"), [-1, np.nan, -3, -4, -5, -6], equal_nan=True)
    after = dataset.digests(pool)
    assert {key: after[key] for key in before} == before, "what is there is what it was, so no stage trains anew"


def test_forces_come_along_atom_by_atom(make):
    pool, other = (
        make("pool.h5", cc=CC, with_forces=["cc"]),
        make("other.h5", [3, 1], cc=-np.arange(1.0, 7), with_forces=["cc"]),
    )
    add(pool, other, "cc", replace=True)
    truth = make("truth.h5", cc=np.where(np.arange(6) == 4, np.nan, -np.arange(1.0, 7)), with_forces=["cc"])
    read = [dataset.read(path, {"cc": dataset.methods(path)["cc"]}).labels["cc"] for path in (pool, truth)]
    for own, expected in zip(*read, strict=True):
        np.testing.assert_array_equal(own, expected)


def test_a_method_that_the_data_set_lacks_comes_in(make):
    pool = make("pool.h5")
    assert add(pool, make("other.h5", [2], cc=CC), "cc").labelled == 1
    assert np.array_equal(energies(pool, "cc"), [np.nan, np.nan, -3, np.nan, np.nan, np.nan], equal_nan=True)


def test_what_a_label_took_comes_along(make):
    pool, other = make("pool.h5", cc=CC), make("other.h5", [3, 1])
    seconds = np.array([40, 20], np.float32)
    made = dataset.Labelling(seconds, {}, {})
    dataset.add_labels(other, "cc", dataset.NewLabels(np.array([-4.0, -2.0]), None, made))
    add(pool, other, "cc", "cc_2")
    expected = [np.nan, 20, np.nan, 40, np.nan, np.nan]
    np.testing.assert_array_equal(dataset.labellings(pool)["cc_2"].seconds, expected)


@pytest.mark.parametrize(
    ("other", "options", "said"),
    [
        ({"members": [0], "cc": CC}, {}, "has labels 'cc' already"),
        ({"members": [0, 2], "cc": CC}, {"name": "cc_2"}, "no structure without a label has a geometry"),
        ({"members": [0, 1], "cc": CC + 0.1}, {"name": "cc_2"}, "has another cc energy already, 0.1 eV apart"),
        ({"members": [1], "cc": -np.arange(6.0), "with_forces": ["cc"]}, {"name": "cc_2"}, "the new cc labels have forces and its own have none"),
        ({"members": [1]}, {"name": "cc_2"}, "no label method 'cc'"),
        ({"members": [1], "cc": -np.arange(6.0)}, {"name": "a/b"}, "without `/`"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_changes(make, other, options, said):
    pool, given = make("pool.h5", cc=CC), make("other.h5", **other)
    before = pool.read_bytes()
    with pytest.raises(DataError, match=said):
        add(pool, given, "cc", **options)
    assert pool.read_bytes() == before


def test_a_file_of_another_kind_goes_through_import_first(make, tmp_path):
    (tmp_path / "own.xyz").write_text("1\n\nH 0 0 0\n")
    with pytest.raises(DataError, match="expected a data set: `mfsweep data import`"):
        add(make("pool.h5"), tmp_path / "own.xyz", "cc")
    with pytest.raises(DataError, match="no such file"):
        add(make("pool.h5"), tmp_path / "none.h5", "cc")
