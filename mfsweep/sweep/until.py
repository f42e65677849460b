"""`mfsweep run --until`: a grid is trained in rounds, first what narrows the named quantity most for its price.

Each round ends in a look at the records (analysis/looks.py). What was chosen is kept in the store, so that the same
command goes on where it stopped; what else the store has of the grid counts too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from mfsweep.errors import SpecError, StoreError
from mfsweep.plan.condition import Condition, parse
from mfsweep.plan.graph import StageGraph
from mfsweep.prepare import Plan
from mfsweep.prepare.inventory import take
from mfsweep.quantities import count
from mfsweep.records import LookRecord, UntilRecord
from mfsweep.run.growing import Growing
from mfsweep.sweep.aims import GradientAim, Outcome, Step, TrainedSoFar
from mfsweep.sweep.prices import StagePrices, prices


def condition_of(text: str, plans: Sequence[Plan]) -> Condition:
    """Return the condition of a command on some plans.

    Raises:
        SpecError: it is none, names what there is not, or cannot be asked of these plans.
    """
    if len(plans) > 1:
        raise SpecError(f"--until {text!r}: got {len(plans)} specs, expected one: a condition is of one spec's law")
    (plan,) = plans
    if plan.spec.searched:
        raise SpecError(f"--until {text!r}: {plan.spec.document.path} is a search, which chooses its points itself")
    condition = parse(text, plan.spec)
    aim_of(plan, condition)
    return condition


def aim_of(plan: Plan, condition: Condition) -> GradientAim:
    """Return what a condition aims at.

    Raises:
        SpecError: the grid cannot give it.
    """
    if condition.fit is None:
        raise SpecError(f"--until {condition.text!r}: the regret of a decision is not reckoned yet: name a gradient")
    return GradientAim(plan, condition)


@contextlib.contextmanager
def opened(plan: Plan, condition: Condition, say: Callable[[str], object]) -> Iterator[Until]:
    """Give the run of a plan until a condition, held against other processes.

    Raises:
        StoreError: another process runs it.
        SpecError: the grid cannot give what the condition names.
    """
    folder = plan.store.sweep(plan.name)
    with folder.claim() as mine:
        if not mine:
            raise StoreError(
                f"{folder.path}: another process runs this sweep. Wait for its end: two would choose twice"
            )
        yield Until(plan, condition, say)


class Until(Growing):
    """The part of a grid that has been chosen so far.

    Args:
        plan: of the whole grid.
        condition: at which it ends.
        say: is told what is chosen, and why.
    """

    def __init__(self, plan: Plan, condition: Condition, say: Callable[[str], object]) -> None:
        self._whole = plan
        self._condition = condition
        self._say = say
        self._aim = aim_of(plan, condition)
        self._folder = plan.store.sweep(plan.name)
        self._lost: set[str] = set()
        """Keys of stages that ended in this run and are not done."""
        before = self._folder.until()
        mine = before is not None and before.named == condition.named
        self.record = UntilRecord(
            condition=condition.text,
            named=condition.named,
            chosen=before.chosen if before and mine else [],
            looks=before.looks if before and mine else [],
        )
        self._chosen = {
            place for place, planned in enumerate(plan.graph.cells) if planned.cell.values in self.record.chosen
        }
        self._pending: set[str] = set()
        self._take(())
        if self._pending:
            say(f"{condition.text}: {count(len(self._pending), 'stage')} of those chosen before are left to train")
        self.advance()

    @property
    def progress(self) -> str:
        """Return how far it is."""
        looks = self.record.looks
        width = _half_width(looks[-1]) if looks else None
        said = f"round {len(looks)} until {self._condition.text}"
        return said if width is None else f"{said}, now {width:.2g}"

    def advance(self, ended: Iterable[str] = ()) -> None:
        """Look, and choose what comes next, when all that was chosen has ended."""
        self._lost |= {key for key in ended if key in self._pending and not self.plan.is_done(key)}
        self._pending = {key for key in self._pending - self._lost if not self.plan.is_done(key)}
        while not self._pending and self.record.met is None:
            self._follow()

    def _follow(self) -> None:
        whole = self._whole.again()
        priced = prices(whole)
        look, said = self._aim.follow(TrainedSoFar(whole.done, frozenset(self._lost), priced))
        looks = self.record.looks
        if not looks or (looks[-1].cells, looks[-1].value) != (look.cells, look.value):
            looks = [*looks, look]
        if isinstance(said, Outcome):
            self._keep(looks=looks, outcome=said.said, met=said.met)
            return
        self._say("\n".join(_lines(self._whole, self._condition, look, said, priced, len(looks))))
        self._take(cell for step in said for cell in step.cells)
        chosen = [dict(self._whole.graph.cells[place].cell.values) for place in sorted(self._chosen)]
        self._keep(looks=looks, chosen=chosen)

    def _take(self, cells: Iterable[int]) -> None:
        """Add cells to the plan."""
        self._chosen |= set(cells)
        graph = self._whole.graph
        needed = {key for place in self._chosen for key in graph.cells[place].keys.values()}
        part = StageGraph(
            {key: node for key, node in graph.nodes.items() if key in needed},
            [graph.cells[place] for place in sorted(self._chosen)],
        )
        self.plan = replace(self._whole, graph=part, inventory=take(self._whole.store, part))
        self._pending = {key for key in needed - self._lost if key not in self.plan.done}

    def _keep(self, **changes: Any) -> None:
        self.record = self.record.model_copy(update=changes)
        self._folder.write_until(self.record)


def foreseen(plan: Plan, condition: Condition) -> list[str]:
    """Return what a run until a condition would begin with, and what it is expected to come to, in lines."""
    aim, priced = aim_of(plan, condition), prices(plan)
    now = TrainedSoFar(plan.done, frozenset(), priced)
    look, said = aim.follow(now)
    if isinstance(said, Outcome):
        return [said.said]
    expected, spent, whole = aim.foresee(now)
    rests = "as they have so far" if look.value is not None else "by 10 % a training, which is assumed"
    share = f"{priced.text(spent)} of the grid's {priced.text(whole)} ({spent / whole:.0%})" if whole else "nothing"
    rounds = f"{count(expected.rounds, 'round')}, {len(expected.slots)} of {len(aim.cells)} cells, {share}"
    ends = f"it is met after {rounds}" if expected.half_width < condition.target else f"it is not met: {rounds}"
    lines = _lines(plan, condition, look, said, priced, 1)
    return [*lines, f"If points lie apart {rests}, {ends}; half-width {expected.half_width:.2g}."]


def _lines(
    plan: Plan, condition: Condition, look: LookRecord, steps: Sequence[Step], priced: StagePrices, number: int
) -> list[str]:
    """Return what is chosen in a round, a line a choice, and why."""
    width = _half_width(look)
    now = f"half-width {width:.2g} of {count(look.cells, 'cell')}" if width is not None else "no interval yet"
    total = priced.text(sum(step.price for step in steps))
    cells = count(sum(len(step.cells) for step in steps), "cell")
    lines = [f"round {number} until {condition.text}: {now}; {cells} for {total} are next"]
    for step in steps:
        after = f"{step.before:.2g} -> {step.after:.2g} expected" if step.before < float("inf") else "identify the law"
        lines.append(f"  {_text(plan, step.cells)}: {after}, {priced.text(step.price)}")
    return lines


def _half_width(look: LookRecord) -> float | None:
    return None if look.low is None or look.high is None else (look.high - look.low) / 2


def _text(plan: Plan, places: Sequence[int]) -> str:
    """Return the values of some cells on the axes on which the cells of the grid differ."""
    every = [planned.cell.values for planned in plan.graph.cells]
    axes = dict.fromkeys(axis for values in every for axis in values)
    told = [axis for axis in axes if len({repr(values.get(axis)) for values in every}) > 1]
    mine = [every[place] for place in places]
    parts = []
    for axis in told:
        values = dict.fromkeys(str(values.get(axis, "-")) for values in mine)
        parts.append(f"{axis}={','.join(values)}")
    return " ".join(parts)
