from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mfsweep.analysis import transfer
from mfsweep.analysis.law import MARGIN, Verdict
from mfsweep.analysis.pooled import difference
from mfsweep.analysis.table import points
from mfsweep.analysis.transfer import fit

X, Y = "pretrain.validation.energy_mae", "result.test.cc.energy_mae"
AXES = ["label_method", "finetune_size"]


def law_of(world, group_by=AXES, **options):
    return fit("transfer", points(world.store, world.cells, X, Y, group_by), **options)


def test_a_law_without_noise_comes_back_exactly(world):
    law = law_of(world.grid({"dft": 1.35, "xtb": 0.81}))
    assert {line.group: line.gradient for line in law.lines} == {
        "label_method=dft, finetune_size=30": pytest.approx(1.35),
        "label_method=dft, finetune_size=120": pytest.approx(1.35),
        "label_method=xtb, finetune_size=30": pytest.approx(0.81),
        "label_method=xtb, finetune_size=120": pytest.approx(0.81),
    }
    assert law.lines[0].prefactor == pytest.approx(2.0)
    assert law.lines[0].r2 == pytest.approx(1.0)
    assert law.lines[0].least_squares == pytest.approx(1.35)
    assert law.lines[0].interval.half_width == pytest.approx(0, abs=1e-6)
    assert law.pooled.gradient == pytest.approx((1.35 + 0.81) / 2)
    assert law.pooled.n == 16


def test_noise_is_inside_the_interval_and_gradients_of_unlike_methods_differ(world):
    law = law_of(world.grid({"dft": 1.35, "xtb": 0.6}, seeds=(0, 1, 2), noise=0.05, shared=0.05))
    for line in law.lines:
        truth = 1.35 if line.values["label_method"] == "dft" else 0.6
        assert line.interval.low < truth < line.interval.high
        assert line.verdict is Verdict.LAW
        assert (line.n, line.clusters) == (12, 12)
    assert law.equal_gradients.p_value < 0.01
    assert "differ" in law.equality_sentence


def test_points_of_one_pretraining_are_one_cluster(world):
    law = law_of(world.grid({"dft": 1.35}, finetune_sizes=(30, 60, 120), noise=0.05, shared=0.05), ["finetune_size"])
    assert (law.pooled.n, law.pooled.clusters) == (12, 4)
    assert law.pooled.freedom == pytest.approx(2)
    assert "points of one pre-training count as one" in law.method


def test_the_same_points_give_the_same_law(world):
    world.grid({"dft": 1.35, "xtb": 0.8}, noise=0.1)
    assert law_of(world) == law_of(world)
    assert law_of(world, seed=1).pooled == law_of(world).pooled


def test_a_group_below_three_sizes_is_refused_and_the_rest_is_fitted(world):
    world.grid({"dft": 1.35}, seeds=(0, 1), noise=0.01)
    world.grid({"xtb": 0.8}, pretrain_sizes=(25, 100), finetune_sizes=(30,), seeds=(0, 1), noise=0.01, direct=False)
    law = law_of(world)
    (refused,) = law.refused
    assert refused.group == "label_method=xtb, finetune_size=30"
    assert refused.n == 4
    assert "2 distinct x values (replicates not counted), a line needs at least 3" in refused.reason
    assert law.pooled.n == 16
    assert [row["verdict"] for row in law.as_rows()] == ["law", "law", "refused", "law"]
    assert any("xtb" in sentence and "refused" in sentence for sentence in law.sentences())


def test_with_no_group_left_the_law_is_refused_not_raised(world):
    law = law_of(world.grid({"dft": 1.35}, pretrain_sizes=(25, 100)))
    assert law.pooled is None
    assert "at least 3" in law.refusal
    assert "2 cells without a pre-training" in law.refusal
    assert law.sentences() == [law.refusal]
    assert law.as_rows()[-1]["group"] == "pooled"
    assert law.as_rows()[-1]["gradient"] is None


def test_three_pretrainings_are_drawn_and_not_fitted(world):
    law = law_of(world.grid({"dft": 1.35}, pretrain_sizes=(25, 100, 300), noise=0.1))
    assert law.pooled is None
    assert "3 pre-trainings, a line needs at least 4: drawn, not fitted" in law.refusal
    assert law.points.points
    world.grid({"dft": 1.35}, pretrain_sizes=(25, 100, 300), seeds=(1,), noise=0.1)
    assert law_of(world).pooled.clusters == 6


