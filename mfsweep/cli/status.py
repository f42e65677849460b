"""The stages of a sweep as a table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rich.markup import escape
from rich.table import Table

from mfsweep.quantities import ABOVE_OFFSETS, beside_offsets
from mfsweep.store.pace import Pace
from mfsweep.sweep.status import StageStatus


def status_table(rows: Iterable[StageStatus], paces: Mapping[str, Pace] | None = None) -> Table:
    """Return the rows of `status` as a table: errors in meV/atom, validation unless said otherwise."""
    table = Table(box=None, pad_edge=False, caption_justify="left")
    for column in ("key", "stage", "state", "steps", "energy MAE, meV/atom"):
        table.add_column(column, no_wrap=column != "stage")
    for row in rows:
        errors = [
            f"{path.removesuffix('.energy_mae')} {value:.1f}"
            for path, value in row.metrics.items()
            if path.endswith(".energy_mae")
        ]
        for name, made in row.evaluations.items():
            if (error := made.metrics.get("energy_mae")) is not None:
                null = made.offsets_only.get("energy_mae")
                errors.append(beside_offsets(f"{name} {error:.1f}", error, null))
        if any(error.endswith("!") for error in errors):
            table.caption = ABOVE_OFFSETS
        if row.note:
            errors.append(escape(f"{row.note} ({row.log})"))
        steps = str(row.record.steps) if row.record else ""
        if (pace := (paces or {}).get(row.key)) and not row.record:
            steps = f"{pace.step} of {pace.limit}"
            errors.insert(0, f"{pace.structures_per_second:.0f} structures/s")
            if pace.error:
                errors.insert(0, f"{pace.error[0].removesuffix('.energy_mae')} {pace.error[1]:.1f}")
        table.add_row(row.key, row.title, row.state, steps, ", ".join(errors))
    return table
