"""`mfsweep run --until`: a grid is trained in rounds, first what sharpens the named quantity most for its price.

Each round ends in a look at the records (analysis/looks.py, analysis/budget/rounds.py). What was chosen is kept in the
store, so that the same command goes on where it stopped; what else the store has of the grid counts too.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from mfsweep.errors import SpecError, StoreError
from mfsweep.plan.condition import REGRET, Condition, parse
from mfsweep.plan.graph import StageGraph
from mfsweep.prepare import Plan
from mfsweep.prepare.inventory import take
from mfsweep.quantities import count
from mfsweep.records import LookRecord, UntilRecord
from mfsweep.run.growing import Growing
from mfsweep.sweep.aims import GradientAim, Outcome, RunAim, Step, TrainedSoFar
from mfsweep.sweep.budget import BudgetOptions
from mfsweep.sweep.prices import StagePrices, prices
from mfsweep.sweep.regret_aim import RegretAim


class RunEnding(NamedTuple):
    """At which a run ends."""

    condition: Condition
    decision: BudgetOptions
    """What is asked of the budget whose regret is named."""


def ending_of(text: str, plans: Sequence[Plan], decision: BudgetOptions | None = None) -> RunEnding:
    """Return at which the run of some plans ends.

    Args:
        text: the condition of the command.
        plans: of the command.
        decision: what else it says of the budget; None: nothing.

    Raises:
        SpecError: it is no condition, names what there is not, or cannot be asked of these plans.
        FitError: of the budget.
    """
    if len(plans) > 1:
        raise SpecError(f"--until {text!r}: got {len(plans)} specs, expected one: a condition is of one spec's law")
    (plan,) = plans
    if plan.spec.searched:
        raise SpecError(f"--until {text!r}: {plan.spec.document.path} is a search, which chooses its points itself")
    condition, decision = parse(text, plan.spec), decision or BudgetOptions()
    if condition.fit is not None and (words := decision.words()):
        raise SpecError(f"--until {text!r}: got {words[0]}, which is of `{REGRET}`, not of a gradient: leave it out")
    ending = RunEnding(condition, decision)
    aim_of(plan, ending)
    return ending


def aim_of(plan: Plan, ending: RunEnding) -> RunAim:
    """Return what a run aims at.

    Raises:
        SpecError: the grid cannot give it.
        FitError: of the budget.
    """
    if ending.condition.fit is None:
        return RegretAim(plan, ending.condition, ending.decision)
    return GradientAim(plan, ending.condition)


@contextlib.contextmanager
def opened(plan: Plan, ending: RunEnding, say: Callable[[str], object]) -> Iterator[Until]:
    """Give the run of a plan until a condition, held against other processes.

    Raises:
        StoreError: another process runs it.
        SpecError: the grid cannot give what the condition names.
    """
    folder = plan.store.sweep(plan.name)
    with folder.claim(say) as mine:
        if not mine:
            raise StoreError(
                f"{folder.path}: another process runs this sweep. Wait for its end: two would choose twice"
            )
        yield Until(plan, ending, say)


class Until(Growing):
    """The part of a grid that has been chosen so far.

    Args:
        plan: of the whole grid.
        ending: at which it ends.
        say: is told what is chosen, and why.
    """

    def __init__(self, plan: Plan, ending: RunEnding, say: Callable[[str], object]) -> None:
        self._whole = plan
        self._condition = condition = ending.condition
        self._say = say
        self._aim = aim_of(plan, ending)
        self._folder = plan.store.sweep(plan.name)
        self._lost: set[str] = set()
        """Keys of stages that ended in this run and are not done."""
        before = self._folder.until()
        mine = before is not None and before.named == self._aim.named
        self.record = UntilRecord(
            condition=condition.text,
            named=self._aim.named,
            options=list(self._aim.options),
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
        standing = self._aim.standing(looks[-1]) if looks else None
        said = f"round {len(looks)} until {self._condition.text}"
        return said if standing is None else f"{said}, now {standing}"

    def advance(self, ended: Iterable[str] = ()) -> None:
        """Look, and choose what comes next, when all that was chosen has ended."""
        self._lost |= {key for key in ended if key in self._pending and not self.plan.is_done(key)}
        self._pending = {key for key in self._pending - self._lost if not self.plan.is_done(key)}
        while not self._pending and self.record.met is None:
            self._follow()

    def _follow(self) -> None:
        whole = self._whole.again()
        priced = prices(whole)
        look, said = _followed(self._aim, self._condition, TrainedSoFar(whole.done, frozenset(self._lost), priced))
        looks = self.record.looks
        if not looks or (looks[-1].cells, looks[-1].value, looks[-1].high) != (look.cells, look.value, look.high):
            looks = [*looks, look]
        if isinstance(said, Outcome):
            self._keep(looks=looks, outcome=said.said, met=said.met)
            return
        head = f"round {len(looks)} until {self._condition.text}"
        self._say("\n".join(_lines(self._whole, self._aim, head, look, said, priced)))
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


def foreseen(plan: Plan, ending: RunEnding) -> list[str]:
    """Return what a run until a condition would begin with, and what it is expected to come to, in lines."""
    aim, priced = aim_of(plan, ending), prices(plan)
    now = TrainedSoFar(plan.done, frozenset(), priced)
    look, said = _followed(aim, ending.condition, now)
    if isinstance(said, Outcome):
        return [said.said]
    return [*_lines(plan, aim, f"round 1 until {ending.condition.text}", look, said, priced), aim.expect(now)]


def _followed(aim: RunAim, condition: Condition, now: TrainedSoFar) -> tuple[LookRecord, list[Step] | Outcome]:
    """Return what an aim says, or that it ends where that is neither an end nor anything to train."""
    look, said = aim.follow(now)
    if said:
        return look, said
    return look, Outcome(
        False,
        f"{condition.text}: not met, and no cell that is left is expected to bring it nearer.",
    )


def _lines(
    plan: Plan, aim: RunAim, head: str, look: LookRecord, steps: Sequence[Step], priced: StagePrices
) -> list[str]:
    """Return what is chosen in a round, a line a choice, and why."""
    standing = aim.standing(look)
    now = f"{standing} by {count(look.cells, 'cell')}" if standing is not None else aim.nothing
    total = priced.text(sum(step.price for step in steps))
    cells = count(sum(len(step.cells) for step in steps), "cell")
    lines = [f"{head}: {now}; {cells} for {total} are next"]
    return lines + [f"  {_text(plan, step.cells)}: {aim.effect(step)}, {priced.text(step.price)}" for step in steps]


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
