"""The file that starts a run on a cluster: a batch script of Slurm, a RayJob of KubeRay, a cluster of Ray on AWS.

One template each, filled in with what the spec's stages need. docs/snippets and cluster.yaml are what these templates
give, and are tested to be.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from jinja2 import Environment, PackageLoader, StrictUndefined

from mfsweep.errors import ResourceError, StoreError
from mfsweep.plan.graph import Node
from mfsweep.plan.kinds import kinds
from mfsweep.prepare import Plan
from mfsweep.spec.resources import Resources
from mfsweep.store.remote import is_url, name_of_store

Where = Literal["slurm", "kuberay", "aws"]
FILES: Mapping[Where, str] = {"slurm": "mfsweep-{}.sh", "kuberay": "rayjob-{}.yaml", "aws": "cluster.yaml"}
"""Where it is written by default, with the spec's name."""
INSTANCES = {0: ("c7i.12xlarge", 48), 1: ("g6.4xlarge", 16), 4: ("g6.12xlarge", 48), 8: ("g6.48xlarge", 192)}
"""GPUs of a worker on AWS -> its instance type, and its CPUs."""
MOST_NODES = 4
"""Nodes at most where the user says nothing."""
CPUS_PER_GPU = 8
CPUS = 32
"""CPUs of a node without GPUs."""


@dataclass(frozen=True)
class Launch:
    """What a run is started with."""

    name: str
    specs: Sequence[str]
    """By their paths on the cluster."""
    store: str
    """By its path there."""
    nodes: int
    """At most, where they come as they are needed."""
    gpus: int
    """GPUs of each node."""
    cpus: int
    """CPUs of each node."""
    options: Sequence[str] = ()
    """Options of `mfsweep run`."""
    hours: int = 24
    """Time limit of a batch job."""
    spot: bool = False
    """Whether the nodes may be taken away."""
    image: str = "registry.example.org/mfsweep:latest"
    """Container with the package."""
    environment: str = "/shared/mfsweep/.venv"
    """Virtual environment with the package, on the shared storage."""

    @property
    def in_storage(self) -> bool:
        """Whether the store is an address of an object storage, of which the run has a working copy."""
        return is_url(self.store)

    @property
    def shared_cache(self) -> str:
        """Where that lies for a batch job: beside its environment, on the shared storage."""
        return str(Path(self.environment).parent / "mfsweep-cache")

    def command(self, *more: str) -> str:
        """Return the command that runs the specs."""
        return shlex.join(["mfsweep", "run", *self.specs, *more, *self.options])


def launch(
    plans: Sequence[Plan],
    where: Where,
    store: Path,
    *,
    nodes: int | None = None,
    gpus: int | None = None,
    cpus: int | None = None,
    options: Sequence[str] = (),
    **more: object,
) -> Launch:
    """Return what specs need there.

    Args:
        plans: of the specs, with the resources of the run.
        where: on which kind of cluster.
        store: on its shared storage.
        nodes: at most; default: as many as there are stages to do side by side, and no more than four.
        gpus: of a node; default: 4, or what a stage needs.
        cpus: of a node.
        options: of the run.
        more: further fields of `Launch`.

    Raises:
        StoreError: the store is no absolute path.
        ResourceError: a stage cannot be served by such nodes.
    """
    if not store.is_absolute():
        raise StoreError(f"--store {store}: expected an absolute path on the cluster's shared storage")
    every = [(plan, own) for plan in plans for own in kinds(_stages(plan)).values()]
    resources = [own for _, own in every]
    gpus = _gpus(resources, where) if gpus is None else gpus
    if where == "aws" and gpus not in INSTANCES:
        raise ResourceError(f"--gpus-per-node {gpus}: on AWS expected one of {', '.join(map(str, INSTANCES))}")
    usual = INSTANCES[gpus][1] if where == "aws" else gpus * CPUS_PER_GPU or max(CPUS, *map(_cpus, resources))
    cpus = usual if cpus is None else cpus
    for plan, each in every:
        if each.gpus_per_worker > gpus or each.cpus_per_worker > cpus:
            raise ResourceError(
                f"{plan.spec.document.path}: a worker needs {each.gpus_per_worker:g} GPU and {each.cpus_per_worker:g} "
                f"CPUs (resources), and a node has {gpus} GPUs and {cpus} CPUs: --gpus-per-node and --cpus-per-node "
                "set them"
            )
    if nodes is None:
        nodes = min(MOST_NODES, max(_nodes(plan, gpus, cpus) for plan in plans))
    specs = [str(plan.spec.document.path.absolute()) for plan in plans]
    name = plans[0].name
    return Launch(name, specs, name_of_store(store), nodes, gpus, cpus, options, **more)  # pyright: ignore[reportArgumentType]


def written(where: Where, launch: Launch) -> str:
    """Return the file."""
    values = {"launch": launch, "ray": version("ray"), "quote": shlex.quote}
    if where == "aws":
        values["instance"] = INSTANCES[launch.gpus][0]
    return _templates().get_template(f"{where}.txt").render(values)


def next_step(where: Where, path: Path, launch: Launch) -> list[str]:
    """Return the commands that start it."""
    if where == "slurm":
        return [f"sbatch {path}"]
    if where == "kuberay":
        return [f"kubectl create -f {path}"]
    return [
        "ray get-auth-token --generate",
        f"ray up -y {path}",
        f"ray dashboard {path} &",
        f"{launch.command('--store', launch.store)} --detach --address http://localhost:8265",
    ]


def _stages(plan: Plan) -> list[Node]:
    """Return the stages of a plan; of a search also those where it was checked, for it may have asked for none yet."""
    return [*plan.graph.nodes.values(), *plan.tried.nodes.values()]


def _gpus(resources: Sequence[Resources], where: Where) -> int:
    """Return the GPUs of a usual node that holds a stage's workers together if any does."""
    needed = max(math.ceil(_gpus_of(each)) for each in resources)
    if not needed:
        return 0
    return next((size for size in (4, 8) if size >= needed), 8 if where == "aws" else 4)


def _gpus_of(resources: Resources) -> float:
    return resources.workers * resources.gpus_per_worker


def _cpus(resources: Resources) -> int:
    return math.ceil(resources.workers * resources.cpus_per_worker)


def _nodes(plan: Plan, gpus: int, cpus: int) -> int:
    """Return the nodes for the stages of a plan that can start at once, and for the largest of all."""
    first = [node.resources for node in plan.graph.nodes.values() if node.parent is None]

    def together(own: Callable[[Resources], float]) -> float:
        largest = max(own(node.resources) for node in _stages(plan))
        groups = plan.spec.experiment.resources.groups
        return groups * largest if groups else max(largest, sum(map(own, first)))

    return max(1, math.ceil(together(_gpus_of) / gpus) if gpus else 0, math.ceil(together(_cpus) / cpus))


@cache
def _templates() -> Environment:
    # Not HTML; values that a shell reads are quoted in the templates.
    return Environment(  # noqa: S701
        loader=PackageLoader("mfsweep.sweep.launching"),
        undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
