"""What labels were measured to cost, filled into the figures that ask for it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mfsweep.data import dataset
from mfsweep.spec.data import LabelKeys
from mfsweep.spec.figures import Figure, Pareto
from mfsweep.spec.load import Spec


def with_measured(spec: Spec, sources: Mapping[str, Path]) -> dict[str, Figure]:
    """Return a spec's figures with numbers in place of `measured`.

    Args:
        spec: the spec.
        sources: name of the source -> its file.

    Raises:
        SpecError: a cost that nobody measured.
        DataError: a damaged data set.
    """
    labels = spec.experiment.data.labels
    figures: dict[str, Figure] = {}
    for name, figure in spec.experiment.figures.items():
        figures[name] = figure
        if not isinstance(figure, Pareto) or "measured" not in figure.costs.values():
            continue
        costs = dict(figure.costs)
        for method, cost in figure.costs.items():
            if cost == "measured":
                found = measured(labels[method], sources) if method in labels else None
                if found is None:
                    where = " or ".join(str(path) for path in sources.values())
                    expected = f"a number: `mfsweep data label` made no {method} labels in {where}"
                    raise spec.document.error(("figures", name, "costs", method), cost, expected)
                costs[method] = found
        if figure.unit != "core-seconds":
            expected = "core-seconds, in which costs are measured"
            raise spec.document.error(("figures", name, "unit"), figure.unit, expected)
        figures[name] = figure.but(costs=costs)
    return figures


def measured(keys: LabelKeys, sources: Mapping[str, Path]) -> float | None:
    """Return the core-seconds that one label took on average, None where mfsweep did not make them."""
    name = keys.energy.removesuffix(".energy")
    files = [path for source, path in sources.items() if keys.source in (None, source) and dataset.is_dataset(path)]
    made = [dataset.labellings(path).get(name) for path in files]
    seconds = np.concatenate([np.empty(0), *(own.seconds for own in made if own is not None)])
    return None if np.isnan(seconds).all() else float(np.nanmean(seconds))
