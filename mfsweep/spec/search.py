"""`search:` of a spec: how Optuna searches the axes that are distributions."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from mfsweep.spec.base import Frozen, MisplacedError, PositiveInt, Seed

POPULATION = 8
"""Points of a generation of `nsga2`. Optuna's own fifty are more than a search has in which each point is trainings."""
GENERATIONS = 2
"""Generations that a search has at least, or all of its points would be drawn at random."""

Objective = Annotated[tuple[str, ...], Field(min_length=2, max_length=2)]


class Search(Frozen):
    """How Optuna searches axes that are distributions: a study for each combination of the other axes but the seeds.

    Nothing of it is part of a stage's identity.
    """

    objective: str | Objective
    """Metric of the result to be lowered, `validation[.<method>].<quantity>`: its mean over the seeds. A list of two
    asks for their Pareto front."""
    trials: PositiveInt
    """Points asked for in each study."""
    sampler: Literal["tpe", "random", "gp", "cmaes", "nsga2"] = "tpe"
    """Optuna's TPESampler, RandomSampler, GPSampler, CmaEsSampler (one objective, two axes or more), NSGAIISampler
    (two objectives)."""
    seed: Seed = 0
    """Seed of the sampler; each trial has a stream of its own."""
    population: Annotated[PositiveInt, Field(ge=2)] | None = None
    """Points of a generation, of `cmaes` and `nsga2` alone. Default: 8 of nsga2, 4 + 3 ln(axes) of cmaes."""
    parallel: PositiveInt = 2
    """Points of a study that are out at a time."""
    pruner: Literal["none", "median", "successive_halving", "hyperband"] = "none"
    """Optuna's MedianPruner, SuccessiveHalvingPruner or HyperbandPruner: ends the trainings of a point whose validation
    curve falls behind those of the others."""
    prune_after: PositiveInt | None = None
    """Steps of a training before which no point is pruned: `n_warmup_steps` of median, `min_resource` of the others.
    Default: up to the first validation."""
    storage: str | None = None
    """Optuna storage URL; default: an sqlite file in the store."""

    @model_validator(mode="after")
    def _refuse_what_does_not_go_together(self) -> Self:
        two = len(self.objectives) == 2
        if two and self.objectives[0] == self.objectives[1]:
            raise MisplacedError(("objective", 1), self.objectives[1], "another metric than the first")
        if two and self.sampler == "cmaes":
            raise MisplacedError(("sampler",), "cmaes", "tpe, gp, nsga2 or random: CMA-ES has one objective")
        if not two and self.sampler == "nsga2":
            expected = "a list of two metrics in `objective`, or another sampler: nsga2 looks for a Pareto front"
            raise MisplacedError(("sampler",), "nsga2", expected)
        if two and self.is_pruned:
            expected = "none: of two objectives no curve tells which point falls behind"
            raise MisplacedError(("pruner",), self.pruner, expected)
        if self.prune_after is not None and not self.is_pruned:
            expected = "a `pruner` (median, successive_halving, hyperband) beside it"
            raise MisplacedError(("prune_after",), self.prune_after, expected)
        if self.population is not None and self.sampler not in ("cmaes", "nsga2"):
            expected = f"no population: {self.sampler} has no generations (cmaes and nsga2 have)"
            raise MisplacedError(("population",), self.population, expected)
        size = self.generation
        if size is not None and self.trials < GENERATIONS * size:
            expected = (
                f"at least {GENERATIONS * size} trials, {GENERATIONS} generations of {size}: those of the first are "
                "drawn at random. Raise it, or lower `population`"
            )
            raise MisplacedError(("trials",), self.trials, expected)
        return self

    @property
    def objectives(self) -> tuple[str, ...]:
        """Return the metrics to be lowered, one or two."""
        return (self.objective,) if isinstance(self.objective, str) else self.objective

    @property
    def generation(self) -> int | None:
        """Return the points of a generation as far as they are fixed; None: there are none, or Optuna's own number."""
        return self.population or (POPULATION if self.sampler == "nsga2" else None)

    @property
    def is_pruned(self) -> bool:
        """Return whether trainings may be ended before their time."""
        return self.pruner != "none"
