from __future__ import annotations

from dataclasses import replace

import pytest
from rich.console import Console

from mfsweep.analysis.study import FitRequest, ReportStudy, analyse
from mfsweep.analysis.tables import gain_table, law_table, points_table

FIT = FitRequest(
    "transfer", "pretrain.validation.energy_mae", "result.test.cc.energy_mae", ("label_method", "finetune_size")
)


def printed(table):
    console = Console(width=80, record=True, file=None, quiet=False, force_terminal=False)
    with console.capture() as capture:
        console.print(table)
    return capture.get()


def analysed(world):
    return analyse(world.store, ReportStudy("demo", "", world.cells, [FIT]), resamples=200)


def test_tables_fit_eighty_columns_and_lose_no_number(world):
    analysis = analysed(world.grid({"dft": 1.35, "xtb": 0.8}, seeds=(0, 1), noise=0.05))
    (law,), (result,) = analysis.laws, analysis.results
    fits, gains, points = printed(law_table(law)), printed(gain_table(result)), printed(points_table(law))
    assert max(len(line.rstrip()) for text in (fits, gains, points) for line in text.splitlines()) <= 80
    assert "…" not in fits + gains + points
    for line in (*law.lines, law.pooled):
        assert f"{line.interval.low:.2f} to {line.interval.high:.2f}" in fits
    assert "over 2 seeds of one partition" in gains
    assert "4 cells without that stage" in points


def test_a_refused_group_is_a_row(world):
    world.grid({"dft": 1.35}, noise=0.05).grid({"xtb": 0.8}, pretrain_sizes=(25,), finetune_sizes=(30,), direct=False)
    assert "refused" in printed(law_table(analysed(world).laws[0]))


@pytest.mark.parametrize("sizes", [(25,), (25, 100)])
def test_a_refused_law_still_prints(world, sizes):
    analysis = analysed(world.grid({"dft": 1.35}, pretrain_sizes=sizes, finetune_sizes=(30,)))
    text = printed(law_table(analysis.laws[0])) + printed(gain_table(analysis.results[0]))
    assert "refused" in text
    assert "no interval" in text


def test_errors_above_that_of_the_offsets_alone_are_marked(world):
    analysis = analysed(world.grid({"dft": 1.35}, seeds=(0, 1), noise=0.05))
    (result,) = analysis.results
    errors = sorted({error for gain in result.gains for error in (gain.error, gain.direct_error)})
    for null in (errors[0] / 2, errors[len(errors) // 2], errors[-1]):
        text = printed(gain_table(replace(result, offsets_only=null)))
        for error in errors:
            assert (f"{error:.3g}!" in text) == (error > null)
        assert ("worse than no model" in " ".join(text.split())) == any(error > null for error in errors)
