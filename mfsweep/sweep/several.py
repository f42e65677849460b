"""Several specs, one after another in one store and on one Ray cluster."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console

from mfsweep.analysis.index import write_index
from mfsweep.errors import MfsweepError
from mfsweep.files import FULL_DISK, near
from mfsweep.masking import masked
from mfsweep.prepare import Plan
from mfsweep.run import cluster
from mfsweep.run.sweep import RunSummary
from mfsweep.store.remote import copied_from
from mfsweep.sweep import running
from mfsweep.sweep.places import refuse_relative_databases, refuse_relative_store
from mfsweep.sweep.reports import refuse_same_names
from mfsweep.sweep.until import RunEnding

WRONG = 2
"""Exit code of a spec whose resources or tracking server were refused, or that a defect of ours broke off."""


@dataclass
class SweepsOutcome:
    """How the runs of several specs ended."""

    summaries: dict[str, RunSummary] = field(default_factory=dict)
    """Spec name -> how it ended, of those that ran."""
    refused: int = 0
    """Specs that could not begin, or broke off."""
    full: int = 0
    """Specs that a full disk broke off."""

    @property
    def exit_code(self) -> int:
        """Return the worst of the specs': 130 interrupted, 2 refused, 1 a stage failed, 0 all done."""
        return max(
            [WRONG if self.refused else int(self.full > 0), *(summary.exit_code for summary in self.summaries.values())]
        )

    @property
    def is_interrupted(self) -> bool:
        """Return whether the user ended it."""
        return any(summary.interrupted for summary in self.summaries.values())

    def counts(self) -> dict[str, int]:
        """Return the stages that were run, reused, failed, skipped and pruned, all specs together."""
        return {
            count: sum(getattr(summary, count) for summary in self.summaries.values())
            for count in ("run", "reused", "failed", "skipped", "pruned")
        }

    def sentence(self) -> str:
        """Return in a line how they ended."""
        said = ", ".join(f"{number} {count}" for count, number in self.counts().items() if number or count == "run")
        end = "interrupted" if self.is_interrupted else "the disk is full" if self.full else "ended"
        return f"{', '.join(self.summaries) or 'the run'} {end}: {said}"

    def as_json(self) -> dict[str, Any]:
        """Return the counts, and each stage that failed, was pruned, or was not run because of that, and why."""
        return {
            **self.counts(),
            "interrupted": self.is_interrupted,
            "disk_full": bool(self.full) or any(summary.full for summary in self.summaries.values()),
            "failed_stages": self._stages("failures"),
            "skipped_stages": self._stages("not_run"),
            "pruned_stages": self._stages("given_up"),
        } | next(({"until": one.until.model_dump()} for one in self.summaries.values() if one.until), {})

    def _stages(self, which: str) -> list[dict[str, str]]:
        return [
            {"spec": name, **one.as_json()}
            for name, summary in self.summaries.items()
            for one in getattr(summary, which)
        ]


def admit(plans: Sequence[Plan], store: Path, tracking_uri: str | None) -> None:
    """Refuse to begin what cannot end well.

    Args:
        plans: what is to be run.
        store: their store, as the user has named it.
        tracking_uri: in place of the specs' own.

    Raises:
        SpecError: two specs of one name; inside a Ray job, a database that would be lost with it.
        StoreError: inside a Ray job, a store that would be lost; a storage that cannot be written.
        TrackingError: likewise an option.
    """
    refuse_same_names(plans)
    refuse_relative_store(store)
    for plan in plans:
        refuse_relative_databases(plan, tracking_uri)
    if (remote := copied_from(plans[0].store)) is not None:
        remote.prepare()


def run(
    plans: Sequence[Plan],
    console: Console,
    tracking_uri: str | None,
    failed: Callable[[str, str, str], object] | None = None,
    ending: RunEnding | None = None,
) -> SweepsOutcome:
    """Run plans, each on what the ones before it have left to do; write the page of all their reports.

    One that fails, cannot begin or meets a defect of ours does not keep the others from running; an interrupt ends all.

    Args:
        plans: to be run, in their order.
        console: where it is said.
        tracking_uri: in place of the specs' own.
        failed: is told the name of the spec, the stage and the reason as soon as a stage fails.
        ending: at which a single plan ends.

    Raises:
        MfsweepError: a single plan could not begin.
    """
    outcome = SweepsOutcome()
    if len(plans) == 1:
        outcome.summaries[plans[0].name] = running.run(
            plans[0].again(), console, tracking_uri, failed=failed, ending=ending
        )
        return outcome
    try:
        with _one_cluster(plans):
            _run_each(plans, console, tracking_uri, outcome, failed)
    finally:
        reported = [name for name in outcome.summaries if plans[0].store.sweep(name).report.exists()]
        index = write_index(plans[0].store, reported) if reported else None
    if not outcome.is_interrupted:
        _say_end(plans, console, outcome)
        if index:
            console.print(f"All reports: {near(index)}", soft_wrap=True)
    return outcome


def _run_each(
    plans: Sequence[Plan],
    console: Console,
    tracking_uri: str | None,
    outcome: SweepsOutcome,
    failed: Callable[[str, str, str], object] | None,
) -> None:
    for plan in plans:
        console.print(f"\n{plan.name}: {near(plan.spec.document.path.absolute())}", style="bold")
        try:
            outcome.summaries[plan.name] = running.run(plan.again(), console, tracking_uri, plans, failed)
        except MfsweepError as error:
            outcome.refused += 1
            console.print(f"{plan.name} did not run: {error}", style="red", soft_wrap=True, markup=False)
        except Exception as error:  # noqa: BLE001 (a defect of ours, said with its traceback: the other specs are none of it)
            full = isinstance(error, OSError) and error.errno in FULL_DISK
            outcome.full += full
            outcome.refused += not full
            why = f"the disk is full ({error})" if full else f"\n{masked(traceback.format_exc())}"
            console.print(f"{plan.name} broke off: {why}", style="red", soft_wrap=True, markup=False)
        if outcome.is_interrupted:
            return


def smoke(plans: Sequence[Plan], console: Console) -> SweepsOutcome:
    """Try out each plan."""
    with _one_cluster(plans):
        return SweepsOutcome({plan.name: running.smoke(plan, console) for plan in plans})


@contextlib.contextmanager
def _one_cluster(plans: Sequence[Plan]) -> Iterator[None]:
    """Keep one Ray cluster for all plans; a single one opens its own, and without anything to train none is needed."""
    if len(plans) == 1 or all(len(plan.done) == len(plan.graph.nodes) for plan in plans):
        yield
        return
    with cluster.connected(dashboard=any(plan.in_groups for plan in plans)):
        yield


def _say_end(plans: Sequence[Plan], console: Console, outcome: SweepsOutcome) -> None:
    counts = outcome.counts()
    console.print(
        f"\n{len(plans)} specs: {counts['run']} stages run, {counts['reused']} reused, {counts['failed']} failed"
        + (f"; {outcome.refused} specs did not run to their end" if outcome.refused else "")
    )
