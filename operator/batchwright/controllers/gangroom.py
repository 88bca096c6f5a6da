"""What a multi-node job holds, as the scheduler sees it: its machines, from its start until it goes back or ends.

A node without a pod on its machine is room that is kept for it there: between attempts, and while the main node starts.
"""

from __future__ import annotations

from functools import lru_cache

from batchwright.controllers.store import Entry, Nodes, Pinned
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
    work, gang, layout = entry.work, pinned.gang, pinned.layout
    environment = work.environment if work is not None else entry.start.environment if entry.start else None
    if environment is None or gang is None or layout is None or (work is not None and work.is_finished):
        return None
    live = [pod for pod in entry.pods.values() if not pod.is_finished]
    others = [pod for pod in (entry.nodes or Nodes()).pods.values() if not pod.is_finished]
    machines = machines_of(entry)
    amounts = amounts_on(gang, machines)
    is_leaving = entry.preempting or (work is not None and work.suspended and not entry.resuming)
    if is_leaving or len(machines) != layout.size:
        there = {pod.node for pod in (*live, *others) if pod.node}
        nodes = tuple((machine, 1) for machine, _ in amounts if machine in there)
        if not nodes:
            return None
        count, kept, ends_at = 0, (), None
    else:
        bound = {pod.index for pod in others if pod.node}
        main = next((pod for pod in live if pod.node), None)
        if main is not None and main.started_at is not None and pinned.rules.attempts == 1:
            # A node that has ended while the main one runs needs no room again.
            bound |= {pod.index for pod in (entry.nodes or Nodes()).pods.values() if pod.is_finished}
        bound |= {layout.main} if main is not None else set()
        kept = _kept(gang, machines, frozenset(map(layout.rank_of, bound)))
        nodes = tuple((machine, 1) for machine, _ in amounts)
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
        nodes=nodes,
        started=(work.created_at if work is not None else entry.job.created_at).timestamp(),
        ends_at=ends_at,
        leaving=nodes if not count else (),
        consumables=pinned.consumables,
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
