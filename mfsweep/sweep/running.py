"""One plan is run: trained, fitted, reported and mirrored; what goes on is said on a console."""

from __future__ import annotations

import contextlib
import shlex
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

from rich.console import Console
from rich.text import Text

from mfsweep.errors import StoreError
from mfsweep.files import near
from mfsweep.models import overlay
from mfsweep.plan.kinds import kinds
from mfsweep.plan.smoke import smoke_graph
from mfsweep.prepare import Plan
from mfsweep.prepare.inventory import Inventory
from mfsweep.prepare.points import tried
from mfsweep.run import cluster, orphans, sweep
from mfsweep.run.growing import Growing
from mfsweep.run.mlflow_names import link
from mfsweep.run.progress import SweepDisplay, waiting
from mfsweep.run.room import Room
from mfsweep.run.sweep import RunSummary
from mfsweep.run.tracking import Tracker, Untracked
from mfsweep.store import DEFAULT_STORE, StoreFolder
from mfsweep.store.remote import copied_from
from mfsweep.store.remote.objects import in_sentences
from mfsweep.sweep import results, searching, until
from mfsweep.sweep.came_out import CameOut, came_out
from mfsweep.sweep.prices import expected
from mfsweep.sweep.requirements import require_same_versions
from mfsweep.sweep.tracking import loading, mirror_others, tracked, uri_of_spec

if TYPE_CHECKING:
    from mfsweep.run.search import SearchPlan


def run(
    plan: Plan,
    console: Console,
    tracking_uri: str | None,
    among: Sequence[Plan] = (),
    failed: Callable[[str, str, str], object] | None = None,
    ending: until.RunEnding | None = None,
) -> RunSummary:
    """Train what the store lacks, fit, report, and say what came out and how to go on.

    Args:
        plan: what to run.
        console: where it is said.
        tracking_uri: in place of the spec's and the store's own.
        among: the plans of the whole command, where there are several: an interrupt ends them all.
        failed: is told the name of the spec, the stage and the reason as soon as a stage fails.
        ending: at which it ends, with only a part of the grid trained.

    Raises:
        SpecError: the grid cannot give what the condition names.
        StoreError: the store cannot be written, or has stages of other versions where the spec forbids it.
        ResourceError: the cluster can never serve a stage.
        TrackingError: the tracking server cannot be used.
    """
    plan.store.prepare()
    require_same_versions(plan, here=True)
    with plan.store.sweep(plan.name).run(), _growing(plan, ending, console) as growing:
        summary, sentences = _run(plan, growing, console, tracking_uri, among or [plan], failed)
    _share_sweep(plan, console)
    _say_end(plan, console, summary, among or [plan])
    for sentence in sentences:
        console.print(sentence, style="bold", soft_wrap=True, markup=False)
    return summary


def _run(
    plan: Plan,
    growing: Growing | None,
    console: Console,
    tracking_uri: str | None,
    among: Sequence[Plan],
    failed: Callable[[str, str, str], object] | None,
) -> tuple[RunSummary, list[str]]:
    folder = plan.store.sweep(plan.name)
    folder.write_spec(plan.spec.document.text)
    part = growing.plan if growing else plan
    # The points of a search are all that there is of it; of a grid that is trained in part, the whole is shown.
    search = None if isinstance(growing, until.Until) else cast("SearchPlan | None", growing)
    plan = search.plan if search else plan
    folder.write_cells(plan.cells())
    uri = tracking_uri or uri_of_spec(plan)
    with _room(part, console, loading(plan, uri), plan) as room, tracked(plan, uri, console) as tracker:
        summary = _trained(part, room, console, tracker.tracker, growing, failed)
        if isinstance(growing, until.Until):
            summary = replace(summary, until=growing.record)
        if search:
            plan = search.plan
            folder.write_cells(plan.cells())
        broken_off = summary.interrupted or summary.full
        tracker.status = "KILLED" if broken_off else "FAILED" if summary.failed else "FINISHED"
        if not broken_off:
            tracker.artifacts, tracker.came_out = _show_results(plan, console)
            tracker.artifacts.append(folder.spec)
            view, mirror = tracker.came_out.view, tracker.tracker
            if uri and uri.startswith("http") and view and isinstance(mirror, Tracker):
                console.print(f"Runs: {link(uri, mirror.experiment, view.key)}", soft_wrap=True)
            if search:
                tracker.came_out.tags |= searching.show(plan, console, search.failed, search.refused)
                tracker.artifacts.append(folder.search)
    if not broken_off and uri is None and isinstance(tracker.tracker, Tracker):
        mirror_others(plan, among, console)
    return summary, tracker.came_out.sentences


