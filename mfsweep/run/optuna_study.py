"""One Optuna study that is asked and told over several runs of a search.

A *point* is one combination of parameters. It has a number, kept in the user attributes of its Optuna trials, and may
take several of them: Optuna's ask and tell have no heartbeat, so a trial that a killed run left RUNNING is failed when
the study is opened, and its point enqueued again, under its number. The same happens to a point that has failed, since
a run tries failed stages once more. What the sampler draws for a new point depends on the search's seed, the point's
number and the study's values alone: a search that goes on asks for what it would have asked without the break. (Of
`cmaes` that holds but for the numbers of the Optuna trials, which a break moves on, and which it draws by as well.)

Where the storage fails in the middle of a call, Optuna's StorageInternalError passes, and the call may be made again:
what it had begun is taken up or undone, and nothing is asked or told twice.

A point that the search's pruner has given up ends as PRUNED, with its curve as intermediate values. Without a pruner it
is enqueued again.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, CmaEsSampler, GPSampler, NSGAIISampler, RandomSampler, TPESampler
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from mfsweep.errors import StoreError
from mfsweep.masking import is_masked
from mfsweep.run.databases import OptunaTables, whole
from mfsweep.run.mlflow_experiment import reason
from mfsweep.run.pruning import ValidationCurve
from mfsweep.spec.axes import Distribution, Value
from mfsweep.spec.search import Search
from mfsweep.store import StoreFolder

STARTUP_POINTS = 4
"""Points that `tpe` and `gp` draw at random first. Optuna's own ten are most of a search in which each point is
trainings."""

BUSY_SECONDS = 60.0
"""For which a file is waited for that another process has locked."""

_NUMBER, _STAGES, _SCORES, _REFUSED, _TERMS = "point", "stages", "scores", "refused", "mfsweep"
"""User attributes: of a trial its point's number, its stages' keys, its score with each seed (of two objectives each),
why the plan refused it; of a study what its values mean."""
_FIXED = "fixed_params"
"""System attribute of a trial that waits, or has waited: its parameters."""

Scores = Sequence[tuple[float, ...]]
"""The objectives of each seed."""


@dataclass(frozen=True)
class Asked:
    """A point that waits for its value."""

    trial: optuna.Trial
    values: dict[str, Value]
    """Searched axis -> value."""


def open_in_store(store: StoreFolder, say: Callable[[str], object]) -> BaseStorage:
    """Return the storage of a store's own file; where that cannot be used, one in memory.

    A study in memory begins with the points that were asked for and takes their values from the store: it goes on as
    if it had been kept.
    """
    try:
        with whole(store.search_database, OptunaTables()) as mended:
            if mended:
                say(mended)
            return open_storage(store.search_uri)
    except Exception as error:  # noqa: BLE001  whatever Optuna, Alembic and SQLAlchemy make of somebody else's file
        why = f"{store.search_database} cannot be used ({reason(error)})"
        say(f"{why}: the search goes on from the points that the store knows, and does not write there")
        return optuna.storages.InMemoryStorage()


def open_storage(url: str) -> BaseStorage:
    """Return an Optuna storage.

    Raises:
        StoreError: it cannot be used.
    """
    from sqlalchemy.exc import SQLAlchemyError

    if is_masked(url):
        raise StoreError(
            f"search.storage: {url} has no password: it comes from a copy of a spec, in which mfsweep masks them. Run "
            "your own spec"
        )
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    logging.getLogger("optuna.storages._rdb.storage").setLevel(logging.ERROR)  # it tells of each read that failed
    try:
        return optuna.storages.get_storage(optuna.storages.RDBStorage(url, engine_kwargs=_engine_of(url)))
    except RuntimeError as error:
        # Tables that another version of Optuna made, of which it tells how to upgrade them; or MLflow's, which it takes
        # for such.
        raise StoreError(
            f"the Optuna storage {url} cannot be used: {reason(error, url)} (it takes a database that MLflow does not "
            "use)"
        ) from error
    except (optuna.exceptions.OptunaError, SQLAlchemyError, OSError, ImportError, ValueError) as error:
        raise StoreError(
            f"the Optuna storage {url} cannot be used: {reason(error, url)}\n"
            "Correct `search.storage` in the spec, or leave it out to keep the studies in a file of the store."
        ) from error


def _engine_of(url: str) -> dict[str, Any]:
    """Return what SQLAlchemy is to do: look whether a connection still lives, and wait for who has a file's lock."""
    waits = {"connect_args": {"timeout": BUSY_SECONDS}} if url.startswith("sqlite") else {}
    return {"pool_pre_ping": True, **waits}


