"""Worker groups that lost their creator: what they hold is given back.

By Ray's own rule a placement group ends with the actor and the job that made it. It misses one whose controller was
killed while the group was being made: the group is registered after the death of its creator, which nobody hears of
any more, and stays for as long as the cluster does. A creator that is not among the living actors is taken for dead,
but only where it is so at two looks: a look is not one moment for all tables.
"""

from __future__ import annotations

import time

import ray
from ray._private import state
from ray.core.generated.gcs_pb2 import PlacementGroupTableData  # pyright: ignore[reportAttributeAccessIssue] (generated)
from ray.util.placement_group import PlacementGroup, remove_placement_group

PAUSE_SECONDS = 1.0
"""Between two looks."""
LOOKS = 10
"""Looks at most: what is still suspected then comes and goes, as with another run that ends at this moment."""
END_SECONDS = 30.0
"""How long the end of a sweep waits for the controllers of its worker groups to be gone."""


class Orphans:
    """Looks for groups without a creator, and gives back those that had none at the look before."""

    def __init__(self) -> None:
        self._suspects: set[bytes] = set()

    def release(self) -> int:
        """Look once, and give back what had no creator at the look before either; return how many groups that were.

        Groups of this job are meant, and those of jobs that have ended: a run that was killed cannot give back its own.
        """
        found = {table.placement_group_id for table in _without_creator()}
        orphans, self._suspects = found & self._suspects, found - self._suspects
        for group in orphans:
            _remove(group)
        return len(orphans)

    def settle(self) -> int:
        """Look until nothing is suspected, and once more; return how many groups were given back.

        A group that was on its way when its creator was killed is registered a moment later.
        """
        released = 0
        for _ in range(LOOKS):
            released += self.release()
            if not self._suspects:
                break
            time.sleep(PAUSE_SECONDS)
        time.sleep(PAUSE_SECONDS)
        return released + self.release()


def release_leaked() -> int:
    """Give back what earlier jobs on this cluster have leaked; return how many groups that were."""
    return Orphans().settle() if _without_creator() else 0


def release_at_end() -> None:
    """Wait until no controller of this job's worker groups is left, and give back what their groups hold."""
    job = ray.JobID.from_hex(ray.get_runtime_context().get_job_id())
    deadline = time.monotonic() + END_SECONDS
    while time.monotonic() < deadline and any(
        actor["ActorClassName"].endswith("TrainController") and actor["State"] != "DEAD"
        for actor in state.actors(job_id=job).values()
    ):
        time.sleep(0.2)
    Orphans().settle()


def _remove(group: bytes) -> None:
    remove_placement_group(PlacementGroup(ray.PlacementGroupID(group)))


def _without_creator() -> list[PlacementGroupTableData]:
    """Return the groups of this job and of ended ones whose creator lives no more."""
    accessor = state.state._connect_and_get_accessor()  # noqa: SLF001 (the public table does not name the creator)
    # In this order: a group is made by an actor that is registered before it.
    tables = [PlacementGroupTableData.FromString(text) for text in accessor.get_placement_group_table()]
    jobs = {entry["JobID"] for entry in state.jobs() if entry["IsDead"]} | {ray.get_runtime_context().get_job_id()}
    living = {actor for actor, entry in state.actors().items() if entry["State"] != "DEAD"}
    return [table for table in tables if is_orphan(table, jobs, living)]


def is_orphan(table: PlacementGroupTableData, jobs: set[str], living: set[str]) -> bool:
    """Return whether a group can have no use any more.

    Args:
        table: what Ray has of the group.
        jobs: ids of the jobs that are looked at.
        living: ids of all actors that live.
    """
    creator = table.creator_actor_id
    return (
        table.state != PlacementGroupTableData.REMOVED
        and not table.is_detached
        # An id without an actor, but for its job, is a driver's: Ray ends such groups, the trials' own, with the job.
        and any(creator[:-4].strip(b"\xff"))
        and table.creator_job_id.hex() in jobs
        and (table.creator_actor_dead or creator.hex() not in living)
    )