@contextlib.contextmanager
def _growing(plan: Plan, ending: until.RunEnding | None, console: Console) -> Iterator[Growing | None]:
    """Give what adds to a plan while it runs, held against other processes: a search, or a run until a condition."""

    def say(text: str, style: str | None = "yellow") -> None:
        console.print(text, style=style, soft_wrap=True, markup=False, highlight=False)

    if ending is not None:
        with until.opened(plan, ending, lambda text: say(text, None)) as part:
            yield part
        return
    plan.store.sweep(plan.name).write_until(None)
    if plan.spec.experiment.search is None:
        yield None
        return
    from mfsweep.run.search import opened  # Optuna takes a third of a second to import

    with opened(plan, say) as search:
        yield search


def _share_sweep(plan: Plan, console: Console) -> None:
    """Put the report and what else belongs to the spec beside the stages, where the store is at a URL."""
    if (remote := copied_from(plan.store)) is None:
        return
    try:
        with in_sentences(remote.url):
            remote.push_sweep(plan.store.sweep(plan.name))
    except StoreError as error:
        console.print(f"The report stays in {plan.store.root}: {error}", style="yellow", soft_wrap=True, markup=False)


def smoke(plan: Plan, console: Console) -> RunSummary:
    """Run a few steps and one evaluation of each kind of stage in a store that is thrown away; say how it went."""
    graph = smoke_graph(_tried(plan).graph)
    # In the store's folder, which every node sees: a cluster's head and its workers need not share a /tmp.
    plan.store.prepare()
    plan.store.scratch.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="smoke-", dir=plan.store.scratch) as folder:
        small = replace(plan, graph=graph, store=StoreFolder(Path(folder)), inventory=Inventory())
        summary = trained_alone(small, console)
        for failure in summary.failures:
            said = failure.log.read_text(encoding="utf-8") if failure.log.exists() else "it left no log"
            console.print(Text(f"failed: {failure.stage}\n{said}", style="red"))
    console.print(f"smoke: {summary.run} of {len(graph.nodes)} stages ran, {summary.failed} failed; nothing was kept")
    return summary


def trained_alone(plan: Plan, console: Console) -> RunSummary:
    """Train what the store of a plan lacks, and nothing else: no results, no tracking."""
    plan.store.prepare()
    with _room(plan, console) as room:
        return _trained(plan, room, console, Untracked())


def _tried(plan: Plan) -> Plan:
    """Return the plan; of a search, which may have asked for nothing yet, with points of each study."""
    return plan.extended(tried(plan.spec)) if plan.spec.searched else plan


@contextlib.contextmanager
def _room(
    plan: Plan,
    console: Console,
    beside: contextlib.AbstractContextManager[None] | None = None,
    whole: Plan | None = None,
) -> Iterator[Room | None]:
    """Give the room on the cluster, which is there meanwhile; with nothing to do, none is started.

    Before the tracker: resources that are refused leave no run in it.

    Args:
        plan: what is to be run.
        console: where it is said.
        beside: what is done while the cluster starts.
        whole: what `plan` may grow to; by default it does not.

    Raises:
        ResourceError: the cluster can never serve a stage, or a stage's overlay is missing.
    """
    if len(plan.done) == len(plan.graph.nodes):
        yield None
        return
    whole = whole or plan
    missing = [node for key, node in whole.graph.nodes.items() if key not in whole.done]
    require_overlays(plan)
    with contextlib.ExitStack() as stack:
        with (
            waiting(console, "Looking for a Ray cluster, or starting one here ..."),
            beside or contextlib.nullcontext(),
        ):
            where = stack.enter_context(cluster.connected(dashboard=whole.in_groups))
            room = Room(kinds([*missing, *whole.tried.nodes.values()]))
        console.print(f"On {where}: {room}", soft_wrap=True)
        if leaked := orphans.release_leaked():
            console.print(f"Gave back what {leaked} worker group(s) of ended jobs still held.")
        stack.callback(room.leave)
        yield room


