"""A search: Optuna studies that grow the plan by the points they ask for, one study for each combination of other axes.

A point becomes cells, a cell for each seed, and these become stages like any other: shared, reused, resumed. So nothing
here trains. `advance` looks at which points have come to an end, tells Optuna, asks for more, and extends the plan; the
stage queue calls it whenever stages have ended (`sweep.run`).

Order of writing, so that a kill at any time loses nothing: Optuna has a point before asked.json has it, asked.json
before it is trained, its stages' records before Optuna has its value, the marks of a point that the pruner gives up
before its trainings end by them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from optuna.exceptions import StorageInternalError

from mfsweep.errors import DataError, SpecError, StoreError
from mfsweep.plan.graph import PlannedCell
from mfsweep.prepare import Plan
from mfsweep.prepare.points import SearchPoint, is_admitted, study_name, text
from mfsweep.prepare.pruned import cells_of, pruning
from mfsweep.quantities import RESULT, MetricPath
from mfsweep.records import Pruning
from mfsweep.run import disk
from mfsweep.run.given_up import GivenUp
from mfsweep.run.growing import Growing, NotNow
from mfsweep.run.kept import final_metrics
from mfsweep.run.mlflow_experiment import reason
from mfsweep.run.optuna_study import OptunaStudy, another_name, open_in_store, open_storage
from mfsweep.run.pruning import Budget, Judge, curve_of, value_of
from mfsweep.run.running_study import PointOut, RunningStudy, seeds_of
from mfsweep.spec.axes import Value
from mfsweep.store.sqlite_uris import placed


@contextlib.contextmanager
def opened(plan: Plan, say: Callable[[str], object]) -> Iterator[SearchPlan]:
    """Give the search of a spec, taken up where an earlier run left it, and hold it against other processes.

    Args:
        plan: with the points that were asked for in earlier runs.
        say: is told of each point that cannot be planned, and of what was wrong with the store's own storage.

    Raises:
        StoreError: another process runs it; the Optuna storage cannot be used; its studies are another spec's.
        OSError: the disk of the store is full.
    """
    settings = plan.spec.experiment.search
    assert settings is not None
    folder = plan.store.sweep(plan.name)
    with folder.claim(say) as mine:
        if not mine:
            raise StoreError(
                f"{folder.path}: another process runs this search. Wait for its end: two would ask for points twice"
            )
        given = settings.storage and placed(settings.storage, plan.spec.document.path.absolute().parent)
        storage = open_storage(given) if given else open_in_store(plan.store, say)
        try:
            try:
                studies = {
                    OptunaStudy(
                        storage,
                        study_name(plan.spec, values),
                        settings,
                        plan.spec.searched,
                        [_searched(point, plan) for point in plan.points if values.items() <= point.items()],
                    ): values
                    for values in plan.spec.studies()
                }
                search = SearchPlan(plan, studies, say)
            except StorageInternalError as error:
                if not given and disk.is_why(error):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(plan.store.search_database)) from error
                why = f"{given or plan.store.search_database} cannot be used: {_why(error, given or '')}"
                raise StoreError(f"the Optuna storage {why}. Run it again when it answers") from error
            yield search
        finally:
            storage.remove_session()


class SearchPlan(Growing):
    """The studies of one spec, and the plan of all their points.

    Args:
        plan: with the points that were asked for in earlier runs.
        studies: study -> its values of the other axes.
        say: is told of each point that cannot be planned.
    """

    def __init__(
        self, plan: Plan, studies: Mapping[OptunaStudy, Mapping[str, Value]], say: Callable[[str], object]
    ) -> None:
        settings = plan.spec.experiment.search
        assert settings is not None
        self.plan = plan
        self._say = say
        self._settings = settings
        self._objectives = [MetricPath.parse(f"{RESULT}.{objective}") for objective in settings.objectives]
        self._studies = [
            RunningStudy(study, values, Judge(settings, study.name) if settings.is_pruned else None)
            for study, values in studies.items()
        ]
        self._lost: set[str] = set()
        """Keys of stages that ended in this run and are not done."""
        self._given_up = GivenUp(say)
        self._is_away = False
        """Whether the Optuna storage did not answer when it was asked last."""
        for running in self._studies:
            self._take_up(running)
        self._advance()

    def advance(self, ended: Iterable[str] = ()) -> None:
        """Tell the points whose stages have all ended, and ask for others in their place.

        Args:
            ended: keys of stages that have ended, well or badly, since the last call.

        Raises:
            NotNow: the Optuna storage does not answer, which is said once. Called again, this goes on where it was.
        """
        self._lost |= {key for key in ended if not self._is_done(key) and not self.is_spared(key)}
        try:
            self._advance()
        except StorageInternalError as error:
            if not self._is_away:
                self._is_away = True
                self._say(
                    f"The Optuna storage cannot be used at this moment ({_why(error, self._settings.storage or '')}). "
                    "What is trained goes on; points are told, and asked for, when it answers"
                )
            raise NotNow from error
        if self._is_away:
            self._is_away = False
            self._say("The Optuna storage answers again")

    def _advance(self) -> None:
        for running in self._studies:
            self._tell(running)
            while self._wants_more(running):
                self._ask(running)
                self._tell(running)

    def judge(self, key: str, progress: Mapping[str, Any]) -> None:
        """Take in a validation of a stage, and give up the points that fall behind by it: their stages are marked.

        Args:
            key: of the stage.
            progress: `loop.Progress` as plain data.
        """
        if not self._settings.is_pruned or key not in self.plan.graph.nodes:
            return
        if self.is_spared(key):  # it was on its way to a worker when its point was given up
            self._given_up.mark(self.plan, key)
            return
        value = value_of(progress["validation"], self._objectives[0])
        recipe, step = self.plan.graph.nodes[key].training.recipe, progress["step"]
        if value is None:
            return
        for running in self._studies:
            for out in running.out:
                if (seed := out.seeds.get(key)) is None:
                    continue
                assert running.judge is not None
                running.judge.take(out.number, seed, step, value)
                budget = Budget(recipe.validate_every, recipe.max_steps)
                behind = step != recipe.max_steps and running.judge.falls_behind(out.number, step, budget)
                # What something else needs as well is trained to its end in any case, and its point has a value then.
                is_new = behind and out.point not in self._given_up
                if is_new and self._given_up.would_spare(self.plan, key, out.point):
                    self._give_up(running, out, step, value)

    @property
    def has_pruner(self) -> bool:
        """Return whether points may be given up."""
        return self._settings.is_pruned

    def is_spared(self, key: str) -> bool:
        """Return whether only points that were given up need a stage."""
        return self._given_up.spares(self.plan, key)

    def why_spared(self, key: str) -> str:
        """Return why the point of a stage that is spared was given up."""
        return self._given_up.why(key)

    @property
    def progress(self) -> str:
        """Return how far the search is."""
        ended = sum(running.ended for running in self._studies)
        pruned = sum(running.pruned for running in self._studies)
        said = f"{ended} of {self._settings.trials * len(self._studies)} points"
        return f"{said}, {pruned} of them pruned" if pruned else said

    @property
    def failed(self) -> int:
        """Return how many points failed in this run, those that cannot be planned too."""
        return sum(running.failed for running in self._studies)

    @property
    def refused(self) -> int:
        """Return how many points of this run cannot be planned."""
        return sum(running.refused for running in self._studies)

    def _take_up(self, running: RunningStudy) -> None:
        """Plan the points with a value that the plan lacks, and refuse a study of other trainings than the plan's."""
        for params, stages in running.study.told():
            point = {**running.values, **params}
            if not self._is_planned(point):
                continue
            running.complete += 1
            cells = cells_of(self.plan, point)
            if stages is not None and stages != self._stages(cells):
                raise StoreError(
                    f"the Optuna study {running.study.name!r} has a value for {point} that other trainings gave: the "
                    f"spec has changed since. {another_name(running.study.name)}"
                )
            if running.judge is not None:
                self._follow(running.judge, cells)
        for params in running.study.pruned():
            point = {**running.values, **params}
            if self._is_planned(point):
                running.pruned += 1
                cells = cells_of(self.plan, point)
                lost = Pruning(time=0.0, study=running.study.name, step=0, reason="given up by an earlier run")
                self._given_up.add(self.plan, point, pruning(self.plan, point, cells) or lost)
                assert running.judge is not None, "without a pruner nothing is given up"
                self._follow(running.judge, cells)

    def _is_planned(self, point: SearchPoint) -> bool:
        """Return whether an earlier point is of this search; one that the plan lacks is planned."""
        if not is_admitted(self.plan.spec, point):
            return False
        if point not in self.plan.points and (problem := self._plan(point)):
            self._say(f"the value of {text(point)} is left out: {problem}")
            return False
        return True

    def _wants_more(self, running: RunningStudy) -> bool:
        begun = running.ended + len(running.out)
        return len(running.out) < self._settings.parallel and begun < self._settings.trials

    def _ask(self, running: RunningStudy) -> None:
        asked = running.study.ask()
        point = {**running.values, **asked.values}
        if point not in self.plan.points and (problem := self._plan(point)):
            running.study.refuse(asked, str(problem))
            running.failed += 1
            running.refused += 1
            self._say(f"{text(point)} is refused and not asked for again: {problem}")
            return
        cells = cells_of(self.plan, point)
        running.study.describe(asked, self._stages(cells))
        out = PointOut(asked, point, {cell.keys[cell.cell.result]: seeds_of(cell) for cell in cells})
        if running.judge is not None:
            out.number = self._follow(running.judge, cells)
            if found := pruning(self.plan, point, cells):  # by a run that ended before it could tell the study
                self._given_up.add(self.plan, point, found)
        running.out.append(out)

    def _plan(self, point: SearchPoint) -> SpecError | DataError | None:
        """Add a point to the plan; return why it cannot be planned."""
        try:
            self.plan = self.plan.extended([point])
        except (SpecError, DataError) as error:
            return error
        self.plan.store.sweep(self.plan.name).write_asked(self.plan.points)
        return None

    def _tell(self, running: RunningStudy) -> None:
        """Tell the study what came out for the points that are out and have ended."""
        for out in tuple(running.out):
            if out.point in self._given_up and not all(map(self._is_done, out.seeds)):
                assert running.judge is not None
                running.study.prune(out.asked, running.judge.curve(out.number))
                running.out.remove(out)
                running.pruned += 1
                continue
            if not all(self._is_done(key) or key in self._lost for key in out.seeds):
                continue
            scores = [self._scores(key) for key in out.seeds]
            known = [score for score in scores if score is not None]
            failed = len(known) < len(scores)
            if running.judge is not None and not failed:
                ends = zip(out.seeds.values(), known, strict=True)
                running.judge.end(out.number, {seed: score[0] for seed, score in ends})
            curve = running.judge.curve(out.number) if running.judge is not None else None
            running.study.tell(out.asked, None if failed else known, curve)
            running.out.remove(out)
            running.failed += failed
            running.complete += not failed

    def _follow(self, judge: Judge, cells: Iterable[PlannedCell]) -> int:
        """Show a point to the judge, with what its trainings have left so far; return its number there."""
        keys = {cell.keys[cell.cell.result]: seeds_of(cell) for cell in cells}
        number = judge.add(
            {
                seed: curve
                for key, seed in keys.items()
                if (curve := curve_of(self.plan.store.stage(key), self._objectives[0]))
            }
        )
        judge.end(number, {seed: scores[0] for key, seed in keys.items() if (scores := self._scores(key))})
        return number

    def _give_up(self, running: RunningStudy, out: PointOut, step: int, value: float) -> None:
        """Count a point among those that were given up, and mark its stages that have begun and nothing else needs."""
        reason = f"given up at step {step:,} by {self._settings.pruner}: {self._settings.objective} {value:.4g}"
        why = Pruning(time=time.time(), study=running.study.name, step=step, reason=reason)
        self._given_up.add(self.plan, out.point, why)
        keys = {key for cell in cells_of(self.plan, out.point) for key in cell.keys.values()}
        for key in keys:
            if self.is_spared(key) and self.plan.store.stage(key).path.exists() and not self._is_done(key):
                self._given_up.mark(self.plan, key)

    def _scores(self, key: str) -> tuple[float, ...] | None:
        """Return the objectives of a result; None where it is not done, or lacks one."""
        if not self._is_done(key):
            return None
        metrics = final_metrics(self.plan.store, self.plan.graph.nodes[key])
        found = [objective.among(metrics) for objective in self._objectives]
        return tuple(metrics[names[0]] for names in found) if all(len(names) == 1 for names in found) else None

    def _is_done(self, key: str) -> bool:
        evaluations = [evaluation.identity() for evaluation in self.plan.graph.nodes[key].evaluations]
        return self.plan.store.stage(key).is_done(evaluations)

    def _stages(self, cells: Iterable[PlannedCell]) -> dict[str, dict[str, str]]:
        """Return the keys of all stages of the cells: seeds as text -> stage name -> key."""
        return {seeds_of(one): one.keys for one in cells}


def _why(error: StorageInternalError, url: str) -> str:
    """Return in a line why a storage failed: its own words are the same whatever it was."""
    cause = error.__cause__
    return reason(cause if isinstance(cause, Exception) else error, url)


def _searched(point: Mapping[str, Value], plan: Plan) -> dict[str, Value]:
    return {axis: point[axis] for axis in plan.spec.searched}
