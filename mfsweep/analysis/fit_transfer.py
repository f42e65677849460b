"""`mfsweep.fit_transfer`: a transfer law through numbers at hand, whoever measured them."""

from __future__ import annotations

from collections.abc import Iterable

from mfsweep.analysis.law import Law
from mfsweep.analysis.points_file import NUMBERS, OPTIONAL, points_of
from mfsweep.analysis.transfer import fit
from mfsweep.errors import FitError


def fit_transfer(
    x: Iterable[float],
    y: Iterable[float],
    *,
    group: Iterable[object] | None = None,
    replicate: Iterable[object] | None = None,
    size: Iterable[float] | None = None,
    pretraining: Iterable[object] | None = None,
    name: str = "transfer",
) -> Law:
    """Fit log y = m log x + c, a line for each group, and what all groups share.

    `law.sentences()` says it in words, `law.as_rows()` as plain data. A law that the points cannot carry is refused,
    with the reason in it.

    Args:
        x: auxiliary errors above 0, (N,); lists, arrays or columns of a pandas frame.
        y: target errors above 0, (N,).
        group: points with a line of their own, (N,).
        replicate: what points of one partition or seed share, (N,).
        size: pre-training structures, (N,), with which errors of x are allowed for.
        pretraining: what points of one pre-training share, (N,); default: those of equal x in one replicate are one.
        name: of the law.

    Raises:
        FitError: columns of different lengths, none, or a number that is not above 0.
    """
    given: dict[str, Iterable[object] | None] = {
        "x": x,
        "y": y,
        "group": group,
        "replicate": replicate,
        "size": size,
        "pretraining": pretraining,
    }
    columns = {column: [str(value) for value in values] for column, values in given.items() if values is not None}
    lengths = {column: len(values) for column, values in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{column} {length}" for column, length in lengths.items())
        raise FitError(f"fit_transfer: expected columns of one length, got {told}")
    if not lengths["x"]:
        raise FitError("fit_transfer: no points")
    assert set(columns) <= {*NUMBERS, *OPTIONAL}
    rows = [
        (f"fit_transfer: point {number}", dict(zip(columns, values, strict=True)))
        for number, values in enumerate(zip(*columns.values(), strict=True))
    ]
    return fit(name, points_of(columns, rows))