def require_overlays(plan: Plan) -> None:
    """Refuse to begin without the packages of an architecture that is to be trained.

    Raises:
        ResourceError: with the command that installs them.
    """
    missing = [node for key, node in plan.graph.nodes.items() if key not in plan.done]
    for architecture in sorted({node.training.model.architecture for node in missing}):
        overlay.require(architecture)


def _trained(
    plan: Plan,
    room: Room | None,
    console: Console,
    tracker: Tracker | Untracked,
    growing: Growing | None = None,
    failed: Callable[[str, str, str], object] | None = None,
) -> RunSummary:
    with SweepDisplay(console, plan.graph, plan.done) as display:
        if failed:
            display.failed = lambda key, stage: failed(plan.name, stage, plan.store.stage(key).failure() or "no word")
        if growing:
            display.grow(plan.graph, growing.progress)
        return sweep.run(plan, room, display, tracker, growing, expected(plan))


def _show_results(plan: Plan, console: Console) -> tuple[list[Path], CameOut]:
    """Print the laws and write the sweep's files; return those that belong into MLflow, and what came out."""
    shown = results.analyse(plan)
    shown.print(console)
    shown.write_points()
    written = shown.write()
    console.print(f"Report: {near(written[-1])}", soft_wrap=True)
    return list(written), came_out(shown.analysis, plan.graph, shown.conclusions)


def _command(plans: Sequence[Plan]) -> str:
    """Return the command that runs specs again, whole grids."""
    store = plans[0].store.name
    files = " ".join(str(plan.spec.document.path) for plan in plans)
    return f"mfsweep run {files}" + ("" if store == str(DEFAULT_STORE) else f" --store {store}")


def _say_end(plan: Plan, console: Console, summary: RunSummary, among: Sequence[Plan]) -> None:
    for failure in summary.failures:
        why = f"{failure.reason.strip().splitlines()[0]}, see {failure.log}"
        console.print(f"failed: {failure.stage}: {why}", style="red", soft_wrap=True, markup=False)
    after_failures = summary.skipped and not summary.pruned
    console.print(
        f"{summary.run} stages run, {summary.reused} reused, {summary.failed} failed"
        + (f", {summary.pruned} pruned" if summary.pruned else "")
        + (f", {summary.skipped} not run" if summary.skipped else "")
        + (" because of that" if after_failures else "")
    )
    if summary.pruned:
        console.print(
            "What was pruned keeps its checkpoint: with `pruner: none` the next run trains it to its end.",
            soft_wrap=True,
        )
    words = ["--until", summary.until.condition, *summary.until.options] if summary.until else []
    asked = "".join(f" {shlex.quote(word)}" for word in words)
    if summary.full:
        console.print(
            f"The disk of {plan.store.root} is full. What was done stays. Make room and go on with: "
            f"{_command(among)}{asked}",
            style="red",
            soft_wrap=True,
        )
    elif summary.interrupted:
        console.print(f"Interrupted. Go on with: {_command(among)}{asked}", soft_wrap=True)
    elif summary.failed:
        console.print(f"Run it again to try the failed stages once more: {_command([plan])}{asked}", soft_wrap=True)
    elif summary.until:
        console.print(f"The rest of the grid is trained by: {_command([plan])}", soft_wrap=True)
    else:
        more = "raise search.trials" if plan.spec.searched else "add a value to an axis"
        console.print(f"Next: `mfsweep ui` opens the table of the runs; {more} and run again: only that is new.")
