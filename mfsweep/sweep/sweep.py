"""`mfsweep.Sweep`: a spec on a store, as the command line and a notebook use it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mfsweep.errors import SpecError
from mfsweep.prepare import Plan, prepare
from mfsweep.spec.load import Spec
from mfsweep.store import DEFAULT_STORE, StoreFolder
from mfsweep.store.remote import copied_from
from mfsweep.store.remote.refresh import refresh, refresh_sweeps
from mfsweep.sweep.store import Store, place

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from mfsweep.analysis.budget.advice import Advice
    from mfsweep.analysis.comparison.compare import Comparison
    from mfsweep.export.measured import BestStage
    from mfsweep.physics_record import PhysicsRecord
    from mfsweep.plan.cost import MeasuredSeconds
    from mfsweep.run.sweep import RunSummary
    from mfsweep.sweep.audit import Audit
    from mfsweep.sweep.estimate import CostEstimate
    from mfsweep.sweep.residuals import WrittenResiduals
    from mfsweep.sweep.results import Results
    from mfsweep.sweep.standing import Standing
    from mfsweep.sweep.status import StageStatus


class Sweep:
    """One spec on one store. Every method looks at the spec's file, its data and the store as they are then.

    Args:
        spec: the file, or what `load_spec` has read.
        store: the folder of trained stages, or the URL of a store (`s3://bucket/prefix`); it need not exist before
            `run`.
        resources: in place of the spec's `resources` and of its stages', field by field:
            `{"workers": 2, "gpus_per_worker": 0}`.
        verify: read every data file, whatever the store remembers of it.
        say: told what takes long: the import of a source.
        warn: told what is damaged in the store, and left out; `plan().damage()` has it too.
    """

    def __init__(
        self,
        spec: str | Path | Spec,
        store: str | Path | Store | StoreFolder = DEFAULT_STORE,
        *,
        resources: Mapping[str, Any] | None = None,
        verify: bool = False,
        say: Callable[[str], object] = lambda _: None,
        warn: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.spec = spec if isinstance(spec, Spec) else Path(spec)
        self._named = store.root if isinstance(store, Store | StoreFolder) else place(store)
        self.store = store if isinstance(store, StoreFolder) else StoreFolder(self._named.absolute())
        self._resources = resources
        self._verify = verify
        self._say = say
        self._warn = warn

    def __repr__(self) -> str:
        path = self.spec.document.path if isinstance(self.spec, Spec) else self.spec
        return f"Sweep({str(path)!r}, {str(self.store.root)!r})"

    def plan(
        self,
        *,
        without_data: bool = False,
        keep: bool = False,
        tell_damage: bool = False,
        say: Callable[[str], object] | None = None,
    ) -> Plan:
        """Return what would be trained, checked against the data, and what the store has of it already.

        Args:
            without_data: plan also where a data file is not at hand; then nothing is checked against it.
            keep: keep what is imported of the sources in the store also where the store is not there yet.
            tell_damage: tell what is damaged in the store, which is left out, as what has not been trained.
            say: told what takes long, in place of the sweep's own.

        Raises:
            SpecError: the spec, and what it asks of the data: all that is wrong, each with its line.
            DataError: the data.
            TrainingError: a model file that cannot be read.
            StoreError: the storage of a store at a URL cannot be used.
        """
        refresh_sweeps(self.store)
        plan = prepare(
            self.spec,
            self.store.root,
            self._resources,
            allow_missing_data=without_data,
            verify=self._verify,
            keep=keep,
            say=say or self._say,
        )
        if copied_from(self.store):
            refresh(self.store, plan.graph.nodes.keys())
            plan = plan.again()
        for damage in plan.damage() if tell_damage else ():
            self._warn(str(damage))
        return plan

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

    def run(
        self,
        console: Console | None = None,
        *,
        tracking_uri: str | None = None,
        until: str | None = None,
        **decision: Any,
    ) -> RunSummary:
        """Train what the store lacks, fit, report, and say what goes on and what came out.

        It joins the Ray cluster of this process, of RAY_ADDRESS or of the surrounding job, or starts one meanwhile.
        Interrupted, it goes on from there when it is called again. A stage that fails raises nothing: the summary
        tells it.

        Args:
            console: where it is said; default: the standard output, also of a notebook's cell.
            tracking_uri: MLflow's, in place of the spec's and the store's own.
            until: a condition at which it ends, with as much of the grid as that takes:
                `transfer.gradient.half_width < 0.1`, or `budget.regret < 5 %`. How it ended is in the summary's
                `until`.
            decision: what the regret is of, as `budget` takes it: budget, unit, costs, error, hour, reach.

        Raises:
            MfsweepError: the run cannot begin: as of `plan`, or the store, the resources, the tracking server.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "IProgress not found")  # tqdm's, in a notebook without ipywidgets
            from mfsweep.sweep import several
        from mfsweep.sweep.budget import BudgetOptions
        from mfsweep.sweep.screen import console as on_standard_output
        from mfsweep.sweep.until import ending_of

        options = BudgetOptions(**decision)
        if until is None and (words := options.words()):
            raise SpecError(f"{words[0]} without `until`: a run of the whole grid has no use for it")
        screen = console or on_standard_output()
        plan = self.plan(keep=True, say=lambda text: screen.print(text, soft_wrap=True, markup=False))
        ending = ending_of(until, [plan], options) if until is not None else None
        several.admit([plan], self._named, tracking_uri)
        return several.run([plan], screen, tracking_uri, ending=ending).summaries[plan.name]

    def status(self) -> list[StageStatus]:
        """Return how far each stage is, parents first.

        Raises:
            MfsweepError: as of `plan`.
        """
        from mfsweep.sweep.status import status

        return status(self.plan(tell_damage=True))

    def standing(self, *, price: float | None = None, co2: float | None = None) -> Standing:
        """Return where it stands: how far and how fast its stages are, the time left, the cost, what failed.

        Args:
            price: of a device-hour, in any currency; default: the spec's.
            co2: grams of a kWh; default: the spec's.

        Raises:
            MfsweepError: as of `plan`.
        """
        from mfsweep.sweep.standing import standing

        return standing(self.plan(tell_damage=True), price, co2)

    def audit(
        self,
        console: Console | None = None,
        *,
        key: str | None = None,
        seed: int | None = None,
        tolerance: float = 0.01,
    ) -> Audit:
        """Train one finished stage again, in a store that is thrown away, and compare it with its record.

        Args:
            console: where the training is said; default: the standard output.
            key: the first letters of the stage's key; None: any stage, at random.
            seed: of the choice.
            tolerance: relative difference of a metric that is put down to rounding.

        Raises:
            MfsweepError: as of `plan`.
            StoreError: no such stage is done, its parent's weights are gone, or it failed this time.
        """
        from mfsweep.sweep.audit import audit
        from mfsweep.sweep.running import trained_alone
        from mfsweep.sweep.screen import console as on_standard_output

        screen = console or on_standard_output()
        plan = self.plan(tell_damage=True)
        return audit(plan, lambda small: trained_alone(small, screen), key=key, seed=seed, tolerance=tolerance)

    def results(self) -> Results:
        """Return what came out so far: laws, best cells, gains, claims, figures, and the report.

        Raises:
            MfsweepError: as of `plan`.
            StoreError: the spec requires one version of everything, and the stages have several.
        """
        from mfsweep.sweep.results import analyse

        return analyse(self.plan(tell_damage=True))

    def report(self, out: str | Path | None = None) -> Path:
        """Write the page with plan, tables, figures and provenance, nothing trained; return its path.

        Args:
            out: a folder in place of the sweep's own in the store.

        Raises:
            MfsweepError: as of `results`.
        """
        return self.results().write_report(None if out is None else Path(out))

    def residuals(self, out: str | Path | None = None) -> WrittenResiduals:
        """Write histograms of what the label methods differ by from the target, energy offsets off; return the numbers.

        Args:
            out: a folder in place of that of the sweep's figures in the store.

        Raises:
            MfsweepError: as of `plan`; the spec names no target, or too few structures carry the methods.
        """
        from mfsweep.sweep.residuals import write

        return write(self.plan(), None if out is None else Path(out))

    def bench(
        self, *, steps: int = 5, device: str | None = None, console: Console | None = None
    ) -> list[MeasuredSeconds]:
        """Measure the seconds of a batch of each kind of stage on this machine, for `estimate`; the store keeps them.

        Args:
            steps: timed batches of each kind.
            device: as torch names it; default: a GPU if there is one.
            console: where each kind is said; default: the standard output.

        Raises:
            SpecError: the spec.
        """
        from mfsweep.sweep.bench import bench
        from mfsweep.sweep.screen import console as on_standard_output

        return bench([self.plan(without_data=True)], console or on_standard_output(), steps, device)

    def best(self, metric: str) -> BestStage:
        """Return a stage of the sweep's setting with the lowest value of a metric, for `Store.export`.

        Settings with replicates are compared by their mean over these: over folds, if they have any.

        Args:
            metric: as a column of `frame`, result.test.cc.energy_mae; without the stage, test.cc.energy_mae, of all
                stages.

        Raises:
            MfsweepError: as of `plan`.
            StoreError: no stage has it, or no two settings have it on one partition.
        """
        from mfsweep.export.measured import best

        plan = self.plan(tell_damage=True)
        return best(plan.store, metric, plan.cells())

    def validate(self, **options: Any) -> list[PhysicsRecord]:
        """Check the physics of the trained results of all cells.

        Args:
            options: of `Store.validate`.

        Raises:
            MfsweepError: as of `plan` and `Store.validate`.
        """
        plan = self.plan(tell_damage=True)
        keys = dict.fromkeys(planned.keys[planned.cell.result] for planned in plan.graph.cells)
        trained = [key for key in keys if plan.store.stage(key).record() is not None]
        return Store(plan.store.root).validate(trained, **options)

    def compare(
        self,
        *,
        by: str | None = None,
        against: str | None = None,
        y: str | None = None,
        label_costs: Mapping[str, float] | None = None,
        unit: str | None = None,
    ) -> Comparison:
        """Return the strategies of the spec side by side, at equal labels and at equal cost.

        Args:
            by: axis whose values are the strategies, or `stages`. Default: an axis `strategy` or `variant`, else the
                stages tell.
            against: the strategy that the others are compared with. Default: direct training.
            y: path of the metric. Default: of the first fit, else the test error of the result.
            label_costs: label method -> cost of one label. Default: those of a figure of kind `pareto`.
            unit: of the costs that are given; into which those of a figure are turned.

        Raises:
            MfsweepError: as of `plan`.
            FitError: nothing is trained yet, there is one strategy only, or no two can be compared; the costs of a
                figure cannot be turned into the unit.
        """
        from mfsweep.sweep.compare import compare

        return compare([self.plan()], by=by, against=against, y=y, label_costs=label_costs, unit=unit)

    def budget(
        self,
        budget: float | None = None,
        *,
        unit: str | None = None,
        costs: Mapping[str, float] | None = None,
        targets: Sequence[str] = (),
        error: str | None = None,
        hour: float | None = None,
        reach: float = 10.0,
        against: str | Path | None = None,
    ) -> Advice:
        """Return which labels to buy, by the trained cells: what, how sure that is, and what would change it.

        Args:
            budget: to be spent, in `unit`. Default: what the dearest trained cell has cost.
            unit: `core-hours`, or any word. Default: that of the spec's costs.
            costs: label method -> cost of one label in `unit`, in place of the spec's.
            targets: errors to get below at the least cost, `cc=1.0kcal/mol`.
            error: path of the metric that is to be low. Default: that of the spec's figure of costs.
            hour: what an hour of training costs on a core, or a GPU, in `unit`. Default: a core-hour is one.
            reach: times the largest trained size that is considered.
            against: a file with what `mfsweep budget --json` has printed of fewer cells: what that would lose.

        Raises:
            MfsweepError: as of `plan`.
            FitError: nothing can be said, with the reason.
        """
        from mfsweep.sweep.budget import BudgetOptions
        from mfsweep.sweep.budget import budget as look

        before = None if against is None else Path(against)
        options = BudgetOptions(budget, unit, costs or {}, targets, error, hour, reach, before)
        return look(self.plan(tell_damage=True), options)

    def frame(self) -> pd.DataFrame:
        """Return one row a cell, whether it is trained yet or not (analysis/frame.py has the columns).

        Raises:
            MfsweepError: as of `plan`.
        """
        from mfsweep.analysis.frame import frame

        plan = self.plan()
        return frame(self.store, [(plan.name, plan.cells())])