class OptunaStudy:
    """A study of one search, in a storage that no other process writes this study to.

    Args:
        storage: where it is kept.
        name: its name there.
        search: objective, sampler and seed.
        searched: the axes that it searches.
        known: points that were asked for in earlier runs; those that the study lacks come first.

    Raises:
        StoreError: the study of this name was made for another objective or other axes.
    """

    def __init__(
        self,
        storage: BaseStorage,
        name: str,
        search: Search,
        searched: Mapping[str, Distribution],
        known: Iterable[Mapping[str, Value]],
    ) -> None:
        self.name = name
        self._storage = storage
        self._search = search
        self._searched = searched
        self._distributions = {axis: _distribution(one) for axis, one in searched.items()}
        downwards: list[Literal["minimize"]] = ["minimize" for _ in search.objectives]
        self._study = optuna.create_study(storage=storage, study_name=name, directions=downwards, load_if_exists=True)
        self._drawn: tuple[optuna.Trial, int] | None = None
        """The trial of the point that was asked for last, and its number, until it is described or refused."""
        self._require_same_terms()
        self._fail_left_over()
        self._enqueue_open(known)

    def told(self) -> list[tuple[dict[str, Value], Any]]:
        """Return the parameters and the stages' keys of the points that have a value."""
        done = (trial for trial in self._trials() if trial.state is TrialState.COMPLETE)
        return [(trial.params, trial.user_attrs.get(_STAGES)) for trial in done]

    def pruned(self) -> list[dict[str, Value]]:
        """Return the parameters of the points that were given up and are not asked for again."""
        numbers = {trial.user_attrs.get(_NUMBER): trial for trial in self._trials() if self._is_given_up(trial)}
        return [trial.params for trial in numbers.values()]

    def ask(self) -> Asked:
        """Return the next point: one that waits, else a new one; the same again until it is described or refused."""
        while True:
            trial, number = self._drawn = self._drawn or self._draw()
            if _NUMBER not in trial.user_attrs:
                trial.set_user_attr(_NUMBER, number)
            if self._has(trial.params):
                return Asked(trial, dict(trial.params))
            self._study.tell(trial, state=TrialState.FAIL, skip_if_finished=True)
            self._drawn = None

    def describe(self, asked: Asked, stages: Mapping[str, Mapping[str, str]]) -> None:
        """Note the keys of a point's stages: cell -> stage name -> key."""
        asked.trial.set_user_attr(_STAGES, stages)
        self._drawn = None

    def tell(self, asked: Asked, scores: Scores | None, curve: ValidationCurve | None = None) -> None:
        """End a point.

        Args:
            asked: the point.
            scores: of each seed, of which the mean is its value; None: it failed.
            curve: what the pruner has seen of it.
        """
        if self._has_ended(asked):
            return
        if scores is None:
            self._study.tell(asked.trial, state=TrialState.FAIL)
            return
        _report(asked, curve or {})
        means = [float(mean) for mean in np.mean(scores, axis=0)]
        asked.trial.set_user_attr(_SCORES, [list(of_seed) if len(means) > 1 else of_seed[0] for of_seed in scores])
        self._study.tell(asked.trial, means)

    def prune(self, asked: Asked, curve: ValidationCurve) -> None:
        """End a point that was given up, with the curve that it was given up by."""
        if self._has_ended(asked):
            return
        _report(asked, curve)
        self._study.tell(asked.trial, state=TrialState.PRUNED)

    def refuse(self, asked: Asked, why: str) -> None:
        """End a point for good that cannot be planned."""
        if not self._has_ended(asked):
            asked.trial.set_user_attr(_REFUSED, why)
            self._study.tell(asked.trial, state=TrialState.FAIL)
        self._drawn = None

    def _draw(self) -> tuple[optuna.Trial, int]:
        """Return Optuna's next trial, and the number of a point that has none yet."""
        self._undo_half_asked()
        number = 1 + max((trial.user_attrs.get(_NUMBER, -1) for trial in self._trials()), default=-1)
        self._study.sampler = _sampler(self._search, number)
        with warnings.catch_warnings():
            # It says that a point that waits lies outside the bounds, which have become narrower since.
            warnings.simplefilter("ignore", UserWarning)
            return self._study.ask(self._distributions), number

    def _undo_half_asked(self) -> None:
        """Undo what Optuna had begun when its storage failed: a point that waited waits again, a new one has failed."""
        for trial in self._trials():
            if trial.state is TrialState.RUNNING and _STAGES not in trial.user_attrs:
                state = TrialState.WAITING if _FIXED in trial.system_attrs else TrialState.FAIL
                self._storage.set_trial_state_values(trial._trial_id, state)  # noqa: SLF001 (the storage knows no other)

    def _has_ended(self, asked: Asked) -> bool:
        """Return whether a point has come to its end already, as where only the storage's answer was lost."""
        return any(one.number == asked.trial.number and one.state.is_finished() for one in self._trials())

    def _is_given_up(self, trial: FrozenTrial) -> bool:
        """Return whether a trial's point was pruned, and stays so."""
        return self._search.is_pruned and trial.state is TrialState.PRUNED

    def _has(self, params: Mapping[str, Value]) -> bool:
        return all(axis in params and one.has(params[axis]) for axis, one in self._searched.items())

    def _trials(self) -> list[FrozenTrial]:
        return self._study.get_trials(deepcopy=False)

    def _require_same_terms(self) -> None:
        """Refuse a study whose values cannot be compared with what would be told to it."""
        axes = {axis: _terms(one) for axis, one in self._distributions.items()}
        objectives = self._search.objectives
        terms = {"objective": list(objectives) if len(objectives) > 1 else self._search.objective, "axes": axes}
        found = self._study.user_attrs.get(_TERMS)
        if found is None:
            self._study.set_user_attr(_TERMS, terms)
        elif found != terms:
            was = f"the Optuna study {self.name!r} was made for {found}, not for {terms}"
            raise StoreError(f"{was}. {another_name(self.name)}")

    def _fail_left_over(self) -> None:
        for trial in self._trials():
            if trial.state is TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)

    def _enqueue_open(self, known: Iterable[Mapping[str, Value]]) -> None:
        """Enqueue the points within the bounds that have no value yet, unless they wait already."""
        trials = self._trials()
        params: dict[int, dict[str, Value]] = {}
        settled: set[int] = set()
        for trial in trials:
            number = trial.user_attrs.get(_NUMBER)
            if number is not None and (trial.state is TrialState.WAITING or self._has(trial.params)):
                params[number] = trial.params
                ended = trial.state in (TrialState.COMPLETE, TrialState.WAITING) or self._is_given_up(trial)
                if ended or _REFUSED in trial.user_attrs:
                    settled.add(number)
        for number in sorted(params.keys() - settled):
            self._study.enqueue_trial(params[number], user_attrs={_NUMBER: number})
        # The study may be younger than the points: deleted on purpose, or in another storage than before.
        # One without a number was cut off before it became a point.
        begun = (trial for trial in trials if trial.state is TrialState.WAITING or _NUMBER in trial.user_attrs)
        had = [trial.params or trial.system_attrs.get(_FIXED) for trial in begun]
        for values in known:
            if values not in had:
                self._study.enqueue_trial(dict(values))