def test_an_unfinished_sweep_is_refused_with_the_count(world):
    world.cell({"finetune_size": 30}, {"pretrain": "0" * 20, "finetune": "1" * 20}, {})
    law = law_of(world, ["finetune_size"])
    assert "no cell has both x and y (1 cell not finished)" in law.refusal


def test_a_wide_interval_says_cannot_tell(world):
    law = law_of(world.grid({"dft": 1.35}, pretrain_sizes=(25, 50, 75, 100), noise=0.5, shared=0.3))
    assert law.pooled.interval.half_width > 0.3
    assert law.pooled.verdict is Verdict.CANNOT_TELL
    assert "Cannot tell" in law.pooled.sentence


def test_no_claim_is_made_from_capped_points_and_converged_ones_are_fitted_apart(world):
    law = law_of(world.grid({"dft": 1.35}, seeds=(0, 1), noise=0.02, capped=(25,)))
    assert (law.pooled.capped, law.pooled.n, law.pooled.verdict) == (4, 16, Verdict.NO_CLAIM)
    assert "4 of 16 points have not converged: max_steps stopped a stage" in law.pooled.sentence
    assert (law.converged.n, law.converged.capped, law.converged.verdict) == (12, 0, Verdict.LAW)
    assert law.as_rows()[-1]["group"] == "pooled, converged only"


def test_all_points_capped_are_fitted_without_a_claim(world):
    law = law_of(world.grid({"dft": 1.35}, seeds=(0, 1), noise=0.02, capped=(25, 100, 300, 1000)))
    assert law.pooled.capped == law.pooled.n == 16
    assert law.converged is None
    assert {row["verdict"] for row in law.as_rows()} == {"no claim"}
    assert law.equality_sentence.endswith("No claim: points are capped.")


def test_rows_are_plain_and_have_the_promised_keys(world):
    rows = law_of(world.grid({"dft": 1.35}, noise=0.05)).as_rows()
    promised = {"fit", "group", "gradient", "ci_low", "ci_high", "prefactor", "r2", "n"}
    assert all(promised <= set(row) for row in rows)
    assert [row["group"] for row in rows][-1] == "pooled"
    assert json.loads(json.dumps(rows, allow_nan=False)) == rows


def test_noise_in_x_flattens_least_squares_alone(world):
    world.grid({"dft": 1.35}, pretrain_sizes=(25, 50, 100, 200), seeds=range(12), noise=0.02, shared=0.4, direct=False)
    line = law_of(world).pooled
    assert line.by_size
    assert line.least_squares < 1.1
    assert line.interval.low < 1.35 < line.interval.high
    assert not line.interval_least_squares.high > 1.35


def test_where_least_squares_and_sizes_disagree_no_claim_is_made(world):
    # Nearly all that x varies by is noise, of many pre-trainings.
    world.grid({"dft": 1.0}, pretrain_sizes=(25, 50, 100), seeds=range(30), noise=0.01, shared=0.5, direct=False)
    line = law_of(world).pooled
    assert line.disagree
    assert line.verdict in (Verdict.NO_CLAIM, Verdict.CANNOT_TELL)
    assert "no value in common" in line.sentence


def test_where_x_hardly_follows_its_size_the_numbers_are_least_squares_and_nothing_is_told(world):
    # Sizes close together, and noise above what they do to x.
    world.grid({"dft": 1.35}, pretrain_sizes=(90, 100, 110), seeds=(0, 1), noise=0.02, shared=0.5, direct=False)
    line = law_of(world, ["label_method"]).pooled
    assert line.weak
    assert line.gradient == line.least_squares
    assert line.verdict is Verdict.CANNOT_TELL
    assert "sizes further apart would do" in line.sentence


def test_without_sizes_least_squares_are_all_and_it_says_so(world):
    found = points(world.store, world.grid({"dft": 1.35}, noise=0.05).cells, X, Y, AXES)
    unsized = replace(found, points=tuple(replace(point, x_size=0) for point in found))
    law = fit("transfer", unsized)
    assert not law.pooled.by_size
    assert law.pooled.gradient == law.pooled.least_squares
    assert "whose gradient noise of x may flatten" in law.method


def test_points_of_one_partition_share_its_level_and_no_error(world):
    world.grid({"dft": 1.35}, seeds=(0, 1, 2), noise=0.02, seed_axis="split_seed")
    found = points(world.store, world.cells, X, Y, AXES)
    harder = replace(found, points=tuple(replace(point, y=point.y * 4**point.split_seed) for point in found))
    before, after = (fit("transfer", one).pooled for one in (found, harder))
    assert after.gradient == pytest.approx(before.gradient)
    assert after.interval.half_width == pytest.approx(before.interval.half_width)
    assert after.replicates == "3 partitions of one pool"


