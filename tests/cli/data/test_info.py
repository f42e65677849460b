from __future__ import annotations

import functools
import json

import h5py
import numpy as np
import pytest

from mfsweep.cli.data.info_tables import size_rows
from mfsweep.data import dataset

MINI = "bundled:mini-ccx"


@pytest.fixture
def info(called):
    """Give a function that runs the command; it returns exit code, output and errors."""
    return functools.partial(called, "data", "info")


@pytest.fixture
def store(tmp_path):
    """Write a data set of three waters, two of them the same, with labels that mfsweep made for two."""
    rng = np.random.default_rng(0)
    positions = np.tile(rng.normal(size=(3, 3)), (3, 1))
    positions[6:] += 0.1
    path = tmp_path / "waters.h5"
    with dataset.Writer(path, energies=["emt"], forces=["emt"], columns=["note"]) as writer:
        chunk = dataset.Chunk(
            sizes=np.full(3, 3),
            species=np.tile(np.array([8, 1, 1], np.uint8), 3),
            positions=positions,
            energies={"emt": np.array([-76.0, -76.0, -75.9]) * 27.2},
            forces={"emt": rng.normal(size=(9, 3))},
            columns={"note": ["x", "x", "y"]},
        )
        writer.add(chunk)
        writer.finish(
            {"source": {"name": "waters.xyz", "sha256": "ab" * 32}, "units": ["eV", "eV/Ang"], "parts": [{"n": 1}]}
        )
    seconds = np.array([0.5, 0.25, np.nan], np.float32)
    made = dataset.Labelling(seconds, {2: "SCF did not converge"}, {"calculator": "tblite"})
    dataset.add_labels(path, "xtb", dataset.NewLabels(np.array([-5.0, -5.0, np.nan]) * 27.2, None, made))
    return path


def test_a_data_store_is_shown_with_its_origin_and_what_its_labels_cost(info, store):
    code, out, _ = info(store, "--json")
    assert code == 0
    printed = json.loads(out)
    assert (printed["structures"], printed["atoms"], printed["columns"]) == (3, 9, {"note": 2})
    assert printed["duplicates"]["first"] == [["H2O, conformer 0 (structure 0)", "H2O, conformer 1 (structure 1)"]]
    made = printed["labelling"]["xtb"]
    assert (made["labels"], made["core_seconds"], made["failures"]) == (2, 0.75, 1)
    assert made["reasons"] == {"SCF did not converge": 1}
    assert printed["provenance"]["source"]["name"] == "waters.xyz"
    code, out, _ = info(store)
    text = " ".join(out.split())
    assert code == 0
    for said in (
        "3, 9 atoms",
        "0.375",
        "xtb: 1 failed: SCF did not converge",
        "source.name waters.xyz",
        "eV, eV/Ang",
        "parts.n 1",
    ):
        assert said in text
    assert "do not fix all energy offsets" in text, "one formula cannot"


def test_what_no_batch_holds_is_noted(info, tmp_path):
    path = tmp_path / "large.h5"
    with dataset.Writer(path, energies=[], forces=[], columns=[]) as writer:
        species = np.full(303, 6, np.uint8)
        writer.add(dataset.Chunk(np.array([300, 3]), species, np.arange(909.0).reshape(303, 3), {}, {}))
        writer.finish({})
    assert "1 structure with more than 256 atoms: batch.max_atoms must be 300" in " ".join(info(path)[1].split())


def test_a_file_of_the_ani_layout_is_shown_with_its_methods(info):
    code, out, _ = info(MINI, "--labels", "cc=ccsd(t)_631gd.energy", "--labels", "gfn2_xtb")
    text = " ".join(out.split())
    assert code == 0
    assert "cc − gfn2_xtb 562" in text
    assert "smiles, temperature, wb97x_631gd.energy, wb97x_631gd.forces" in text


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_figure_is_written_in_the_format_of_its_name(info, tmp_path, suffix):
    path = tmp_path / "new folder" / f"mini.{suffix}"
    code, out, _ = info(MINI, "--figure", path)
    assert code == 0
    assert str(path) in out
    assert path.read_bytes()[:4] in (b"\x89PNG", b"<?xm", b"%PDF")


def test_another_kind_of_figure_is_refused(info, tmp_path):
    code, _, err = info(MINI, "--figure", tmp_path / "mini.gif")
    assert (code, "expected a file name in .png, .svg, .pdf, got 'mini.gif'" in err) == (2, True)


def test_a_damaged_array_is_named(info, store):
    with h5py.File(store, "r+") as file:
        file["labels/emt.energy"][1] = -1.0
    code, _, err = info(store)
    assert code == 2
    assert "waters.h5: /labels/emt.energy does not have the content that was written" in err


def cut_short(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (cut_short, "waters.h5"),
        (lambda path: path.write_bytes(b""), "is empty (0 bytes)"),
        (lambda path: path.write_text("1 2 3\n"), "cannot be read as one"),
        (lambda path: path.unlink(), "no such file"),
    ],
    ids=["cut short", "empty", "text", "absent"],
)
def test_a_broken_file_is_one_message_and_exit_code_2(info, store, damage, says):
    damage(store)
    code, out, err = info(store)
    assert (code, out) == (2, "")
    assert says in err
    assert err.startswith("mfsweep: ")


def test_one_large_structure_does_not_hide_the_sizes_of_the_others():
    rows = size_rows({3: 500, 5: 400, 8: 300, 26: 2, 300: 1})
    assert rows == {(3, 4): 500, (5, 6): 400, (7, 8): 300} | {
        (first, first + 1): 2 * (first == 25) for first in range(9, 27, 2)
    } | {(27, 300): 1}
    assert size_rows({4: 3}) == {(4, 4): 3}


def test_help_has_examples(info):
    code, out, _ = info("--help")
    assert code == 0
    assert out.count("mfsweep data info ") >= 3


@pytest.mark.parametrize("trusted", [False, True])
def test_labels_of_a_store_that_are_too_large_are_noted_in_its_own_units(info, tmp_path, trusted):
    path = tmp_path / "large.h5"
    rng = np.random.default_rng(0)
    with dataset.Writer(path, energies=["own"], forces=["own"]) as writer:
        sizes = np.tile([1, 2, 3, 4], 5)
        energies, forces = {"own": 1e5 * rng.normal(size=20)}, {"own": 1e3 * rng.normal(size=(50, 3))}
        writer.add(dataset.Chunk(sizes, np.full(50, 6, np.uint8), rng.normal(size=(50, 3)), energies, forces))
        writer.finish({"units_trusted": trusted})
    text = " ".join(info(path)[1].split())
    assert "the own energies do not look like eV: after energy offsets by element they spread by" in text
    assert ("They were imported with --trust-units: make sure that they are right" in text) == trusted
    assert "hartree" not in text
