"""What the physics checks of a study's results gave, as the report shows it beside their test errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from mfsweep.analysis.records import SEED_AXES, Records
from mfsweep.physics_record import PhysicsRecord
from mfsweep.quantities import Quantity
from mfsweep.records import CellRecord

MEASURED_HEAD = (
    "trajectories that last",
    "mean time, ps",
    "drift, meV/atom/ps",
    "true minima",
    "from the reference's, Å",
    "frequencies off, 1/cm",
    "bonds with a hole",
    "mean depth, eV",
)
PHYSICS_HEAD = ("stage", "key", "head", "test error, meV/atom", *MEASURED_HEAD)
TEXT = frozenset({0, 1, 2})


class Checked(NamedTuple):
    """The checks of one head of one stage, with its test error."""

    stage: str
    """Name and axis values; of a stage of several cells the first one's."""
    found: PhysicsRecord
    error: float | None
    """Test energy MAE of the labels of the head's name, meV/atom."""

    def row(self) -> tuple[str, ...]:
        """Return the fields of a table."""
        return self.stage, self.found.key[:12], self.found.head, _number(self.error, 1), *measured(self.found)


def measured(found: PhysicsRecord) -> tuple[str, ...]:
    """Return what was measured, in the order of `MEASURED_HEAD`."""
    holes, bonds = found.holes
    return (
        _share(found.lasted),
        _number(found.lasted_time, 2),
        _number(found.drift, 3),
        _share(found.true_minima),
        _number(found.rmsd, 3),
        _number(found.frequency_error, 0),
        f"{holes} of {bonds}",
        _number(found.hole_depth, 2),
    )


def checked(records: Records, cells: Sequence[CellRecord]) -> list[Checked]:
    """Return the checks that the store has of a study's stages, in the order of the cells."""
    found: list[Checked] = []
    seen: set[str] = set()
    for cell in cells:
        for name, key in cell.stages.items():
            stage = records.stage(key) if key not in seen else None
            seen.add(key)
            if stage is None:
                continue
            own = cell.axes.get(name, [axis for axis in cell.values if axis not in SEED_AXES])
            values = " ".join(f"{axis}={cell.values[axis]}" for axis in own if axis in cell.values)
            for record in records.store.stage(key).every_physics_record():
                error = stage.metrics.get(f"test.{record.head}.{Quantity.ENERGY_MAE}")
                found.append(Checked(f"{name} {values}".strip(), record, error))
    return found


def _share(value: float | None) -> str:
    return "" if value is None else f"{value:.0%}"


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
