"""A search: Optuna studies that grow the plan by the points they ask for, one study for each combination of other axes.

A point becomes cells, a cell for each seed, and these become stages like any other: shared, reused, resumed. So nothing
here trains. `advance` looks at which points have come to an end, tells Optuna, asks for more, and extends the plan; the
stage queue calls it whenever stages have ended (`sweep.run`).

Order of writing, so that a kill at any time loses nothing: Optuna has a point before asked.json has it, asked.json
before it is trained, its stages' records before Optuna has its value.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping

from mfsweep.errors import DataError, SpecError, StoreError
from mfsweep.plan.graph import PlannedCell
from mfsweep.prepare import Plan
from mfsweep.prepare.points import is_admitted, text, without_seeds
from mfsweep.quantities import RESULT, MetricPath
from mfsweep.run.kept import final_metrics
from mfsweep.run.optuna_study import Asked, Study, another_name, open_in_store, open_storage
from mfsweep.spec.axes import SEEDS, Value
from mfsweep.store.sqlite_uris import placed


@contextlib.contextmanager
def opened(plan: Plan, say: Callable[[str], object]) -> Iterator[Search]:
    """Give the search of a spec, taken up where an earlier run left it, and hold it against other processes.

    Args:
        plan: with the points that were asked for in earlier runs.
        say: is told of each point that cannot be planned, and of what was wrong with the store's own storage.

    Raises:
        StoreError: another process runs it; the Optuna storage cannot be used; its studies are another spec's.
    """
    settings = plan.spec.experiment.search
    assert settings is not None
    folder = plan.store.sweep(plan.name)
    with folder.claim() as mine:
        if not mine:
            raise StoreError(
                f"{folder.path}: another process runs this search. Wait for its end: two would ask for points twice"
            )
        given = settings.storage and placed(settings.storage, plan.spec.document.path.absolute().parent)
        storage = open_storage(given) if given else open_in_store(plan.store, say)
        try:
            studies = {
                Study(
                    storage,
                    _name(plan.name, values),
                    settings,
                    plan.spec.searched,
                    [_searched(point, plan) for point in plan.points if values.items() <= point.items()],
                ): values
                for values in plan.spec.studies()
            }
            yield Search(plan, studies, say)
        finally:
            storage.remove_session()


class Search:
    """The studies of one spec, and the plan of all their points.

    Args:
        plan: with the points that were asked for in earlier runs.
        studies: study -> its values of the other axes.
        say: is told of each point that cannot be planned.
    """

    def __init__(self, plan: Plan, studies: Mapping[Study, Mapping[str, Value]], say: Callable[[str], object]) -> None:
        settings = plan.spec.experiment.search
        assert settings is not None
        self.plan = plan
        self._say = say
        self._settings = settings
        self._objective = MetricPath.parse(f"{RESULT}.{settings.objective}")
        self._studies = [_Running(study, values) for study, values in studies.items()]
        self._lost: set[str] = set()
        """Keys of stages that ended in this run and are not done."""
        for running in self._studies:
            self._take_up(running)
        self.advance()

    def advance(self, ended: Iterable[str] = ()) -> None:
        """Tell the points whose stages have all ended, and ask for others in their place.

        Args:
            ended: keys of stages that have ended, well or badly, since the last call.
        """
        self._lost |= {key for key in ended if not self._is_done(key)}
        for running in self._studies:
            self._tell(running)
            while self._wants_more(running):
                self._ask(running)
                self._tell(running)

    @property
    def progress(self) -> str:
        """Return how far the search is."""
        ended = sum(running.ended for running in self._studies)
        return f"{ended} of {self._settings.trials * len(self._studies)} points"

    @property
    def failed(self) -> int:
        """Return how many points failed in this run, those that cannot be planned too."""
        return sum(running.failed for running in self._studies)

    @property
    def refused(self) -> int:
        """Return how many points of this run cannot be planned."""
        return sum(running.refused for running in self._studies)

    def _take_up(self, running: _Running) -> None:
        """Plan the points with a value that the plan lacks, and refuse a study of other trainings than the plan's."""
        for params, stages in running.study.told():
            point = {**running.values, **params}
            if not is_admitted(self.plan.spec, point):
                continue
            if point not in self.plan.points and (problem := self._plan(point)):
                self._say(f"the value of {text(point)} is left out: {problem}")
                continue
            running.complete += 1
            if stages is not None and stages != self._stages(self._cells(point)):
                raise StoreError(
                    f"the Optuna study {running.study.name!r} has a value for {point} that other trainings gave: the "
                    f"spec has changed since. {another_name(running.study.name)}"
                )

    def _wants_more(self, running: _Running) -> bool:
        begun = running.ended + len(running.out)
        return len(running.out) < self._settings.parallel and begun < self._settings.trials

    def _ask(self, running: _Running) -> None:
        asked = running.study.ask()
        point = {**running.values, **asked.values}
        if point not in self.plan.points and (problem := self._plan(point)):
            running.study.refuse(asked, str(problem))
            running.failed += 1
            running.refused += 1
            self._say(f"{text(point)} is refused and not asked for again: {problem}")
            return
        cells = self._cells(point)
        running.study.describe(asked, self._stages(cells))
        running.out.append((asked, cells))

    def _plan(self, point: Mapping[str, Value]) -> SpecError | DataError | None:
        """Add a point to the plan; return why it cannot be planned."""
        try:
            self.plan = self.plan.extended([point])
        except (SpecError, DataError) as error:
            return error
        self.plan.store.sweep(self.plan.name).write_asked(self.plan.points)
        return None

    def _tell(self, running: _Running) -> None:
        """Tell the study what came out for the points that are out and have ended."""
        out, running.out = running.out, []
        for asked, cells in out:
            results = [cell.keys[cell.cell.result] for cell in cells]
            if not all(self._is_done(key) or key in self._lost for key in results):
                running.out.append((asked, cells))
                continue
            scores = [self._score(key) for key in results]
            known = [score for score in scores if score is not None]
            failed = len(known) < len(scores)
            running.study.tell(asked, None if failed else known)
            running.failed += failed
            running.complete += not failed

    def _score(self, key: str) -> float | None:
        """Return the objective of a result; None where it is not done, or has no such metric."""
        if not self._is_done(key):
            return None
        metrics = final_metrics(self.plan.store, self.plan.graph.nodes[key])
        found = self._objective.among(metrics)
        return metrics[found[0]] if len(found) == 1 else None

    def _is_done(self, key: str) -> bool:
        evaluations = [evaluation.identity() for evaluation in self.plan.graph.nodes[key].evaluations]
        return self.plan.store.stage(key).is_done(evaluations)

    def _cells(self, point: Mapping[str, Value]) -> list[PlannedCell]:
        """Return the cells of a point, one for each seed."""
        return [planned for planned in self.plan.graph.cells if without_seeds(planned.cell.values) == point]

    def _stages(self, cells: Iterable[PlannedCell]) -> dict[str, dict[str, str]]:
        """Return the keys of all stages of the cells: seeds as text -> stage name -> key."""
        return {text({a: v for a, v in one.cell.values.items() if a in SEEDS}) or "cell": one.keys for one in cells}


class _Running:
    """A study in this run."""

    def __init__(self, study: Study, values: Mapping[str, Value]) -> None:
        self.study = study
        self.values = values
        self.out: list[tuple[Asked, list[PlannedCell]]] = []
        """Points that are being trained."""
        self.complete = 0
        """Points that have a value, from earlier runs too."""
        self.failed = 0
        """Points of this run that have none, those that cannot be planned too."""
        self.refused = 0

    @property
    def ended(self) -> int:
        return self.complete + self.failed


def _name(spec: str, values: Mapping[str, Value]) -> str:
    return f"{spec}:{text(values)}" if values else spec


def _searched(point: Mapping[str, Value], plan: Plan) -> dict[str, Value]:
    return {axis: point[axis] for axis in plan.spec.searched}
