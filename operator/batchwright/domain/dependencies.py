"""dependsOn between jobs (AWS Batch User Guide, job dependencies); between elements: `elementwise.py`.

A dependency by name is pinned to the first BatchJob found under that name: a later one of the same name is another
job. One that was pinned and is gone counts by its last known state.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

from batchwright.api.v1alpha1.batchjob import DependencyCondition, JobDependency, JobState, ResolvedDependency
from batchwright.domain import reasons
from batchwright.domain.elementwise import ratio

_MET_BY = {"Succeeded": ("SUCCEEDED",), "Completed": ("SUCCEEDED", "FAILED"), "Failed": ("FAILED",)}
FINAL = ("SUCCEEDED", "FAILED")


@dataclass(frozen=True, slots=True)
class Peer:
    """Another BatchJob of the namespace, as a dependency sees it. `size` is an array's, None while nobody knows it."""

    uid: str
    name: str
    state: JobState
    is_array: bool = False
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """The elements wait for those of this array, one by one."""

    uid: str
    condition: DependencyCondition


@dataclass(frozen=True, slots=True)
class Resolution:
    """Where the dependencies stand. `failed` says why the job can never run, with `reason` as its statusReason;
    `waiting` what it waits for as a whole; `links` the arrays its elements wait for one by one; `unlinked` whether one
    of those is not known well enough yet to say which element waits for which."""

    found: tuple[ResolvedDependency, ...]
    waiting: tuple[str, ...]
    failed: str | None
    links: tuple[Link, ...] = ()
    reason: str = reasons.DEPENDENT_JOB_FAILED
    unlinked: bool = False

    @property
    def is_satisfied(self) -> bool:
        """Whether nothing is left that the job waits for as a whole."""
        return not self.waiting and self.failed is None


@dataclass(slots=True)
class _Findings:
    found: list[ResolvedDependency]
    waiting: list[str]
    links: list[Link]
    failed: str | None = None
    reason: str = reasons.DEPENDENT_JOB_FAILED
    unlinked: bool = False

    def fail(self, text: str, reason: str = reasons.DEPENDENT_JOB_FAILED) -> None:
        """The first one found is what is said."""
        if self.failed is None:
            self.failed, self.reason = text, reason


def resolve(
    wanted: Sequence[JobDependency],
    pinned: Sequence[ResolvedDependency],
    by_name: Callable[[str], Peer | None],
    by_id: Callable[[str], Peer | None],
    size: int | None = None,
    *,
    is_array: bool = False,
) -> Resolution:
    """Looks every dependency up and says what it means for the job.

    `is_array` is the job's own, and `size` how many elements it has, None while nobody knows.
    """
    by_uid = {entry.job_id: entry for entry in pinned}
    named = pins_by_name(wanted, pinned)
    findings = _Findings([], [], [])
    for dependency in wanted:
        key = dependency.name or dependency.job_id
        if key is None:
            continue  # SEQUENTIAL within the array
        pin = named.get(key) if dependency.name else by_uid.get(key)
        peer = by_id(pin.job_id if pin else key) if pin or dependency.job_id else by_name(key)
        condition = dependency.condition or "Succeeded"
        if peer is not None:
            findings.found.append(ResolvedDependency(name=peer.name, job_id=peer.uid, state=peer.state))
            if dependency.type == "N_TO_N" and is_array and peer.is_array:
                _link(findings, peer, condition, size)
            else:
                _judge(findings, peer, condition)
        elif pin is not None:
            findings.found.append(pin)
            if pin.state in FINAL:
                _judge(findings, Peer(pin.job_id, pin.name, pin.state), condition)
            else:
                findings.fail(f"BatchJob {pin.name} was deleted before it {_ENDED[condition]}")
        elif dependency.job_id:
            findings.fail(f"there is no BatchJob with jobId {key} in this namespace")
        else:
            findings.waiting.append(f"{key} (not there yet)")
            findings.unlinked = findings.unlinked or (is_array and dependency.type == "N_TO_N")
    return Resolution(
        tuple(findings.found),
        tuple(findings.waiting),
        findings.failed,
        tuple(findings.links),
        findings.reason,
        findings.unlinked,
    )


_ENDED = {"Succeeded": "succeeded", "Completed": "ended", "Failed": "failed"}


def _judge(findings: _Findings, peer: Peer, condition: DependencyCondition) -> None:
    if peer.state in _MET_BY[condition]:
        return
    if peer.state not in FINAL:
        findings.waiting.append(f"{peer.name} ({peer.state})")
    elif peer.state == "FAILED":
        findings.fail(f"BatchJob {peer.name} failed")
    else:
        findings.fail(
            f"BatchJob {peer.name} succeeded, and condition Failed asks for its failure",
            reasons.DEPENDENT_JOB_SUCCEEDED,
        )


def _link(findings: _Findings, peer: Peer, condition: DependencyCondition, size: int | None) -> None:
    if peer.size is None or size is None:
        whose = "it" if peer.size is None else "this array"
        findings.waiting.append(f"{peer.name} (how many elements {whose} has is not known yet)")
        findings.unlinked = True
    elif ratio(peer.size, size) is None:
        text = (
            f"dependsOn N_TO_N: BatchJob {peer.name} has {peer.size} elements and this array {size}, and neither "
            "number divides the other; make one a multiple of the other, or leave type out to wait for the whole job"
        )
        findings.fail(text, text)
    else:
        findings.links.append(Link(peer.uid, condition))


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
