from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import stats

from mfsweep.analysis.points_file import read_points
from mfsweep.analysis.transfer import fit
from mfsweep.cli.main import main
from mfsweep.errors import FitError


@pytest.fixture
def write(tmp_path):
    """Give a function that writes a CSV file."""

    def write(text):
        path = tmp_path / "points.csv"
        path.write_text(text)
        return path

    return write


def test_x_and_y_alone_are_an_ordinary_regression(write):
    x, y = [1.0, 2.0, 4.0, 8.0, 16.0], [3.0, 4.1, 6.2, 7.9, 12.5]
    path = write("x,y\n" + "".join(f"{a},{b}\n" for a, b in zip(x, y, strict=True)))
    line = fit("points", read_points(path)).pooled
    expected = stats.linregress(np.log(x), np.log(y))
    assert line.gradient == pytest.approx(expected.slope)
    half = expected.stderr * stats.t.ppf(0.975, 3)
    assert line.interval == pytest.approx((expected.slope - half, expected.slope + half))
    assert not line.by_size


def test_groups_replicates_sizes_and_pretrainings_are_what_they_say(write):
    rows = ["group, replicate, size, pretraining, x, y"]
    for replicate in "ab":
        for size in (10, 100, 1000):
            for group, factor in (("small", 2), ("large", 1)):
                rows.append(f"{group},{replicate},{size},{replicate}{size},{100 / size**0.5},{factor * 50 / size**0.4}")
    points = read_points(write("\n".join(rows) + "\n"))
    assert list(points.labels.values()) == ["group=small", "group=large"]
    law = fit("points", points)
    assert (law.pooled.n, law.pooled.clusters, law.pooled.by_size) == (12, 6, True)
    assert law.pooled.gradient == pytest.approx(0.8)
    assert law.pooled.replicates == "2 partitions of one pool"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x;y\n1;2\n", r"no column 'x'; there are x;y"),
        ("x,y,goup\n1,2,a\n", r"column 'goup', expected one of .*Did you mean 'group'"),
        ("x,y\n1,2\n3,abc\n", r"line 3, column y: expected a number above 0, got 'abc'"),
        ("x,y\n1,2\n-3,4\n", r"line 3, column x: expected a number above 0, got '-3'"),
        ("x,y\n1,2\n3,nan\n", r"line 3, column y: expected a number above 0, got 'nan'"),
        ("x,y\n1\n", r"line 2, column y: expected a number above 0, got ''"),
        ("x,y\n", r"no line after"),
        ("", r"no column 'x'; there are none"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(write, text, said):
    with pytest.raises(FitError, match=said):
        read_points(write(text))


@pytest.fixture
def run(capsys):
    """Give a function that runs a command and returns its exit code and what it said."""

    def run(*args):
        with pytest.raises(SystemExit) as ended:
            main(["fit", *args])
        captured = capsys.readouterr()
        return ended.value.code, captured.out + captured.err

    return run


def test_the_command_fits_a_table(write, run):
    path = write("x,y\n" + "".join(f"{x},{3 * x**0.7}\n" for x in (1, 2, 4, 8)))
    code, said = run("--points", str(path))
    assert code == 0
    assert "gradient 0.70" in said
    code, said = run("--points", str(path), "--json")
    assert json.loads(said)[-1]["gradient"] == pytest.approx(0.7)


def test_the_command_refuses_what_it_cannot_read_in_one_line(run, tmp_path):
    code, said = run("--points", str(tmp_path / "none.csv"))
    assert (code, said.count("\n")) == (2, 1)
    assert "none.csv" in said
    code, said = run()
    assert code == 2
    assert "SPEC or --points FILE" in said
