"""The recipe of a stage with what is left to default written out, and nothing in it that the stage does not use."""

from __future__ import annotations

from fractions import Fraction
from math import gcd, lcm

from mfsweep.plan.expand import LiveStage
from mfsweep.plan.names import has_forces
from mfsweep.quantities import metric_path
from mfsweep.spec.load import Spec
from mfsweep.spec.stage import Lora, LossWeights, Rates, Recipe


def recipe(spec: Spec, live: LiveStage) -> Recipe:
    """Return the recipe as it enters the stage's identity."""
    own = live.stage.recipe()
    methods = live.mixture.methods
    adapters = (own.lora or Lora()) if own.trainable == "lora" else None
    trainable = own.trainable if own.trainable != "all" else None
    rate = own.learning_rate
    if isinstance(rate, Rates) and (trainable == "readouts" or not rate.backbone):
        trainable, rate = "readouts", rate.readouts  # the rate of a backbone that is frozen acts on nothing
    elif isinstance(rate, Rates) and rate.backbone == rate.readouts:
        rate = rate.backbone
    return own.but(
        learning_rate=rate,
        loss={method: loss_weights(spec, live, method) for method in methods},
        select_on=_select_on(own.select_on, methods),
        trainable=trainable,
        lora=adapters,
    )


def loss_weights(spec: Spec, live: LiveStage, method: str) -> LossWeights:
    """Return lambda_E and lambda_F of a label method: as written, else by default, without what `use` leaves out."""
    weights = live.stage.loss.get(method)
    if weights is None:
        forces = has_forces(spec, live, method)
        weights = LossWeights(energy=1, forces=1) if forces else LossWeights(energy=100, forces=0)
    use = live.mixture.uses.get(method)
    if use is None:
        return weights
    return LossWeights(energy=weights.energy if "energy" in use else 0, forces=weights.forces if "forces" in use else 0)


def _select_on(asked: str | dict[str, float] | None, methods: tuple[str, ...]) -> str | dict[str, float]:
    """Return the criterion in its one spelling: whole paths, and weights in their least whole-numbered ratio."""
    if not isinstance(asked, dict):
        return _whole_path(asked or "validation.loss", methods)
    weights: dict[str, Fraction] = {}
    for path, weight in asked.items():
        whole = _whole_path(path, methods)
        # By its decimal digits: 0.1 and 0.3 are as 1 and 3, though not for the machine.
        weights[whole] = weights.get(whole, Fraction(0)) + Fraction(repr(weight))
    if len(weights) == 1:
        return next(iter(weights))
    over, under = ([getattr(own, name) for own in weights.values()] for name in ("numerator", "denominator"))
    unit = Fraction(gcd(*over), lcm(*under))
    return {path: float(weight / unit) for path, weight in sorted(weights.items())}


def _whole_path(path: str, methods: tuple[str, ...]) -> str:
    """Return a metric's path with the method that an only one need not name."""
    if len(methods) == 1 and path.count(".") == 1:
        return metric_path("validation", methods[0], path.partition(".")[2])
    return path
