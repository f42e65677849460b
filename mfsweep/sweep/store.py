"""A store for whoever looks at what it holds, without a spec: `mfsweep.Store`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfsweep.analysis.frame import frame
from mfsweep.analysis.records import score_of
from mfsweep.errors import StoreError
from mfsweep.records import EvaluationRecord
from mfsweep.store import DEFAULT_STORE, StoreFolder, damage
from mfsweep.store.damage import Damage
from mfsweep.store.predictions import StoredPrediction, read_prediction

if TYPE_CHECKING:
    import pandas as pd
    from ase.calculators.calculator import Calculator


class Store(StoreFolder):
    """A store that is there: its cells as a table, its predictions, its models.

    Args:
        root: the folder.

    Raises:
        StoreError: there is no store at the place; with the one near it that was meant, perhaps.
    """

    def __init__(self, root: str | Path = DEFAULT_STORE) -> None:
        super().__init__(Path(root).expanduser().absolute())
        self.require_there()

    def __repr__(self) -> str:
        return f"Store({str(self.root)!r})"

    def frame(self, *sweeps: str) -> pd.DataFrame:
        """Return one row a cell of the sweeps that were run into the store (analysis/frame.py has the columns).

        Args:
            sweeps: names of specs; default: all.

        Raises:
            StoreError: nothing was run under such a name, or its list of cells is damaged.
        """
        names = sweeps or self.sweep_names()
        return frame(self, [(name, self.sweep(name).cells()) for name in names])

    def predictions(self, key: str) -> dict[str, StoredPrediction]:
        """Return the stored predictions of a trained stage: name of the score (`test.cc`) -> reference and predicted.

        Args:
            key: of the stage, or as many letters of it as no other stage begins with.

        Raises:
            StoreError: no such stage, or a file of it is damaged.
        """
        folder = self.find(key)
        found: dict[str, StoredPrediction] = {}
        for path in sorted(folder.evaluations.glob("*.json")):
            record = damage.read(path, EvaluationRecord)
            if isinstance(record, EvaluationRecord):
                name = score_of(record.evaluation)
                # Another spec may have scored the same stage with other offsets.
                name = name if name not in found else f"{name} ({path.stem})"
                found[name] = read_prediction(folder.evaluation_paths(record.evaluation)[1])
            elif isinstance(record, Damage):
                raise StoreError(f"{record}: `mfsweep store verify --mend` sets it aside, and a run makes it again")
        return found

    def calculator(self, key: str, head: str | None = None, **options: Any) -> Calculator:
        """Return an ASE calculator of a trained stage: energy, forces, and stress of crystals.

        Args:
            key: of the stage, or as many letters of it as no other stage begins with.
            head: readout head, for example `cc`; may be left out where there is only one.
            options: of `mfsweep.train.calculator.load_calculator`: base, offsets, checkpoint, device, dtype.

        Raises:
            StoreError: no such stage, it is not trained to its end, or its weights are damaged.
            TrainingError: no such head.
            ResourceError: the packages of its architecture cannot be imported here.
        """
        from mfsweep.train.calculator import load_calculator

        return load_calculator(self.find(key).path, head, **options)
