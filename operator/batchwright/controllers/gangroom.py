"""What a multi-node job holds, as the scheduler sees it: its machines, from its start until it goes back or ends.

A node without a pod on its machine is room that is kept for it there: between attempts, and while the main node starts.
"""

from __future__ import annotations

from functools import lru_cache

from batchwright.controllers.entries import Entry, Pinned
from batchwright.controllers.nodepods import Nodes
from batchwright.domain.ganglife import have_run
from batchwright.scheduling.gang import reserved
from batchwright.scheduling.snapshot import Gang, Held, Shape
from batchwright.workloads.gang import decode_placement

_Amounts = tuple[tuple[str, tuple[tuple[str, int], ...]], ...]


def machines_of(entry: Entry) -> tuple[str, ...]:
    """The machines of the job's nodes, by rank; empty when it has none."""
    nodes = entry.nodes or Nodes()
    if entry.work is None or entry.resuming:
        return nodes.machines
    return decode_placement(entry.work.placement)


def gang_held(uid: str, entry: Entry, pinned: Pinned, share: str, longest: float | None) -> Held | None:
    """What the job holds; None for nothing. `longest` is how long it runs at most, in seconds."""
    work, gang, layout, nodes = entry.work, pinned.gang, pinned.layout, entry.nodes or Nodes()
    environment = work.environment if work is not None else entry.start.environment if entry.start else None
    if environment is None or gang is None or layout is None:
        return None
    machines = machines_of(entry)
    if len(machines) != layout.size:
        return None
    amounts = amounts_on(gang, machines)
    main = next((pod for pod in entry.pods.values() if not pod.is_finished), None)
    pods = {layout.rank_of(pod.index): pod for pod in nodes.pods.values() if not pod.is_finished}
    pods |= {0: main} if main is not None else {}
    is_suspended = work is not None and work.suspended and not entry.resuming
    if entry.preempting or is_suspended or (work is not None and work.is_finished):
        # What is left of it goes. A pod that is on no machine as far as we know may be on its own by now.
        present = {pod.node for pod in pods.values() if pod.node}
        leaving = tuple((machine, 1) for machine, _ in amounts if machine in present)
        unsure = {rank for rank, pod in pods.items() if not pod.node}
        unsure |= set(range(1, layout.size)).difference(pods) if nodes.made or nodes.making else set()
        kept = _kept(gang, machines, frozenset(range(layout.size)).difference(unsure))
        if not leaving and not kept:
            return None
        count, there, ends_at = 0, leaving, None
    else:
        bound = {rank for rank, pod in pods.items() if pod.node}
        if main is not None and main.started_at is not None and pinned.rules.attempts == 1:
            # A node that has ended while the main one runs needs no room again.
            bound |= {layout.rank_of(pod.index) for pod in nodes.pods.values() if pod.is_finished}
            if have_run(entry.status, main):
                bound |= set(range(layout.size)).difference(pods)
        kept = _kept(gang, machines, frozenset(bound))
        there, leaving = tuple((machine, 1) for machine, _ in amounts), ()
        started = main.started_at if main is not None else None
        ends_at = None if longest is None or started is None else started.timestamp() + longest
        count = 1
    return Held(
        uid,
        entry.job.spec.job_queue,
        environment,
        gang.total,
        count,
        share=share,
        priority=pinned.priority,
        nodes=there,
        started=(work.created_at if work is not None else entry.job.created_at).timestamp(),
        ends_at=ends_at,
        leaving=leaving,
        consumables=pinned.consumables if count else (),
        reserved=kept,
        amounts=amounts,
    )


@lru_cache(maxsize=1024)
def amounts_on(gang: Gang, machines: tuple[str, ...]) -> _Amounts:
    """What the nodes take of each machine in all."""
    found: dict[str, dict[str, int]] = {}
    for machine, shape, _ in reserved(machines, gang):
        taken = found.setdefault(machine, {})
        for name, amount in shape.resources:
            taken[name] = taken.get(name, 0) + amount
    return tuple((machine, tuple(sorted(taken.items()))) for machine, taken in sorted(found.items()))


@lru_cache(maxsize=1024)
def _kept(gang: Gang, machines: tuple[str, ...], bound: frozenset[int]) -> tuple[tuple[str, Shape, int], ...]:
    return tuple(each for rank, each in enumerate(reserved(machines, gang)) if rank not in bound)
