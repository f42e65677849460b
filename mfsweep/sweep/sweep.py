"""`mfsweep.Sweep`: a spec on a store, as the command line and a notebook use it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfsweep.prepare import Plan, prepare
from mfsweep.spec.load import Spec
from mfsweep.store import DEFAULT_STORE, StoreFolder

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from mfsweep.run.sweep import RunSummary
    from mfsweep.sweep.estimate import CostEstimate
    from mfsweep.sweep.results import Results
    from mfsweep.sweep.status import StageStatus


class Sweep:
    """One spec on one store. Every method looks at the spec's file, its data and the store as they are then.

    Args:
        spec: the file, or what `load_spec` has read.
        store: the folder of trained stages; it need not exist before `run`.
        resources: in place of the spec's `resources`, field by field: `{"workers": 2, "gpus_per_worker": 0}`.
        verify: read every data file, whatever the store remembers of it.
    """

    def __init__(
        self,
        spec: str | Path | Spec,
        store: str | Path | StoreFolder = DEFAULT_STORE,
        *,
        resources: Mapping[str, Any] | None = None,
        verify: bool = False,
    ) -> None:
        self.spec = spec if isinstance(spec, Spec) else Path(spec)
        self._named = store.root if isinstance(store, StoreFolder) else Path(store).expanduser()
        self.store = store if isinstance(store, StoreFolder) else StoreFolder(self._named.absolute())
        self._resources = resources
        self._verify = verify

    def __repr__(self) -> str:
        path = self.spec.document.path if isinstance(self.spec, Spec) else self.spec
        return f"Sweep({str(path)!r}, {str(self.store.root)!r})"

    def plan(
        self, *, without_data: bool = False, keep: bool = False, say: Callable[[str], object] = lambda _: None
    ) -> Plan:
        """Return what would be trained, checked against the data, and what the store has of it already.

        Args:
            without_data: plan also where a data file is not at hand; then nothing is checked against it.
            keep: keep what is imported of the sources in the store also where the store is not there yet.
            say: told what takes long: the import of a source.

        Raises:
            SpecError: the spec, and what it asks of the data: all that is wrong, each with its line.
            DataError: the data.
            TrainingError: a model file that cannot be read.
        """
        return prepare(
            self.spec,
            self.store.root,
            self._resources,
            allow_missing_data=without_data,
            verify=self._verify,
            keep=keep,
            say=say,
        )

    def estimate(
        self,
        *,
        costs: Path | None = None,
        device: str | None = None,
        assumed_steps: int | None = None,
        price: float | None = None,
    ) -> CostEstimate:
        """Return stages, steps and device-hours: of the whole sweep, and of what is left to do. No data are needed.

        Args:
            costs: a table of measured seconds a batch; those of the store, and ours, come after it.
            device: part of the name of the device whose seconds are used; default: the one measured last.
            assumed_steps: steps of a stage without a limit.
            price: of a device-hour, in any currency.

        Raises:
            SpecError: the spec, or a cost file that is none.
        """
        from mfsweep.sweep.estimate import EstimateOptions, estimate

        return estimate([self.plan(without_data=True)], EstimateOptions(costs, device, assumed_steps, price))

    def run(self, console: Console | None = None, *, tracking_uri: str | None = None) -> RunSummary:
        """Train what the store lacks, fit, report, and say what goes on and what came out.

        It joins the Ray cluster of this process, of RAY_ADDRESS or of the surrounding job, or starts one meanwhile.
        Interrupted, it goes on from there when it is called again. A stage that fails raises nothing: the summary
        tells it.

        Args:
            console: where it is said; default: the standard output, also of a notebook's cell.
            tracking_uri: MLflow's, in place of the spec's and the store's own.

        Raises:
            MfsweepError: the run cannot begin: as of `plan`, or the store, the resources, the tracking server.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, in a notebook without ipywidgets
            from mfsweep.sweep import several
        from mfsweep.sweep.screen import console as on_standard_output

        screen = console or on_standard_output()
        plan = self.plan(keep=True, say=lambda text: screen.print(text, soft_wrap=True, markup=False))
        several.admit([plan], self._named, tracking_uri)
        return several.run([plan], screen, tracking_uri).summaries[plan.name]

    def status(self) -> list[StageStatus]:
        """Return how far each stage is, parents first.

        Raises:
            MfsweepError: as of `plan`.
        """
        from mfsweep.sweep.status import status

        return status(self.plan())

    def results(self) -> Results:
        """Return what came out so far: laws, best cells, gains, claims, figures, and the report.

        Raises:
            MfsweepError: as of `plan`.
            StoreError: the spec requires one version of everything, and the stages have several.
        """
        from mfsweep.sweep.results import analyse

        return analyse(self.plan())

    def frame(self) -> pd.DataFrame:
        """Return one row a cell, whether it is trained yet or not (analysis/frame.py has the columns).

        Raises:
            MfsweepError: as of `plan`.
        """
        from mfsweep.analysis.frame import frame

        plan = self.plan()
        return frame(self.store, [(plan.name, plan.cells())])
