"""The best setting of a grid of which only a part is trained."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mfsweep.analysis.gain import FinishedCell
from mfsweep.analysis.leading import leading
from mfsweep.quantities import MetricPath
from mfsweep.records import CellRecord

BETTER = (1.0, 1.1, 1.3, 1.7)
"""What each setting makes of the error."""
HARDER = (0.5, 1.0, 3.0, 9.0)
"""What each fold does: far more than a setting."""
DIRECT = len(BETTER) - 1
PLACES = [(setting, fold) for setting in range(len(BETTER)) for fold in range(len(HARDER))]


def finished(setting, fold):
    values = {"size": setting, "fold": fold}
    return FinishedCell(
        cell=CellRecord(values=values, stages={}, result="result", sizes={}, evaluations={}), key=f"{setting}-{fold}",
        error=BETTER[setting] * HARDER[fold], path=MetricPath.parse("result.test.cc.energy_mae"), method="cc",
        learned=("cc",), target="", direct=setting == DIRECT, seed=0, split_seed=f"fold {fold}", converged=True,
        offsets_only=None, within_formula=None,
    )  # fmt: skip


@given(trained=st.sets(st.sampled_from(PLACES), min_size=1))
def test_no_setting_is_ahead_because_it_lacks_the_hard_folds(trained):
    best, direct = leading([finished(*place) for place in sorted(trained)])
    setting = best.values["size"]
    folds = {one.cell.values["fold"] for one in best.outcomes}
    others = {other for other, _ in trained if all((other, fold) in trained for fold in folds)}
    assert setting == min(others)
    if direct is not None:
        assert {one.cell.values["fold"] for one in direct.outcomes} == folds
    assert (direct is None) == (setting == DIRECT or any((DIRECT, fold) not in trained for fold in folds))
