"""One pass of the scheduler, from a snapshot to a plan.

Invariants, property-tested: no node over its room; a job is started once or waits with a reason; a job that could
fit is never passed by a later one of its queue, nor, on a node that could take it, by one of a queue of lower or equal
priority; the same snapshot gives the same plan.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from operator import attrgetter

from batchwright.scheduling.fit import Room
from batchwright.scheduling.snapshot import Candidate, Plan, Queue, Shape, Snapshot, Start, Wait, WaitKind


def plan(snapshot: Snapshot) -> Plan:
    """What to start now, and why the rest waits."""
    # 1. What is free: allocatable, less what is bound, less what was sent and has no node yet.
    room = Room(snapshot)
    for sent in sorted(snapshot.unbound, key=attrgetter("environment", "shape")):
        room.take(sent.environment, sent.shape, sent.count)

    # 2. In order of queue priority, then of arrival.
    starts: list[Start] = []
    waits: dict[str, Wait] = {}
    blocked: set[str] = set()
    aside: dict[tuple[Shape, tuple[str, ...]], Wait] = {}  # by shape and environments
    for queue, candidate in ordered(snapshot.queues):
        # 3. Behind a blocked head of the same queue nothing starts: first in, first out.
        if queue.name in blocked:
            waits[candidate.uid] = Wait(WaitKind.BEHIND)
            continue
        # What cannot start at all in these environments is said once for all that ask the same.
        environments = queue.environments if candidate.environment is None else (candidate.environment,)
        known = aside.get((candidate.shape, environments))
        if known is not None:
            waits[candidate.uid] = known
            continue
        usable = [name for name in environments if is_open(snapshot, name)]
        # 4. The first environment, in the queue's order, that has room on a node that nobody has a claim on. The
        #    elements of an array stay together: where the first of them are, the others wait.
        start = next(
            (
                Start(candidate.uid, name, node, count)
                for name in usable
                for count, node in (room.take(name, candidate.shape, candidate.count),)
                if count
            ),
            None,
        )
        if start is not None:
            starts.append(start)
            if start.count == candidate.count:
                continue
            usable = [start.environment]
        # 5. What no present node could take waits aside; what could start later holds its place, and those nodes.
        wait = why_not(room, usable, candidate)
        waits[candidate.uid] = wait
        if wait.kind in (WaitKind.NO_ROOM, WaitKind.BEHIND):
            blocked.add(queue.name)
            for name in usable:
                room.claim(name, candidate.shape)
        else:
            aside[candidate.shape, environments] = wait
    return Plan(tuple(starts), waits)


def ordered(queues: tuple[Queue, ...]) -> Iterator[tuple[Queue, Candidate]]:
    """Queues of higher priority first; queues of the same priority share by arrival."""
    by_priority = sorted(queues, key=lambda queue: (-queue.priority, queue.name))
    for _, group in groupby(by_priority, key=attrgetter("priority")):
        members = list(group)
        if len(members) == 1:
            yield from ((members[0], candidate) for candidate in members[0].waiting)
        else:
            pairs = [(queue, candidate) for queue in members for candidate in queue.waiting]
            yield from sorted(pairs, key=lambda pair: pair[1].turn)


def is_open(snapshot: Snapshot, environment: str) -> bool:
    """Whether the environment exists and takes jobs."""
    found = snapshot.environments.get(environment)
    return found is not None and found.is_open


def why_not(room: Room, environments: list[str], candidate: Candidate) -> Wait:
    """The reason a candidate cannot start, with the arithmetic of every environment."""
    if not any(room.has_nodes(name) for name in environments):
        return Wait(WaitKind.NO_NODES, tuple(room.shortfall(name, candidate.shape) for name in environments))
    possible = [name for name in environments if room.could_fit(name, candidate.shape)]
    if not possible:
        # A node that is rebooting is no misconfiguration: clients end a job on that word (Nextflow issue 7479).
        later = any(room.could_fit_later(name, candidate.shape) for name in environments)
        shortfalls = tuple(room.shortfall(name, candidate.shape, empty=True) for name in environments)
        suits_none = all(shortfall.best is None for shortfall in shortfalls)
        kind = WaitKind.NODES_AWAY if later else WaitKind.UNSUITABLE if suits_none else WaitKind.NEVER_FITS
        return Wait(kind, shortfalls)
    if all(room.is_claimed(name, candidate.shape) for name in possible):
        return Wait(WaitKind.BEHIND)
    return Wait(WaitKind.NO_ROOM, tuple(room.shortfall(name, candidate.shape) for name in environments))
