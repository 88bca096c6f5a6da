"""dependsOn between whole jobs (AWS Batch User Guide, job dependencies).

A dependency by name is pinned to the first BatchJob found under that name: a later one of the same name is another
job. One that was pinned and is gone counts by its last known state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from batchwright.api.v1alpha1.batchjob import JobDependency, JobState, ResolvedDependency


@dataclass(frozen=True, slots=True)
class Peer:
    """Another BatchJob of the namespace, as a dependency sees it."""

    uid: str
    name: str
    state: JobState


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where the dependencies stand. `failed` says why the job can never run; `waiting` what it waits for."""

    found: tuple[ResolvedDependency, ...]
    waiting: tuple[str, ...]
    failed: str | None

    @property
    def is_satisfied(self) -> bool:
        """Whether every dependency succeeded."""
        return not self.waiting and self.failed is None


def resolve(
    wanted: Sequence[JobDependency],
    pinned: Sequence[ResolvedDependency],
    by_name: Callable[[str], Peer | None],
    by_id: Callable[[str], Peer | None],
) -> Resolution:
    """Looks every dependency up and says what it means for the job."""
    by_uid = {entry.job_id: entry for entry in pinned}
    named = pins_by_name(wanted, pinned)
    found: list[ResolvedDependency] = []
    waiting: list[str] = []
    failed: str | None = None
    for dependency in wanted:
        key = dependency.name or dependency.job_id or ""
        pin = named.get(key) if dependency.name else by_uid.get(key)
        peer = by_id(pin.job_id if pin else key) if pin or dependency.job_id else by_name(key)
        if peer is not None:
            found.append(ResolvedDependency(name=peer.name, job_id=peer.uid, state=peer.state))
            if peer.state == "FAILED":
                failed = failed or f"BatchJob {peer.name} failed"
            elif peer.state != "SUCCEEDED":
                waiting.append(f"{peer.name} ({peer.state})")
        elif pin is not None:
            found.append(pin)
            if pin.state != "SUCCEEDED":
                failed = failed or f"BatchJob {pin.name} was deleted before it succeeded"
        elif dependency.job_id:
            failed = failed or f"there is no BatchJob with jobId {key} in this namespace"
        else:
            waiting.append(f"{key} (not there yet)")
    return Resolution(tuple(found), tuple(waiting), failed)


def pins_by_name(
    wanted: Sequence[JobDependency], pinned: Sequence[ResolvedDependency]
) -> dict[str, ResolvedDependency]:
    """The pins of dependencies by name: an older job of that name may stand there too, asked for by its jobId."""
    by_id = Counter(dependency.job_id for dependency in wanted if dependency.job_id)
    named: dict[str, ResolvedDependency] = {}
    for entry in pinned:
        if by_id[entry.job_id] > 0:
            by_id[entry.job_id] -= 1
        else:
            named[entry.name] = entry
    return named


def find_cycle(edges: Mapping[str, Sequence[str]]) -> tuple[str, ...] | None:
    """One cycle of the graph, from a name back to itself in the order of waiting, or None.

    `edges` maps the name of a job to the names it waits for.
    """
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        # graphlib lists each node before those that wait for it.
        cycle: list[str] = error.args[1]
        return tuple(reversed(cycle))
    return None