def another_name(study: str) -> str:
    """Return what to do about a study that belongs to a spec as it was before."""
    return (
        "Give the spec another name; or delete the study (`optuna delete-study --study-name "
        f"'{study}' --storage ...`): the next run then begins it with the same points"
    )


def _sampler(search: Search, number: int) -> BaseSampler:
    # The state of a sampler's generator is not in the storage: each point has a stream of its own.
    seed = int(np.random.SeedSequence([search.seed, number]).generate_state(1)[0])
    match search.sampler:
        case "random":
            return RandomSampler(seed=seed)
        case "gp":
            return GPSampler(seed=seed, n_startup_trials=STARTUP_POINTS)
        case "cmaes":
            return CmaEsSampler(seed=seed, popsize=search.generation)
        case "nsga2":
            assert search.generation is not None
            return NSGAIISampler(seed=seed, population_size=search.generation)
        case "tpe":
            # constant_liar: points that are out count as bad ones, or two at a time would be asked for side by side.
            return TPESampler(n_startup_trials=STARTUP_POINTS, constant_liar=True, seed=seed)


def _report(asked: Asked, curve: ValidationCurve) -> None:
    with warnings.catch_warnings():
        # It says that a step is there already, as after a failure of the storage.
        warnings.simplefilter("ignore", UserWarning)
        for step, value in curve.items():
            asked.trial.report(value, step)


def _distribution(one: Distribution) -> BaseDistribution:
    with warnings.catch_warnings():
        # It says that it lowers `high` to the last value that is a whole number of steps above `low`.
        warnings.simplefilter("ignore", UserWarning)
        if one.is_whole:
            return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
        return FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _terms(one: BaseDistribution) -> dict[str, Any]:
    """Return what may not change of a distribution; its bounds may."""
    return {"whole": isinstance(one, IntDistribution), "log": bool(getattr(one, "log", False))}
