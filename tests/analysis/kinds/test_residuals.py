from __future__ import annotations

import numpy as np
import pytest

from mfsweep.analysis.drawn import Absent
from mfsweep.analysis.study import Differences

VALUES = np.stack([np.linspace(-10, 10, 201), np.linspace(-40, 40, 201)])


def test_residuals_are_histograms_with_their_mean_absolute_value(draw, legend):
    found = {"one": Differences("cc", ("dft", "xtb"), VALUES, np.corrcoef(VALUES))}
    made = draw(differences=found, kind="residuals", target="cc", methods=["dft", "xtb"])
    assert legend(made) == ["cc − dft: mean |·| 5.02", "cc − xtb: mean |·| 20.1"]
    assert "201 structures" in made.caption
    assert "dft and xtb: Pearson correlation 1.00." in made.caption
    shares = [patch.get_data().values.sum() for patch in made.figure.axes[0].patches[::2]]
    assert shares == pytest.approx([1.0, 0.99], abs=0.02)
    assert "meV/atom" in made.figure.axes[0].get_xlabel()


def test_without_the_data_there_is_no_figure(draw):
    assert isinstance(draw(kind="residuals", target="cc", methods=["dft"]), Absent)
