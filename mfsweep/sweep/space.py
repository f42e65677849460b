"""What `mfsweep run` says before it begins when the store's disk cannot hold what it is going to write."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence

from rich.console import Console

from mfsweep.plan.space import space
from mfsweep.prepare import Plan
from mfsweep.quantities import count


def warn_of_space(plans: Sequence[Plan], console: Console) -> None:
    """Say that the disk under the store is too small for plans, by estimate, if it is."""
    store = plans[0].store
    nodes = {key: node for plan in plans for key, node in plan.graph.nodes.items() if key not in plan.done}
    if not nodes:
        return
    known: dict[str, int] = {}
    for plan in plans:
        for key in plan.done:
            model = plan.graph.nodes[key].training.model.key
            if model not in known and (record := store.stage(key).record()):
                known[model] = record.parameters
    needed = space(nodes.values(), known).needed(min(len(nodes), os.cpu_count() or 1))
    folder = next(path for path in (store.root, *store.root.parents) if path.is_dir())
    free = shutil.disk_usage(folder).free
    if needed > free:
        console.print(
            f"warning: the disk of {store.root} has {_in_words(free)} free, and {count(len(nodes), 'stage')} take "
            f"about {_in_words(needed)} by estimate. Stages that find it full wait until there is room",
            style="yellow",
            soft_wrap=True,
            markup=False,
        )


def _in_words(size: float) -> str:
    unit, name = next((one for one in ((1e9, "GB"), (1e6, "MB")) if size >= 10 * one[0]), (1e3, "kB"))
    return f"{size / unit:,.0f} {name}"
