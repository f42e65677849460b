"""`mfsweep bench`: measures what `mfsweep plan` reckons with."""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from rich.console import Console

from mfsweep.errors import ResourceError, TrainingError
from mfsweep.models import overlay
from mfsweep.plan.cost import BatchWork, MeasuredSeconds, works
from mfsweep.prepare import Plan
from mfsweep.sweep.cost_tables import keep
from mfsweep.sweep.estimate import model_name
from mfsweep.train.bench import Settings, device_name, here, seconds_per_batch, torch_version


def bench(plans: Sequence[Plan], console: Console, steps: int, device: str | None) -> list[MeasuredSeconds]:
    """Measure each kind of batch that plans draw, and keep it in their store.

    Args:
        plans: what is planned, in one store.
        console: shows each kind as it is measured.
        steps: timed batches of each kind.
        device: as torch names it. Default: a GPU if there is one.
    """
    threads = max(1, int(plans[0].spec.experiment.resources.cpus_per_worker))
    precision = plans[0].spec.experiment.precision
    settings = Settings(device or here(), precision, steps=steps, threads=threads)
    name, version = device_name(settings), torch_version()
    console.print(f"On {name}, torch {version}: seconds per batch, the median of {steps}.", soft_wrap=True)
    rows: list[MeasuredSeconds] = []
    for work in _kinds(plans):
        labels = "energy and forces" if work.forces else "energy"
        shown = f"{model_name(work)}, {work.max_atoms} atoms, {labels}, trained: {work.trainable}"
        try:
            seconds = _measure(work, settings)
        except (ResourceError, TrainingError) as error:
            console.print(f"skipped  {shown}: {error}", style="yellow", soft_wrap=True, markup=False)
            continue
        console.print(f"{seconds:8.4f}  {shown}", soft_wrap=True)
        rows.append(
            MeasuredSeconds(
                device=name,
                **work._asdict(),
                seconds=seconds,
                torch=version,
                date=dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),
            )
        )
    if rows:
        plans[0].store.prepare()
        keep(plans[0].store, rows)
    return rows


def _kinds(plans: Iterable[Plan]) -> list[BatchWork]:
    """Return the kinds of batches, those of one model together."""
    kinds = {work for plan in plans for node in plan.graph.nodes.values() for work in works(node.training)}
    return sorted(kinds, key=lambda work: (model_name(work), work.max_atoms, work.trainable, work.forces))


def _measure(work: BatchWork, settings: Settings) -> float:
    """Measure here, or in a process of its own where the architecture needs an overlay.

    Raises:
        ResourceError: the overlay is missing, or the process fails.
        TrainingError: the architecture cannot train this way.
    """
    place = overlay.require(work.model.architecture)
    if place is None:
        return seconds_per_batch(
            work.model, work.max_atoms, forces=work.forces, trainable=work.trainable, settings=settings
        )
    asked = {**work._asdict(), "model": work.model.model_dump(mode="json"), "settings": settings._asdict()}
    done = subprocess.run(
        [sys.executable, "-m", "mfsweep.train.bench"],
        input=json.dumps(asked),
        env=os.environ | {"PYTHONPATH": _in_front(place)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it ended without an error message"])[-1]
        raise ResourceError(f"its process ended with {done.returncode}: {last}")
    return float(json.loads(done.stdout.splitlines()[-1]))


def _in_front(place: Path) -> str:
    return os.pathsep.join(filter(None, (str(place), os.environ.get("PYTHONPATH"))))