def test_gradients_are_compared_along_each_axis_that_tells_groups_apart(world):
    law = law_of(world.grid({"dft": 1.35, "xtb": 0.6}, seeds=(0, 1, 2), noise=0.05, shared=0.05))
    assert law.along["label_method"].p_value < 0.01
    assert law.along["finetune_size"].p_value > 0.05
    assert "Along label method they differ" in law.equality_sentence
    assert law_of(world, ["label_method"]).along == {}


def test_a_new_pretraining_lies_in_a_wider_band_than_the_line(world):
    law = law_of(world.grid({"dft": 1.35}, finetune_sizes=(30,), seeds=(0, 1, 2), noise=0.1))
    band, new = law.lines[0].band, law.lines[0].prediction
    assert (np.array(new.low) < np.array(band.low)).all()
    assert (np.array(band.high) < np.array(new.high)).all()
    assert law.as_rows()[0]["prediction"] == {"x": new.x[0], "low": new.low[0], "high": new.high[0]}
    said = " ".join(law.sentences(groups=False))
    assert (
        f"has its y (95 %) in: {law.lines[0].group} {new.low[0]:.3g} to {new.high[0]:.3g} at x {new.x[0]:.3g}." in said
    )


def test_the_band_of_a_line_holds_the_truth_and_opens_to_its_ends(world):
    law = law_of(world.grid({"dft": 1.35}, finetune_sizes=(30,), seeds=(0, 1, 2), noise=0.1))
    band = law.lines[0].band
    assert law.pooled.band is None or len(law.lines) == 1
    xs = [point.x for point in law.points]
    assert (band.x[0], band.x[-1]) == (pytest.approx(min(xs) / MARGIN), pytest.approx(max(xs) * MARGIN))
    truth = 2.0 * np.array(band.x) ** 1.35
    assert (np.array(band.low) < truth).all()
    assert (truth < np.array(band.high)).all()
    widths = np.log(band.high) - np.log(band.low)
    assert widths.argmin() not in {0, len(widths) - 1}
    middle = law.lines[0].prefactor * np.array(band.x) ** law.lines[0].gradient
    np.testing.assert_allclose(np.sqrt(np.array(band.low) * band.high), middle)


def sides(world, axis, *values):
    return [
        points(world.store, [cell for cell in world.cells if cell.values[axis] == value], X, Y, AXES)
        for value in values
    ]


def test_the_difference_of_two_gradients_has_an_interval(world):
    world.grid({"dft": 1.35, "xtb": 0.6}, seeds=(0, 1, 2), noise=0.05, shared=0.05)
    found = difference(*sides(world, "label_method", "dft", "xtb")).by_size
    assert found.interval().low < 0.75 < found.interval().high
    assert found.interval().half_width < 0.4
    gradients = [law_of(world).lines[place].gradient for place in (0, 2)]
    assert gradients[0] - gradients[1] == pytest.approx(0.75, abs=0.2)


def test_errors_that_both_sides_share_leave_their_difference(world):
    # Both fine-tune sizes see the same pre-trainings: what is wrong with these moves both gradients alike.
    world.grid({"dft": 1.35}, seeds=(0, 1, 2), shared=0.3)
    found = difference(*sides(world, "finetune_size", 30, 120))
    assert found.by_size.interval().half_width < 1e-6
    assert found.least_squares.interval().half_width < 1e-6
    law = law_of(world)
    assert min(line.interval.half_width for line in law.lines) > 0.1


@pytest.mark.parametrize("curved", [True, False])
def test_points_on_a_curve_are_no_law(world, monkeypatch, curved):
    world.grid({"dft": 1.35}, seeds=(0, 1, 2), noise=0.05, shared=0.05)
    found = law_of(world).checks
    curvature = found.curvature._replace(value=found.curvature.error * (50 if curved else 0.1))
    monkeypatch.setattr(transfer, "checks", lambda *_, **__: found._replace(curvature=curvature))
    law = law_of(world)
    expected = Verdict.NO_CLAIM if curved else Verdict.LAW
    assert {line.verdict for line in (*law.lines, law.pooled)} == {expected}
    assert ("lie on a curve" in law.pooled.sentence) is curved
